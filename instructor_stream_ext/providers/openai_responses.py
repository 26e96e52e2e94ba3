"""Events of OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.providers.calls import Call
from instructor_stream_ext.providers.family import Family
from instructor_stream_ext.providers.plain import error_in, insides, message_of, plain
from instructor_stream_ext.providers.reader import Reading

__all__ = ["FAMILY", "OpenAIResponsesReader"]


class OpenAIResponsesReader(Reading):
    """Reads response events, as objects or as mappings.

    Args:
        tools: Names of the tools in the request; None when the document is the output text.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        super().__init__(tools)
        self._texts: dict[Any, StringIO] = {}
        self._places: dict[str, list[Any]] = {}
        self._place_of: dict[str, Any] = {}
        self._added: list[dict[str, Any]] = []
        self._response: Any = None
        self._steps: dict[str, Callable[[dict[str, Any]], str]] = {
            "response.output_text.delta": self._text_delta,
            "response.output_text.done": self._text_done,
            "response.function_call_arguments.delta": self._args_delta,
            "response.function_call_arguments.done": self._args_done,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item,
            "response.refusal.delta": self._refusal_delta,
            "response.refusal.done": self._refusal_done,
            "response.reasoning_text.delta": self._reasoning,
            "response.reasoning_summary_text.delta": self._reasoning,
            "response.created": self._created,
            "response.completed": self._completed,
            "response.incomplete": self._incomplete,
            "response.failed": self._failed,
            "response.cancelled": self._failed,
            "error": self._error,
        }

    def read(self, chunk: object) -> str:
        """Return the new text of the document in this event, "" if there is none."""
        self.alive = False
        if self.switched is not None:
            self.switched = None
        if chunk is None:
            self._fail("error", "the provider sent null in place of an event")
            return ""
        fields = insides(chunk)
        kind = fields.get("type")
        step = self._steps.get(kind or "")
        if step is not None:
            return step(fields)
        if not kind and (said := error_in(fields)) is not None:
            self._fail("error", said)
        return ""

    def finish(self) -> str:
        """Return what only the start of an item brought: it counts once the answer has ended."""
        text = "".join(self._item(fields) for fields in self._added) if self.has_ended else ""
        return text + super().finish()

    def completion(self) -> Any:
        """Return the answer so far as OpenAI's `Response`: the provider's own where it sent a complete one."""
        from openai.types.responses import Response

        whole = dict(plain(self._response)) if self._response is not None else {}
        if not whole.get("output"):
            whole["output"] = self._output()
        for name, value in (("id", self.response_id), ("object", "response"), ("model", self.model)):
            whole[name] = whole.get(name) or value or ""
        whole["status"] = "incomplete" if self.end is None else whole.get("status") or self.end.word
        return Response.construct(**whole)

    def _text_delta(self, fields: dict[str, Any]) -> str:
        text: str = fields.get("delta") or ""
        self._part((self._met(fields, "message"), fields.get("content_index"))).write(text)
        return self._text(text) if text else ""

    def _text_done(self, fields: dict[str, Any]) -> str:
        return self._rest_of_text((self._met(fields, "message"), fields.get("content_index")), fields.get("text") or "")

    def _part(self, key: tuple[Any, Any]) -> StringIO:
        """Return the text of one part of a message, as it arrives."""
        return self._texts.setdefault(key, StringIO())

    def _rest_of_text(self, key: tuple[Any, Any], whole: object) -> str:
        """Take a text that is reported as complete, and return what no delta brought."""
        part = self._part(key)
        if not (new := _new_in(whole, part.getvalue())):
            return ""
        part.write(new)
        return self._text(new)

    def _met(self, fields: dict[str, Any], kind: str) -> Any:
        """Return the place of an event's item, noted with its id and in the order of its kind."""
        place, item_id = fields.get("output_index"), fields.get("item_id")
        if item_id and item_id in self._place_of:
            return self._place_of[item_id]
        place = item_id if place is None else place
        if item_id:
            self._place_of[item_id] = place
        places = self._places.setdefault(kind, [])
        if place not in places:
            places.append(place)
        return place

    def _args_delta(self, fields: dict[str, Any]) -> str:
        text: str = fields.get("delta") or ""
        if not text:
            return ""
        self.alive = self._began = True
        return self._calls.write(self._call(fields), text)

    def _args_done(self, fields: dict[str, Any]) -> str:
        call = self._call(fields)
        waited = self._calls.name(call, fields.get("name") or "")
        return waited + self._rest_of_args(call, fields.get("arguments") or "")

    def _rest_of_args(self, call: Call, whole: object) -> str:
        """Take arguments that are reported as complete, and return what no delta brought."""
        if not (new := _new_in(whole, call.args)):
            return ""
        self.alive = self._began = True
        return self._calls.write(call, new)

    def _call(self, fields: dict[str, Any]) -> Call:
        """Return the call that an event is about: by its place in the output, else by its item's id."""
        key = self._met(fields, "function_call")
        return self._calls.newest.get(key) or self._calls.open(index=key)

    def _item_added(self, fields: dict[str, Any]) -> str:
        """Take the start of an output item: a call's name counts at once, all else may be a stand-in."""
        item = insides(fields.get("item"))
        self._added.append(fields)
        if item.get("type") != "function_call":
            return ""
        return self._item({**fields, "item": {**item, "arguments": ""}})

    def _item(self, fields: dict[str, Any]) -> str:
        """Take an output item that is complete."""
        item = insides(fields.get("item"))
        if item.get("type") == "function_call":
            call = self._call({"output_index": fields.get("output_index"), "item_id": item.get("id")})
            call.id = call.id or item.get("call_id") or item.get("id") or ""
            waited = self._calls.name(call, item.get("name") or "")
            return waited + self._rest_of_args(call, item.get("arguments") or "")
        if item.get("type") == "reasoning" and not self._thought.tell():
            parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
            if thought := "".join(insides(part).get("text") or "" for part in parts):
                self._reason(thought)
        if item.get("type") != "message":
            return ""
        text = ""
        place = self._met({"output_index": fields.get("output_index"), "item_id": item.get("id")}, "message")
        # the n-th text is the n-th that was streamed: Bedrock's `content_index` counts on from the reasoning item
        streamed = iter([key for key in self._texts if key[0] == place])
        for number, part in enumerate(item.get("content") or []):
            said = insides(part)
            if said.get("type") == "output_text":
                text += self._rest_of_text(next(streamed, (place, f"of the item {number}")), said.get("text") or "")
            elif said.get("type") == "refusal" and not self.refusal:
                self._refuse(said.get("refusal") or "")
        return text

    def _refusal_delta(self, fields: dict[str, Any]) -> str:
        self._refuse(fields.get("delta") or "")
        return ""

    def _refusal_done(self, fields: dict[str, Any]) -> str:
        if not self.refusal:
            self._refuse(fields.get("refusal") or "")
        return ""

    def _reasoning(self, fields: dict[str, Any]) -> str:
        self._reason(fields.get("delta") or "")
        return ""

    def _created(self, fields: dict[str, Any]) -> str:
        response = insides(fields.get("response"))
        self._start_over(response.get("id"), response.get("model"))
        return ""

    def _forget(self) -> None:
        super()._forget()
        self._texts, self._places, self._place_of, self._added = {}, {}, {}, []
        self._response = None

    def _last(self, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Take the response in an end event; returns its fields and the text that came in no other event."""
        response = insides(fields.get("response"))
        self._response = fields["response"]
        if response.get("usage") is not None:
            self._usage = response["usage"]
        counts: dict[str, int] = {}
        text = ""
        for item in response.get("output") or []:
            kind = insides(item).get("type") or ""
            nth = counts[kind] = counts.get(kind, -1) + 1
            met = self._places.get(kind, ())
            # some servers leave the reasoning item out here, so that places do not agree: the n-th of a kind is meant
            text += self._item({"output_index": met[nth] if nth < len(met) else f"{kind} {nth}", "item": item})
        return text, response

    def _completed(self, fields: dict[str, Any]) -> str:
        text, _ = self._last(fields)
        self._close("completed")
        return text

    def _incomplete(self, fields: dict[str, Any]) -> str:
        text, response = self._last(fields)
        details = response.get("incomplete_details")
        self._close((insides(details).get("reason") if details is not None else None) or "incomplete")
        return text

    def _failed(self, fields: dict[str, Any]) -> str:
        text, response = self._last(fields)
        error = response.get("error")
        self._fail(str(response.get("status") or "failed"), message_of(error) if error is not None else "")
        return text

    def _error(self, fields: dict[str, Any]) -> str:
        error = fields.get("error")
        self._fail("error", message_of(error) if error is not None else str(fields.get("message") or ""))
        return ""

    def _output(self) -> list[dict[str, Any]]:
        """Return the output items so far as plain data."""
        output: list[dict[str, Any]] = [
            {
                "type": "function_call",
                "id": call.id,
                "call_id": call.id,
                "name": call.called,
                "arguments": call.arguments,
                "status": "completed",
            }
            for call in self._calls.all
        ]
        content = []
        if text := self._content.getvalue():
            content.append({"type": "output_text", "text": text, "annotations": []})
        if self.refusal:
            content.append({"type": "refusal", "refusal": self.refusal})
        if content:
            message = {"type": "message", "id": "", "role": "assistant", "status": "completed", "content": content}
            output.insert(0, message)
        return output


def _new_in(whole: object, have: str) -> str:
    """Return the text that a "done" event has beyond the deltas; nothing is taken back where the two differ.

    A server may write the same object with other spaces, or say what is no text at all.
    """
    return whole[len(have) :] if isinstance(whole, str) and whole.startswith(have) else ""


FAMILY = Family(
    providers=(),  # those of chat completions, in modes of their own
    reader=OpenAIResponsesReader,
    end_words={EndKind.TRUNCATED: "max_output_tokens max_token_limit"},  # response.incomplete_details.reason
)
