"""What every reader of provider chunks is, and the pieces they share.

A reader takes one provider's stream objects ("chunks") one at a time and says what each carried. It is sans-I/O: it
neither fetches chunks nor keeps them, so the same reader serves sync and async streams.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from io import StringIO
from types import SimpleNamespace
from typing import Any, Protocol

from instructor_stream_ext.core.events import EndKind, EndSignal, Usage
from instructor_stream_ext.core.text import joined

__all__ = [
    "Call",
    "Calls",
    "EndKind",
    "EndSignal",
    "Reader",
    "Reading",
    "Switch",
    "Written",
    "end_of",
    "error_in",
    "insides",
    "message_of",
    "namespace",
    "object_of",
    "plain",
    "tokens",
]


@dataclass(frozen=True, slots=True)
class Switch:
    """Another answer began in the middle of the stream.

    Args:
        from_model: The model whose text came so far, None if it was never named.
        to_model: The model whose text comes now, None if it is not named.
    """

    from_model: str | None
    to_model: str | None


# What providers say at the end, lower-cased. Of a word that is not listed nobody knows what it means.
_WORDS = {
    EndKind.COMPLETE: (
        "stop end_turn stop_sequence tool_use tool_calls function_call complete completed "  # OpenAI, Anthropic, Cohere
        "tool_call reason_stop reason_tool_calls reason_tool_call reason_stop_sequence "  # Cohere, xAI
        "finish_reason_stop eos eos_token end_of_sequence end_of_text end_of_turn "  # TGI, Together
        "stop_token stop_string stop_str matched_stop eosfound stopstringfound toolcalls "  # SGLang, LM Studio
        "normal finished finish done end success succeeded load unload word"  # ERNIE, Replicate, Ollama, llama.cpp
    ),
    EndKind.TRUNCATED: (
        "length max_tokens max_output_tokens max_token_limit max_context_len_limit model_context_window_exceeded "
        "model_length error_limit incomplete pause_turn continuation "
        "reason_max_len reason_max_context reason_time_limit time_limit max_tokens_reached max_length limit "
        "token_limit maxpredictedtokensreached contextlengthreached repetition repetition_limit"
    ),
    EndKind.FILTERED: (
        "content_filter content_filtered guardrail_intervened safety recitation blocklist prohibited_content spii "
        "language sensitive image_safety image_prohibited_content image_recitation other no_image error_toxic "
        "jailbreak model_armor escalation pup_limited_disabled block_reason_unspecified blocked_reason_unspecified"
    ),
    EndKind.REFUSED: "refusal refused",
    EndKind.FAILED: (
        "abort aborted error failed cancelled canceled network_error "
        "insufficient_system_resource malformed_function_call "
        "unexpected_tool_call malformed_model_output malformed_tool_use malformed_response too_many_tool_calls "
        "missing_thought_signature timeout image_other user_cancel"
    ),
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words.split()}


def end_of(word: Any, message: str = "") -> EndSignal:
    """What a provider's finish reason means.

    Args:
        word: The finish reason: a string, or an Enum with a name.
        message: What else the provider said.
    """
    said = word.name if isinstance(word, Enum) else str(word)
    return EndSignal(_KINDS.get(said.lower(), EndKind.UNKNOWN), said, message)


class Written(StringIO):
    """Text that grows by deltas. Surrogate halves that came in two of them are joined: no SDK can send halves back."""

    def getvalue(self) -> str:
        """The whole text so far."""
        return joined(super().getvalue())


class Reader(Protocol):
    """Reads one attempt's chunks.

    Attributes:
        aside: New prose beside the document, refusals included; the caller takes it out (it is answer text, but no
            document).
        alive: Whether the chunk read last carried text or reasoning of the model.
        end: How the provider said the answer ended, None until it did.
        refusal: The refusal so far.
        error: The message of an error that came inside a chunk, None if none did.
        model: The model that answers, as far as the provider named it.
        response_id: The provider's id of the answer.
        switched: Set when the chunk read last began another answer after text of this one had arrived; the text it
            returned belongs to the new one.
        reasoned: Whether any reasoning came.
    """

    aside: list[str]
    alive: bool
    end: EndSignal | None
    refusal: str
    error: str | None
    model: str | None
    response_id: str | None
    switched: Switch | None
    reasoned: bool

    @property
    def usage(self) -> Usage | None:
        """The tokens the provider counted; None if it has not said."""
        ...

    def read(self, chunk: Any) -> str:
        """The new text of the document in this chunk, "" if none."""
        ...

    def finish(self) -> str:
        """Document text that becomes known only at the end of the stream, "" if none."""
        ...

    @property
    def strays(self) -> list[str]:
        """Names of the tools that the model has called and that the request does not have."""
        ...

    @property
    def has_called(self) -> bool:
        """Whether the call that is to be the document has begun, with or without arguments."""
        ...

    def disbelieve_end(self) -> None:
        """Forget the end signal and the tokens: the SDK made them up when the stream just stopped."""
        ...

    def completion(self) -> Any:
        """The answer so far, in the type the provider's SDK gives without streaming."""
        ...


