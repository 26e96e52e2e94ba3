"""Many chunks of a chat completion as a few that say the same: each run of text becomes one chunk."""

from __future__ import annotations

from io import StringIO
from typing import Any

from instructor_stream_ext.providers.plain import with_extra

__all__ = ["Condenser", "finish_in", "is_mere_end"]

_TEXTS = frozenset({"content", "reasoning", "reasoning_content"})
_HEAD = frozenset(
    {
        "choices",
        "created",
        "id",
        "model",
        "object",
        "obfuscation",
        "provider",
        "service_tier",
        "system_fingerprint",
        "usage",
    }
)
"""Fields of a chunk that say nothing, or that the next chunk repeats."""
_OF_CHOICE = frozenset({"delta", "finish_reason", "index"})
_NO_END = (None, "", "stop")
"""Finish reasons that may stand beside text: some Gemini models say "stop" in each chunk
(https://github.com/BerriAI/litellm/issues/12249).
"""
_SHORT = 2
"""How long a text may be whose repetition litellm tolerates."""


class Condenser:
    """Takes an answer's chunks as they arrive, and returns fewer that say the same.

    Args:
        most_equal: How many chunks in a row may bring the same text; litellm takes more for a model that
            hangs (https://github.com/BerriAI/litellm/issues/5158).
    """

    def __init__(self, most_equal: float) -> None:
        self._most_equal = most_equal
        self._condensed: list[Any] = []
        self._begun: Any = None
        self._usage: Any = None
        self._slot: tuple[Any, ...] = ()
        self._text = StringIO()
        self._keys: frozenset[str] = frozenset()
        self._choice_keys: frozenset[str] = frozenset()
        self._others: list[str] = []
        self._others_of_choice: list[str] = []
        self._last = ""
        self._equal = 0
        self._is_stuck = False

    def take(self, chunk: object) -> bool:
        """Take a chunk from any SDK.

        Returns:
            False for one that was not taken, as it is no step on the way: an end, an error, or one text too often.
        """
        if chunk.__class__ is dict and self._keys and (text := self._more(chunk)):
            return self._add(text)
        fields = with_extra(chunk)
        choices = fields.get("choices")
        if not choices or fields.get("error") is not None:
            return False
        choice = with_extra(choices[0])
        slot, text = _piece(fields, choice) if len(choices) == 1 else ((), "")
        if not slot:
            if finish_in(chunk):
                return False
            self._close()
            self._last = ""
            self._condensed.append(chunk)
            return True
        if slot != self._slot:
            self._close()
            self._last = ""
            self._slot, self._begun = slot, chunk
            self._keys, self._choice_keys = frozenset(fields), frozenset(choice)
            self._others = [name for name in fields if name not in _HEAD or name == "usage"]
            self._others_of_choice = [name for name in choice if name not in _OF_CHOICE]
        self._usage = fields.get("usage")
        return self._add(text)

    def _add(self, text: str) -> bool:
        """Add to the run of text."""
        if text == self._last and len(text) > _SHORT:
            self._equal += 1
            if self._equal >= self._most_equal:
                self._is_stuck = True
                return False
        else:
            self._equal, self._last = 1, text
        self._text.write(text)
        return True

    def _more(self, chunk: dict[str, Any]) -> str:
        """Return the text of a chunk that otherwise equals the first of the run; "" for any other chunk."""
        choices: list[Any] = chunk.get("choices") or []
        if len(choices) != 1 or chunk.keys() != self._keys or choices[0].keys() != self._choice_keys:
            return ""
        choice = choices[0]
        for name in self._others:
            if chunk[name]:
                return ""
        for name in self._others_of_choice:
            if choice[name]:
                return ""
        finish, name, index, *place = self._slot
        delta = choice.get("delta")
        if not delta or len(delta) != 1 or choice.get("finish_reason") != finish or choice.get("index") != index:
            return ""
        text = delta.get(name)
        if place and text:
            call = text[0]
            function: dict[str, Any] = call.get("function") or {}
            is_more = len(text) == len(function) == 1 and len(call) == 2 and call.get("index") == place[0]  # noqa: PLR2004
            text = function.get("arguments") if is_more else ""
        return text if text.__class__ is str else ""

    def give(self) -> list[Any]:
        """Return what was taken since the last call, in few chunks."""
        repeated: list[Any] = []
        if self._is_stuck:  # these one by one, so that litellm can count them
            repeated = [self._chunk(self._last)] * (self._equal - 1)
            self._text.truncate(self._text.seek(self._text.tell() - len(repeated) * len(self._last)))
        self._close()
        self._condensed += repeated
        given, self._condensed = self._condensed, []
        return given

    def _close(self) -> None:
        """End the run of text."""
        if text := self._text.getvalue():
            self._condensed.append(self._chunk(text))
        self._slot, self._keys, self._text = (), frozenset(), StringIO()

    def _chunk(self, text: str) -> Any:
        """Return a chunk like the first of the run, with another text and the latest usage."""
        chunk, name = self._begun, self._slot[1]
        if chunk.__class__ is not dict:
            copied = chunk.model_copy(deep=True)
            delta = copied.choices[0].delta
            if name == "tool_calls":
                delta.tool_calls[0].function.arguments = text
            else:
                setattr(delta, name, text)
            if self._usage is not None:
                copied.usage = self._usage
            return copied
        (choice,) = chunk["choices"]
        delta = choice["delta"]
        said: Any = text
        if name == "tool_calls":
            (call,) = delta[name]
            said = [{**call, "function": {**call["function"], "arguments": text}}]
        return {**chunk, "usage": self._usage, "choices": [{**choice, "delta": {**delta, name: said}}]}


def finish_in(chunk: object) -> Any:
    """Return the finish reason in a chunk; None if it has none."""
    words = [with_extra(choice).get("finish_reason") for choice in with_extra(chunk).get("choices") or ()]
    return next((word for word in words if word), None)


def is_mere_end(chunk: object) -> bool:
    """Return whether a chunk has a finish reason and no text."""
    deltas = [with_extra(with_extra(choice).get("delta") or {}) for choice in with_extra(chunk).get("choices") or ()]
    return bool(finish_in(chunk)) and not any(delta.get("content") or delta.get("tool_calls") for delta in deltas)


def _piece(fields: dict[str, Any], choice: dict[str, Any]) -> tuple[tuple[Any, ...], str]:
    """Return where a chunk's text stands, and the text; ((), "") for a chunk that says anything else as well."""
    nothing: tuple[tuple[Any, ...], str] = ((), "")
    finish = choice.get("finish_reason")
    others = [value for name, value in fields.items() if name not in _HEAD]
    others += [value for name, value in choice.items() if name not in _OF_CHOICE]
    if any(others) or finish not in _NO_END:
        return nothing
    slot: tuple[Any, ...] = ()
    text = ""
    for name, value in with_extra(choice.get("delta") or {}).items():
        if not value or name == "role":
            continue
        if slot:
            return nothing
        if name in _TEXTS and value.__class__ is str:
            slot, text = (finish, name, choice.get("index")), value
        elif name == "tool_calls" and len(value) == 1 and (text := _fragment(call := with_extra(value[0]))):
            slot = finish, name, choice.get("index"), call.get("index")
        else:
            return nothing
    return slot, text


def _fragment(call: dict[str, Any]) -> str:
    """Return the arguments in a chunk's part of a tool call; "" if it says anything else as well."""
    function = with_extra(call.get("function") or {})
    text = function.get("arguments")
    return text if text.__class__ is str and not call.get("id") and not function.get("name") else ""
