"""Anthropic's message events, from its own API, Bedrock or Vertex."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.calls import Call
from instructor_stream_ext.providers.family import Family, UsageNames
from instructor_stream_ext.providers.plain import error_in, insides, message_of, object_of, plain
from instructor_stream_ext.providers.reader import Reading
from instructor_stream_ext.providers.usage import cached_tokens

__all__ = ["FAMILY", "AnthropicReader"]

_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OUTPUT = "output_tokens"


class AnthropicReader(Reading):
    """Reads raw message events, as objects or as mappings.

    Args:
        tools: Names of the tools in the request; None when the document is the text blocks.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        super().__init__(tools)
        self._module = ""
        self._blocks: dict[Any, _Block] = {}
        self._counted: dict[str, Any] = {}
        self._compacted: dict[str, int] = {}
        self._message: dict[str, Any] = {}

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
        if kind != "content_block_delta":
            return self._other(kind, fields, chunk)
        delta = insides(fields.get("delta"))
        what = delta.get("type")
        block = self._blocks.get(fields.get("index"))
        if block is None:
            block = self._open(fields.get("index"), {"type": _BLOCK_OF.get(str(what), "text")})
        if what == "input_json_delta" and block.call is not None:
            if not (text := delta.get("partial_json")):
                return ""
            self.alive = self._began = True
            return self._calls.write(block.call, text)
        if what == "text_delta" and (text := delta.get("text")):
            block.text.write(text)
            return self._text(text)
        self._note(block, what, delta)
        return ""

    def _note(self, block: _Block, what: object, delta: dict[str, Any]) -> None:
        """Take a delta that is no part of the document."""
        if what == "thinking_delta" and (text := delta.get("thinking")):
            block.text.write(text)
            self._reason(text)
        elif what == "input_json_delta":  # for a tool that the provider runs
            block.text.write(delta.get("partial_json") or "")
        elif what == "signature_delta" and (text := delta.get("signature")):
            block.start["signature"] = block.start.get("signature", "") + text
        elif what == "citations_delta" and (citation := delta.get("citation")) is not None:
            block.start["citations"] = [*(block.start.get("citations") or ()), plain(citation)]

    @property
    def usage(self) -> Usage | None:
        """Tokens, including cached input and those of a compaction; None if the provider has sent no count."""
        if not any(isinstance(said, int) for said in self._counted.values()):
            return None
        billed = self._billed
        came, went = sum(billed[name] for name in _INPUT), billed[_OUTPUT]
        return Usage(came, went, came + went)

    @property
    def cached(self) -> tuple[int, int]:
        """Input tokens read from the cache, and written to it."""
        return cached_tokens(self._billed)

    @property
    def _billed(self) -> dict[str, int]:
        counts = {name: said for name, said in self._counted.items() if isinstance(said, int)}
        return {name: counts.get(name, 0) + self._compacted.get(name, 0) for name in (*_INPUT, _OUTPUT)}

    def finish(self) -> str:
        """Return the input of a tool block that was never closed and came without deltas, once the message has ended.

        The start event brings an empty input, or in some gateways the whole; a stream that just stops behind it has not
        said which.
        """
        whole = self._blocks.values() if self.has_ended else ()
        return "".join(self._closed(block) for block in whole) + super().finish()

    def completion(self) -> Any:
        """Return the answer so far as anthropic's `Message` (`BetaMessage` for events of the beta)."""
        from anthropic.types import Message
        from anthropic.types.beta import BetaMessage

        whole: Any = BetaMessage if ".beta." in self._module else Message
        answer = {
            "stop_sequence": None,
            **self._message,
            "id": self.response_id or "",
            "type": "message",
            "role": "assistant",
            "model": self.model or "",
            "content": [block.whole() for block in self._blocks.values()],
            "stop_reason": self.end.word if self.end else None,
            "usage": {"input_tokens": 0, "output_tokens": 0, **self._counted},
        }
        return whole.construct(**answer)

    def _other(self, kind: object, fields: dict[str, Any], chunk: object) -> str:
        """Take any event other than a delta."""
        if kind == "content_block_start":
            return self._started(fields)
        if kind == "content_block_stop":
            block = self._blocks.get(fields.get("index"))
            return "" if block is None else self._closed(block)
        if kind == "message_start":
            self._module = type(chunk).__module__
            message = insides(fields.get("message"))
            self._start_over(message.get("id"), message.get("model"))
            self._message = plain(fields.get("message"))
            self._count(message.get("usage"))
        elif kind == "message_delta":
            self._count(fields.get("usage"))
            self._ended(insides(fields.get("delta")))
        elif kind == "error":
            error = fields.get("error")
            word = insides(error).get("type") if error is not None and not isinstance(error, str) else None
            self._fail(str(word or "error"), message_of(fields if error is None else error))
        elif kind is None and (said := error_in(fields)) is not None:
            self._fail("error", said)
        return ""

    def _forget(self) -> None:
        super()._forget()
        self._blocks, self._message = {}, {}

    def _started(self, fields: dict[str, Any]) -> str:
        """Open a block; text or thinking that it brings along is like any other."""
        start = plain(fields.get("content_block"))
        block = self._open(fields.get("index"), start)
        kind = start.get("type")
        if kind not in ("text", "thinking") or not (text := start.get(kind)):
            return ""
        block.text.write(text)
        if kind == "text":
            return self._text(text)
        self._reason(text)
        return ""

    def _open(self, index: object, start: dict[str, Any]) -> _Block:
        """Return a new block under its index."""
        block = self._blocks[index] = _Block(dict(start))
        if start.get("type") == "tool_use":
            block.call = self._calls.open(start.get("id") or "", start.get("name") or "", index)
        return block

    def _closed(self, block: _Block) -> str:
        """Close a block. A tool's input that came without deltas was complete at its start."""
        call = block.call
        if call is None or call.started:
            return ""
        self.alive = self._began = True
        return self._calls.write(call, json.dumps(block.start.get("input") or {}, ensure_ascii=False))

    def _count(self, usage: object) -> None:
        """Take token counts: those of the start, and the running ones of the end.

        They leave out what the model read and wrote to compact the conversation, which is billed like the rest
        (platform.claude.com: Compaction, Usage). An advisor's tokens stay out, as another model has another price.
        """
        if usage is None:
            return
        told = plain(usage)
        self._counted |= _known(told)
        rounds = told.get("iterations")
        if isinstance(rounds, list):
            compactions = [one for one in rounds if isinstance(one, dict) and one.get("type") == "compaction"]
            self._compacted = {name: sum(one.get(name) or 0 for one in compactions) for name in (*_INPUT, _OUTPUT)}

    def _ended(self, delta: dict[str, Any]) -> None:
        """Take the stop reason."""
        self._message |= _known(plain(delta))
        if not (reason := delta.get("stop_reason")):
            return
        details = delta.get("stop_details")
        said = str(plain(details).get("explanation") or "") if details is not None else ""
        if reason == "refusal":
            self.refusal = said or self._content.getvalue()
        self._close(reason, said)