class Reading:
    """The state all readers share.

    Args:
        tools: Names of the tools in the request; None when the document is plain text.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        self._tools = tools
        self.aside: list[str] = []
        self.alive = False
        self.end: EndSignal | None = None
        self.refusal = ""
        self.error: str | None = None
        self.model: str | None = None
        self.response_id: str | None = None
        self.switched: Switch | None = None
        self.reasoned = False
        self._began = False
        self._usage: Any = None
        self._content = Written()
        self._thought = Written()
        self._calls = Calls(tools)

    @property
    def strays(self) -> list[str]:
        """Names of the tools that the model has called and that the request does not have."""
        return self._calls.strays

    @property
    def usage(self) -> Usage | None:
        """The tokens the provider counted; None if it has not said."""
        return None if self._usage is None else tokens(self._usage)

    @property
    def has_ended(self) -> bool:
        """Whether the provider said that the answer is over, and nothing bad of it."""
        return self.end is not None and self.end.kind in (EndKind.COMPLETE, EndKind.UNKNOWN)

    @property
    def has_called(self) -> bool:
        """Whether the call that is to be the document has begun, with or without arguments."""
        return self._calls.document is not None or any(call.tool for call in self._calls.all)

    def finish(self) -> str:
        """Document text that becomes known only at the end of the stream; see `Calls.settle`."""
        is_whole = self.has_ended
        text = self._calls.settle(is_whole=is_whole)
        if text:
            self.alive = self._began = True
        return text

    def disbelieve_end(self) -> None:
        """Forget the end signal and the tokens: the SDK made them up when the stream just stopped."""
        self.end = None
        self._usage = None

    def _identify(self, response_id: Any, model: Any) -> None:
        """Note who answers, as a chunk says it; what was said before the first text was preliminary.

        One HTTP answer is one answer: Groq's compound models, SGLang, LMDeploy and Foundry Local give each chunk
        another id, and others change the model's name after the first.

        Args:
            response_id: The chunk's id, or something empty.
            model: The chunk's model, or something empty.
        """
        if not self._began:
            self.response_id, self.model = response_id or self.response_id, model or self.model

    def _start_over(self, response_id: Any, model: Any) -> None:
        """Take the event that begins an answer: after text, with another id or model, another answer begins.

        Args:
            response_id: The answer's id, or something empty.
            model: The answer's model, or something empty.
        """
        is_other = (self.response_id and response_id and response_id != self.response_id) or (
            self.model and model and model != self.model
        )
        if is_other and self._began:
            self._switch(model)
        self._identify(response_id, model)

    def _switch(self, model: Any) -> None:
        """Another answer begins.

        Args:
            model: Its model, or something empty.
        """
        self.switched = Switch(self.model, model or self.model)
        self._forget()

    def _forget(self) -> None:
        """Drop what the answer before said."""
        self.end = None
        self.refusal = ""
        self.error = None
        self._began = False
        self._content = Written()
        self._thought = Written()
        self._calls = Calls(self._tools)

    def _text(self, text: str) -> str:
        """Take text of the answer's prose channel: the document without tools, an aside with them."""
        self.alive = self._began = True
        self._content.write(text)
        if self._tools is None:
            return text
        self.aside.append(text)
        return ""

    def _reason(self, text: str) -> None:
        """Take reasoning: it shows life, and is never text of the answer."""
        self.alive = self.reasoned = True
        self._thought.write(text)

    def _refuse(self, text: str) -> None:
        """Take a piece of a refusal: text of the answer, but no document."""
        self.alive = True
        self.refusal += text
        self.aside.append(text)

    def _fail(self, word: str, message: str) -> None:
        """Note an error that came inside a chunk."""
        self.error = message or word
        self.end = EndSignal(EndKind.FAILED, word, self.error)

    def _close(self, word: Any, message: str = "") -> None:
        """Note the provider's end signal; after a refusal or an error it says no more than that."""
        if self.error is not None:
            return
        end = end_of(word, message)
        if self.refusal and end.kind in (EndKind.COMPLETE, EndKind.UNKNOWN):
            end = EndSignal(EndKind.REFUSED, end.word, self.refusal)
        self.end = end


