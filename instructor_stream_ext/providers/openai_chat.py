"""Chat-completion chunks: from OpenAI, the many compatible servers, and litellm."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.providers.calls import Call
from instructor_stream_ext.providers.family import Family, UsageNames
from instructor_stream_ext.providers.plain import error_in, insides, message_of, plain, with_extra
from instructor_stream_ext.providers.reader import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAMILY", "OpenAIChatReader"]

# Where each SDK keeps its type of a whole answer; OpenAI's stands in for the others.
_COMPLETIONS = {
    "cerebras": ("cerebras.cloud.sdk.types.chat.chat_completion", "ChatCompletionResponse"),
    "groq": ("groq.types.chat", "ChatCompletion"),
    "litellm": ("litellm", "ModelResponse"),
    "writerai": ("writerai.types", "ChatCompletion"),
}


_TAKEN = frozenset({"choices", "created", "error", "id", "model", "obfuscation", "object", "stream", "usage", "x_groq"})
_TAKEN_OF_CHOICE = frozenset({"delta", "finish_reason", "index", "logprobs", "message"})
_TAKEN_OF_CALL = frozenset({"function", "id", "index", "type"})
"""What is taken of a chunk, of a choice and of a call by name; the answer has everything else as it came."""


class OpenAIChatReader(Reading):
    """Reads chat-completion chunks, as objects of any SDK or as the JSON that came.

    Of several choices only the one with index 0 counts. Attributes are read from where pydantic keeps them: a missing
    one costs nothing there, while asking the object would raise and catch an error per chunk.

    Args:
        tools: Names of the tools in the request; None when the document is the content.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        super().__init__(tools)
        self._kind: type | None = None
        self._open: Callable[[Any], dict[str, Any]] = insides
        self.several = False
        """True if more than one choice was asked for; else a lone choice is the choice, whatever its index."""
        self.begins_another: Callable[[Any], bool] | None = None
        """Under litellm, whose Router can put another answer into the stream: whether a chunk begins one."""
        self.package = ""
        """Of the SDK whose type a whole answer has, where that is another than its chunks are of."""
        self.names: tuple[str, str] | None = None
        """The id and the model of the answer, where its chunks say it otherwise."""
        self._others: set[Any] = set()
        self._extra: dict[str, Any] = {}
        self._extra_of_choice: dict[str, Any] = {}
        self._logprobs: dict[str, list[Any]] = {}
        self._annotations: list[Any] = []

    def read(self, chunk: object) -> str:
        """Return the new text of the document in this chunk, "" if there is none."""
        self.alive = False
        self.switched = None
        if chunk is None:
            self._fail("error", "the provider sent null in place of a chunk")
            return ""
        if chunk.__class__ is not self._kind:
            self._meet(chunk)
        open_ = self._open
        fields = open_(chunk)
        usage = fields.get("usage")
        if usage is not None:
            self._usage = usage
        choices = fields.get("choices")
        if not choices:
            if (said := error_in(with_extra(chunk))) is not None:
                self._fail("error", said)
            self._extra |= _other_than(_TAKEN, chunk)
            return ""
        if self.begins_another is not None and self.begins_another(chunk):
            self._begin_another(fields)
        choice = open_(choices[0])
        if choice.get("index"):
            choice = self._choice([open_(one) for one in choices])
        delta = choice.get("delta")
        text = "" if delta is None else self._delta(fields, delta)
        if (logprobs := choice.get("logprobs")) is not None:
            self._weigh(logprobs)
        if finish := choice.get("finish_reason"):
            self._finished(finish, chunk, choice)
        return text

    def completion(self) -> Any:
        """Return the answer so far: in the SDK's own type where it has one, else as OpenAI's `ChatCompletion`."""
        package = self.package or (self._kind.__module__ if self._kind else "").partition(".")[0]
        module, name = _COMPLETIONS.get(package, ("openai.types.chat", "ChatCompletion"))
        make = getattr(import_module(module), name)
        if package != "litellm":
            return make.construct(**self._answer(bare=False))
        try:
            return make(**self._answer(bare=False))
        except (TypeError, ValueError):  # litellm checks what it knows, and there are servers that mean something else
            return make(**self._answer(bare=True))

    _created = 0

    def _meet(self, chunk: object) -> None:
        """Learn where a new kind of chunk keeps its attributes."""
        fields = insides(chunk)
        self._created = fields.get("created") or self._created
        choices = fields.get("choices")
        if choices:  # else the next one tells
            self._kind = type(chunk)
            self._open = insides if "delta" in insides(choices[0]) else with_extra

    def _delta(self, fields: dict[str, Any], delta: object) -> str:
        """Take the delta of a chunk with these fields."""
        said = self._open(delta)
        content, calls = said.get("content"), said.get("tool_calls")
        if not self._began:
            self._identify(*(self.names or (fields.get("id"), fields.get("model"))))
        if self._deliberates and (content or calls):
            self._deliberates = False
            self._quiet(delta)
        if content:
            text = self._text(content if content.__class__ is str else self._parts(content))
            return text + self._fragments(calls) if calls else text
        if calls:
            return self._fragments(calls)
        self._quiet(delta)
        return ""

    _deliberates = True
    """True until a delta has no reasoning: vLLM and SGLang send its end and the first text in one delta."""

    def _choice(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """The choice that counts, of those in a chunk whose first one has an index that is not 0; {} if none does.

        Some servers give a lone choice the index 1, others one that counts tokens. A choice that introduces itself
        with its role, after another has begun, is a second one, though it was not asked for.
        """
        if self.several or len(choices) > 1:
            return next((one for one in choices if not one.get("index")), {})
        (choice,) = choices
        index, delta = choice["index"], choice.get("delta")
        said = {} if delta is None else self._open(delta)
        is_introduced = said.get("role") and not (said.get("content") or said.get("tool_calls"))
        if is_introduced and not choice.get("finish_reason") and self.response_id and index != self._first:
            self._others.add(index)
        if self._first is None and not self.response_id:
            self._first = index
        return {} if index in self._others else choice

    _first: Any = None
    """The index of the first choice, if it is not 0."""

    def _begin_another(self, fields: dict[str, Any]) -> None:
        """Start another answer with the chunk that has these fields."""
        if self._began:
            self._switch(fields.get("model"))
        else:
            self._forget()
        self.response_id = None

    def _forget(self) -> None:
        super()._forget()
        self._deliberates = True
        self._extra, self._extra_of_choice, self._logprobs, self._annotations = {}, {}, {}, []

    def _fragments(self, fragments: list[Any]) -> str:
        """Take fragments of tool calls; returns those of the document."""
        calls = self._calls
        text = ""
        for fragment in fragments:
            fields = insides(fragment)
            function = fields.get("function")
            function = {} if function is None else insides(function)
            given, name = fields.get("id"), function.get("name")
            if given or name:
                call = self._headed(given or "", name or "", fields.get("index"))
                call.extra |= _other_than(_TAKEN_OF_CALL, fragment)
                if name:
                    text += calls.name(call, name)
            else:
                call = calls.newest.get(fields.get("index")) or calls.open(index=fields.get("index"))
            if args := function.get("arguments"):
                self.alive = self._began = True
                text += calls.write(call, args if args.__class__ is str else _dumped(args))
        return text

    def _headed(self, call_id: str, name: str, index: object) -> Call:
        """Return the call that a fragment with an id or a name belongs to."""
        # Mistral's SDK fills in the word "null" for an absent id.
        return self._calls.find("" if call_id == "null" else call_id, name, index)

    def _parts(self, content: Any) -> str:
        """Return the text of content that comes as a list of parts; thinking among them is reasoning."""
        text = ""
        for part in content:
            fields = insides(part)
            if isinstance(fields.get("text"), str):
                text += fields["text"]
            elif isinstance(fields.get("thinking"), str):
                self._reason(fields["thinking"])
            elif fields.get("thinking"):
                self._reason("".join(insides(inner).get("text") or "" for inner in fields["thinking"]))
        return text

    def _quiet(self, delta: object) -> None:
        """Take what a delta may carry besides text and calls: a refusal, sources, reasoning."""
        fields = with_extra(delta)
        if refusal := fields.get("refusal"):
            self._refuse(refusal)
            return
        if isinstance(annotations := fields.get("annotations"), list):
            self._annotations += plain(annotations)
        thought = fields.get("reasoning_content") or fields.get("reasoning")
        details = fields.get("reasoning_details")
        if not isinstance(thought, str) or not thought:
            if not details:
                return
            thought = "".join(str(plain(detail).get("text") or "") for detail in details)
        self._deliberates = True
        self._reason(thought)

    def _weigh(self, logprobs: object) -> None:
        """Keep the log probabilities of a chunk's tokens: OpenAI's lists, or those of the API before it."""
        told = plain(logprobs)
        for name, tokens in told.items() if isinstance(told, dict) else ():
            if isinstance(tokens, list):
                self._logprobs.setdefault(name, []).extend(tokens)

    def _finished(self, word: object, chunk: object, choice: dict[str, Any]) -> None:
        """Take the finish reason, and what some providers send with it."""
        self._close(word)
        fields = with_extra(chunk)
        choice = next(one for one in map(with_extra, fields["choices"]) if one.get("index") == choice.get("index"))
        self._extra |= _other_than(_TAKEN, fields)
        self._extra_of_choice |= _other_than(_TAKEN_OF_CHOICE, choice)
        groq = fields.get("x_groq")
        if groq is not None:
            told = plain(groq)
            self._usage = told.get("usage") or self._usage
            if told.get("error"):
                self._fail("error", message_of(told["error"]))
        if self.end is not None and self.end.kind is EndKind.FAILED and choice.get("error"):
            self._fail(self.end.word, message_of(choice["error"]))

    def _answer(self, *, bare: bool) -> dict[str, Any]:
        """Return the answer as plain data; a bare one has nothing but text, calls, their end and the tokens."""
        message = self._message()
        choice = {"index": 0, "finish_reason": self.end.word if self.end else None, "message": message}
        answer = {
            "id": self.response_id or "",
            "object": "chat.completion",
            "created": self._created,
            "model": self.model or "",
            "choices": [choice],
        }
        if self._usage is not None:
            answer["usage"] = plain(self._usage)
        if not bare:
            message |= {"annotations": self._annotations} if self._annotations else {}
            choice |= {"logprobs": self._logprobs} if self._logprobs else {}
            choice |= self._extra_of_choice
            answer |= self._extra
        return answer

    def _message(self) -> dict[str, Any]:
        """Return the answer's message as plain data."""
        message: dict[str, Any] = {"role": "assistant", "content": self._content.getvalue() or None}
        if self.refusal:
            message["refusal"] = self.refusal
        if thought := self._thought.getvalue():
            message["reasoning_content"] = thought
        if self._calls.all:
            message["tool_calls"] = [
                {
                    **call.extra,
                    "id": call.id or f"call_{number}",
                    "type": "function",
                    "function": {"name": call.called, "arguments": call.arguments},
                }
                for number, call in enumerate(self._calls.all)
            ]
        return message


def _other_than(names: frozenset[str], thing: object) -> dict[str, Any]:
    """Return the attributes of an SDK object other than these, as plain data; empty ones say nothing."""
    told = with_extra(thing).items()
    return {name: plain(value) for name, value in told if name not in names and value not in (None, "", [], {})}


def _dumped(args: object) -> str:
    """Return arguments that came as an object, as JSON text."""
    return json.dumps(plain(args), ensure_ascii=False)


_PIECES = "sends tool arguments as they are written"
_WHOLE = "sends tool arguments whole, and text under a JSON schema in pieces"
_ANY_SERVER = "follows a JSON schema on any server; tool calls need one that was started for them"
_GROQ = (
    "sends tool arguments whole, and refuses to stream under a response_format, so litellm fetches the whole answer "
    "and plays it; JSON that is asked for in words streams"
)
_OLLAMA = (
    "litellm holds JSON back to look for a tool call in it; JSON that is asked for in words streams, but better take "
    "ollama_chat/"
)

FAMILY = Family(
    providers=(
        "anyscale",
        "azure_openai",
        "cerebras",
        "databricks",
        "deepseek",
        "fireworks",
        "groq",
        "litellm",
        "ollama",
        "openai",
        "openrouter",
        "perplexity",
        "together",
        "writer",
    ),
    reader=OpenAIChatReader,
    end_words={
        EndKind.COMPLETE: (
            "stop tool_calls function_call "  # platform.openai.com/docs/api-reference/chat/object
            "finish_reason_stop eos eos_token end_of_sequence end_of_text "  # text-generation-inference, Together
            "stop_token stop_string stop_str matched_stop eosfound stopstringfound toolcalls "  # SGLang, LM Studio
            "normal finished finish done end success succeeded load unload word"  # ERNIE, Replicate, Ollama, llama.cpp
        ),
        EndKind.TRUNCATED: (
            "length model_length max_length limit token_limit max_tokens_reached "
            "maxpredictedtokensreached contextlengthreached "  # LM Studio
            "repetition repetition_limit continuation incomplete"
        ),
        EndKind.FILTERED: "content_filter content_filtered sensitive jailbreak escalation",
        EndKind.REFUSED: "refused",
        EndKind.FAILED: (
            "abort aborted error failed cancelled canceled network_error insufficient_system_resource timeout "
            "user_cancel"
        ),
    },
    usage_names=(UsageNames("prompt_tokens", "completion_tokens", "total_tokens"),),
    holders={
        "cerebras": ("response", "_iterator"),
        "groq": ("response", "_iterator"),
        "instructor_stream_ext": ("completion_stream", "chunks"),  # what stands between litellm and an SDK's stream
        "litellm": ("completion_stream", "streaming_response", "response_iterator", "response"),
        "openai": ("response", "_iterator"),
        "writerai": ("response", "_iterator"),
    },
    prices={"azure_openai": "azure"},
    telemetry={"azure_openai": "azure.ai.openai"},
    litellm={
        "azure": ("TOOLS", _PIECES),
        "deepseek": ("TOOLS", _PIECES),
        "groq": ("MD_JSON", _GROQ),
        "hosted_vllm": ("JSON_SCHEMA", _ANY_SERVER),
        "ollama": ("MD_JSON", _OLLAMA),
        "ollama_chat": ("JSON_SCHEMA", _WHOLE),
        "openai": ("TOOLS", _PIECES),
        "openrouter/anthropic": ("TOOLS", _PIECES),
        "openrouter/deepseek": ("TOOLS", _PIECES),
        "openrouter/openai": ("TOOLS", _PIECES),
        "vllm": ("JSON_SCHEMA", _ANY_SERVER),
        "zai": ("MD_JSON", "sends tool arguments whole, and litellm knows no response_format for it"),
    },
)