class _Block:
    """One content block as it arrives."""

    __slots__ = ("call", "start", "text")

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.call: Call | None = None
        self.text = StringIO()

    def whole(self) -> dict[str, Any]:
        """Return the block as plain data."""
        kind = self.start.get("type")
        if self.call is not None:
            return {**self.start, "input": object_of(self.call.args)}
        if kind in ("text", "thinking"):
            return {**self.start, kind: self.text.getvalue()}
        given = self.text.getvalue()
        return {**self.start, "input": object_of(given)} if given else self.start


def _known(told: dict[str, Any]) -> dict[str, Any]:
    """Return what is not null."""
    return {name: said for name, said in told.items() if said is not None}


_BLOCK_OF = {"input_json_delta": "unknown", "thinking_delta": "thinking", "signature_delta": "thinking"}


FAMILY = Family(
    providers=("anthropic",),
    reader=AnthropicReader,
    end_words={  # docs.anthropic.com: Messages, stop_reason
        EndKind.COMPLETE: "end_turn stop_sequence tool_use",
        EndKind.TRUNCATED: "max_tokens pause_turn model_context_window_exceeded",
        EndKind.REFUSED: "refusal",
    },
    usage_names=(UsageNames("input_tokens", "output_tokens", "total_tokens"),),
    holders={"anthropic": ("response", "_raw_stream", "_iterator")},
    litellm={
        "anthropic": ("TOOLS", "sends tool arguments as they are written"),
        "vertex_ai/claude": ("TOOLS", "sends tool arguments as they are written"),
    },
)