class Call:
    """One tool call as it arrives; `write` takes a piece of its arguments.

    Args:
        call_id: The provider's id of the call, "" if not yet known.
        name: The tool's name, "" if not yet known.
        index: The provider's number of the call, None if it gives none.

    Attributes:
        tool: The tool of the request that it calls, "" as long as none is known.
    """

    __slots__ = ("_args", "id", "index", "name", "tool", "write")

    def __init__(self, call_id: str = "", name: str = "", index: Any = None) -> None:
        self.id = call_id
        self.name = name
        self.tool = ""
        self.index = index
        self._args = Written()
        self.write = self._args.write

    @property
    def args(self) -> str:
        """The arguments so far, as they came."""
        return self._args.getvalue()

    @property
    def arguments(self) -> str:
        """The arguments so far, without an empty object that came in place of the real ones."""
        return _PLACEHOLDER.sub("", self.args)

    @property
    def is_blank(self) -> bool:
        """Whether no arguments have come, or an empty object."""
        return _BLANK(self.args) is not None

    @property
    def called(self) -> str:
        """The tool's name as the request has it, where that is known; else as the model gave it."""
        return self.tool or self.name

    @property
    def started(self) -> bool:
        """Whether any arguments have come."""
        return self._args.tell() > 0


class Calls:
    """The tool calls of an answer, and which of them is the document.

    The document is the first call of a tool of the request; arguments that come before the name wait for it. A call
    with no arguments or an empty object gives way to a later one with some: gateways to Gemini send `{}` first. Where
    one tool was offered and one call was made, that call is the document, whatever it is named.

    Args:
        tools: Names of the tools in the request, None if no call can be the document.

    Attributes:
        all: Every call, in the order they came.
        document: The call that is the document, None as long as none is.
        newest: The newest call under each index.
    """

    def __init__(self, tools: frozenset[str] | None) -> None:
        self._tools = tools or frozenset()
        self.all: list[Call] = []
        self.document: Call | None = None
        self.newest: dict[Any, Call] = {}
        self._by_id: dict[str, Call] = {}

    def open(self, call_id: str = "", name: str = "", index: Any = None) -> Call:
        """A new call, the newest under its index."""
        call = Call(call_id, "", index)
        self.all.append(call)
        self.newest[index] = call
        if call_id:
            self._by_id[call_id] = call
        self.name(call, name)
        return call

    def name(self, call: Call, name: str) -> str:
        """Give a call its name, or a piece of it; returns the text that was waiting if this makes it the document."""
        if not name or name == call.name or (call.name and call.started):
            return ""
        call.name = name if name.startswith(call.name) else call.name + name
        call.tool = self._tool_of(call) if call.started or call.name in self._tools else ""
        if call is self.document and not call.tool:
            self.document = None
        return self._chosen(call)

    def write(self, call: Call, text: str) -> str:
        """Take arguments; returns those that belong to the document and were not returned before."""
        call.write(text)
        if call is self.document:
            return text
        if not call.tool:
            call.tool = self._tool_of(call)
        return self._chosen(call)

    def settle(self, *, is_whole: bool) -> str:
        """Say that no more comes; returns text of the document that becomes known only now.

        Args:
            is_whole: Whether the provider said that the answer is whole: a call without arguments is the empty object.
        """
        text = ""
        if self.document is None and len(self._tools) == 1:
            calls = [call for call in self.all if call.name or call.started] or self.all
            if len(calls) == 1:
                self.document = calls[0]
                (self.document.tool,) = self._tools
                text = self.document.args
        document = self.document
        if is_whole and document is not None and not document.args.strip():
            text += self.write(document, "{}")
        return text

    @property
    def strays(self) -> list[str]:
        """Names of the tools that were called and that the request does not have."""
        return [call.name for call in self.all if call.name and not (call.tool or self._tool_of(call))]

    def _chosen(self, call: Call) -> str:
        """Make a call of an offered tool the document, unless another is; returns the text that was waiting for it."""
        before = self.document
        if not call.tool or call is before:
            return ""
        if before is not None and (call.is_blank or not before.is_blank):
            return ""
        self.document = call
        return call.args

    def _tool_of(self, call: Call) -> str:
        """The offered tool that a call's name means, "" if it means none or more than one.

        Models write names with more around them: `functions.City` and `City<|channel|>commentary` (gpt-oss),
        `default_api.City` (Gemini), `functions.City:0` (Kimi K2), and in other case.
        """
        if call.name in self._tools:
            return call.name
        said = _NUMBER.sub("", call.name.partition("<|")[0].strip())
        for folded in (str, str.casefold):
            fitting = sorted(
                (tool for tool in self._tools if _ends_in(folded(said), folded(tool))), key=len, reverse=True
            )
            if len(fitting) == 1 or (fitting and len(fitting[0]) > len(fitting[1])):
                return fitting[0]
        return ""

    def find(self, call_id: str, name: str, index: Any) -> Call:
        """The call a fragment belongs to, opened if it is a new one.

        Providers differ: index 0 for all calls, no index, no id, a fresh id or the name again per fragment.

        Args:
            call_id: The fragment's id, "" if it has none.
            name: The fragment's name, "" if it has none.
            index: The fragment's index, None if it has none.
        """
        known = self._by_id.get(call_id) if call_id else None
        if known is None:
            known = self.newest.get(index)
            if known is not None and self._is_another(known, call_id, name):
                known = None
            if known is None:
                return self.open(call_id, "", index)
        if call_id and not known.id:
            known.id = call_id
            self._by_id[call_id] = known
        return known

    def _is_another(self, known: Call, call_id: str, name: str) -> bool:
        """Whether a fragment under a known call's index, with an id not seen before or none, begins another call."""
        if not name:
            return bool(call_id and known.id and not known.name)
        if call_id and known.id:
            return True
        if not known.name:
            return False
        return _closed(known.args) if name == known.name else not self._is_piece(known, name)

    def _is_piece(self, known: Call, name: str) -> bool:
        """Whether a name goes on with that of a known call, as some servers send names in pieces like arguments."""
        if known.started:
            return False
        return known.name + name in self._tools or not (known.name in self._tools or name in self._tools)


def _ends_in(said: str, tool: str) -> bool:
    """Whether a name is a tool's, alone or behind a prefix that ends where no name goes on."""
    before = said.removesuffix(tool)
    if before == said:
        return False
    return not before or before.endswith("__") or not (before[-1].isalnum() or before[-1] == "_")


_PLACEHOLDER = re.compile(r"\A(?:\s*\{\s*\})+(?=\s*\{)")
_NUMBER = re.compile(r":\d+\Z")
_BLANK = re.compile(r"\s*(?:\{\s*\}\s*)*\Z").match


def _closed(text: str) -> bool:
    """Whether text is a whole JSON value."""
    if not text.rstrip().endswith("}"):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def object_of(text: str) -> Any:
    """Arguments as an object, as far as they go: cut ones lose their unfinished end, broken ones give {}."""
    from pydantic_core import from_json

    try:
        return from_json(text or "{}", allow_partial="trailing-strings")
    except ValueError:
        return {}


def insides(thing: Any) -> dict[str, Any]:
    """The attributes of an SDK's object; a mapping itself."""
    return thing if thing.__class__ is dict else thing.__dict__


def namespace(value: Any) -> Any:
    """Mappings as objects with attributes, all the way down."""
    if isinstance(value, dict):
        return SimpleNamespace(**{str(key): namespace(item) for key, item in value.items()})
    if isinstance(value, list):
        return [namespace(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """An SDK's object as plain data, all the way down."""
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True, warnings=False)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, SimpleNamespace):
        return plain(vars(value))
    return value


def error_in(fields: dict[str, Any]) -> str | None:
    """The message of an event that is an error and nothing else, in whatever envelope; None if it is none.

    Servers put it under `error`, as OpenAI does; send the error itself (`{"object": "error", "message": ...}`, vLLM and
    FastChat); or what their web framework makes of an exception (`{"detail": ...}`, FastAPI).
    """
    if error := fields.get("error"):
        return message_of(error)
    if "error" in (fields.get("object"), fields.get("type")):
        return message_of(fields)
    message = fields.get("message")  # Anthropic's events have an object under this name
    said = fields.get("detail") or fields.get("errors") or (message if isinstance(message, str) else None)
    return message_of(said) if said else None


def message_of(error: Any) -> str:
    """The message of a provider's error object."""
    said = plain(error)
    if isinstance(said, dict):
        return str(said.get("message") or said.get("code") or said)
    return str(said)


_INPUT = ("prompt_tokens", "input_tokens", "prompt_token_count", "inputTokens")
_OUTPUT = ("completion_tokens", "output_tokens", "candidates_token_count", "outputTokens")
_TOTAL = ("total_tokens", "total_token_count", "totalTokens")


def tokens(usage: Any) -> Usage:
    """A provider's usage object in our words.

    Args:
        usage: An object or mapping; absent figures count as 0, an absent total as the sum.
    """

    def figure(names: tuple[str, ...]) -> int:
        for name in names:
            value = usage.get(name) if isinstance(usage, dict) else getattr(usage, name, None)
            if isinstance(value, int | float):
                return int(value)
        return 0

    came, went, total = figure(_INPUT), figure(_OUTPUT), figure(_TOTAL)
    return Usage(came, went, total or came + went)
