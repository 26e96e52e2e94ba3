"""A conversation that streams: each answer joins the history as the user saw it."""

from __future__ import annotations

import json
import os
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from pydantic_core import PydanticSerializationError, to_jsonable_python

from instructor_stream_ext.client.aio import AsyncStreamClient
from instructor_stream_ext.client.async_streams import AsyncPartialStream, AsyncTextStream
from instructor_stream_ext.client.sync import StreamClient
from instructor_stream_ext.client.sync_streams import PartialStream, TextStream
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import Outcome, StreamEnded
from instructor_stream_ext.core.text import joined

__all__ = ["Conversation"]

T = TypeVar("T")
ClientT = TypeVar("ClientT", bound=StreamClient | AsyncStreamClient)

MARK = "interrupted"
"""The key that marks an unfinished answer. It is kept here and never sent."""


class Conversation(Generic[ClientT]):
    """Turn after turn with one client.

    A turn is the user's text and the answer, which join `messages` together when the answer's stream ends. An answer
    that was left early or broke off is kept as far as it was seen, with `"interrupted": True`. A turn without any text
    of an answer leaves nothing behind, so that it can simply be said again.

    Args:
        client: A wrapped client, sync or async.
        system: The system message; every provider gets it where it wants it.
        max_turns: How many earlier turns are sent along; None for all. `messages` keeps all in any case.
        messages: Where to go on, as `messages` gave it.

    Attributes:
        messages: Plain data: `role` and `content`, the system message first if there is one.

    Raises:
        StreamMisuse: An argument that cannot work.
    """

    def __init__(
        self,
        client: ClientT,
        system: str | None = None,
        max_turns: int | None = None,
        *,
        messages: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        if not isinstance(client, (StreamClient, AsyncStreamClient)):
            raise StreamMisuse(f"a Conversation needs a wrapped client, not {type(client).__name__}: call wrap() first")
        if max_turns is not None and (isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 0):  # type: ignore[redundant-expr]
            raise StreamMisuse(f"max_turns={max_turns!r}: must be a number of turns, or None")
        self.client: ClientT = client
        self.max_turns = max_turns
        self.messages: list[dict[str, Any]] = [_message(message) for message in messages]
        if system is not None:
            self.messages = [{"role": "system", "content": system}, *_spoken(self.messages)]

    @property
    def system(self) -> str | None:
        """The system message."""
        return next((message["content"] for message in self.messages if message["role"] == "system"), None)

    @overload
    def say(self: Conversation[StreamClient], text: Any, response_model: None = None, **call: Any) -> TextStream: ...

    @overload
    def say(self: Conversation[StreamClient], text: Any, response_model: type[T], **call: Any) -> PartialStream[T]: ...

    @overload
    def say(
        self: Conversation[AsyncStreamClient], text: Any, response_model: None = None, **call: Any
    ) -> AsyncTextStream: ...

    @overload
    def say(
        self: Conversation[AsyncStreamClient], text: Any, response_model: type[T], **call: Any
    ) -> AsyncPartialStream[T]: ...

    @overload
    def say(self, text: Any, response_model: Any = None, **call: Any) -> Any: ...

    def say(self, text: Any, response_model: Any = None, **call: Any) -> Any:
        """Ask, and stream the answer; both turns join `messages` when the stream ends.

        Args:
            text: What the user says; also a list of content parts, as the provider takes them.
            response_model: What the answer is to be; None for plain text.
            call: As in the client's `stream_text` or `create_partial`.

        Returns:
            The stream; nothing is sent before it is read.

        Raises:
            StreamMisuse: An argument that cannot work, such as `messages`.
        """
        for name in ("messages", "input"):
            if name in call:
                raise StreamMisuse(f"say({name}=...): a Conversation keeps the messages; give earlier ones to it")
        asked = {"role": "user", "content": text}
        turn = _Turn(self.messages, asked)
        given = call.pop("on_end", None)
        others: list[Callable[..., object]] = [] if given is None else [given] if callable(given) else list(given)
        call.update(messages=[*self._sent(), asked], on_end=[turn.ended, *others])
        if response_model is None:
            stream: Any = self.client.stream_text(**call)
        else:
            stream = self.client.create_partial(response_model, **call)
        turn.seen = getattr(stream, "_text_pick", None)
        return stream

    def _sent(self) -> list[dict[str, Any]]:
        """Return the latest turns as they go to the provider, without the mark."""
        spoken = _spoken(self.messages)
        if self.max_turns is not None:
            begins = [index for index, message in enumerate(spoken) if message["role"] == "user"]
            spoken = spoken[begins[-self.max_turns] :] if 0 < self.max_turns < len(begins) else spoken
            spoken = spoken if self.max_turns else []
        system = [message for message in self.messages if message["role"] == "system"]
        return [{key: value for key, value in message.items() if key != MARK} for message in [*system, *spoken]]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `messages` to a file, as JSON. Models and images among the content parts become plain data.

        The file is replaced when all of it is written, so an error leaves the one before as it was.

        Args:
            path: The file.

        Raises:
            StreamMisuse: A message holds what JSON cannot say; the error names its place.
        """
        said = [_plain(message, f"messages[{number}]") for number, message in enumerate(self.messages)]
        text = json.dumps(said, ensure_ascii=False, indent=2)
        target = pathlib.Path(path).resolve()
        written = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            written.write_text(text + "\n", encoding="utf-8")
            written.replace(target)
        finally:
            written.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str], client: ClientT, *, max_turns: int | None = None) -> Self:
        """Continue a conversation that was saved.

        Args:
            path: The file.
            client: As in the constructor; it may be another client than before.
            max_turns: As in the constructor.

        Raises:
            StreamMisuse: The file does not hold a conversation.
        """
        try:
            messages = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise StreamMisuse(f"{os.fspath(path)} does not hold a conversation: it is not JSON ({error})") from error
        if not isinstance(messages, list):
            raise StreamMisuse(f"{os.fspath(path)} does not hold a conversation: a list of messages is expected")
        return cls(client, max_turns=max_turns, messages=messages)


class _Seen(Protocol):
    """How many characters of the answer the consumer has received."""

    seen: int


class _Turn:
    """A turn that is about to join the history."""

    def __init__(self, history: list[dict[str, Any]], asked: dict[str, Any]) -> None:
        self.seen: _Seen | None = None
        self._history = history
        self._asked = asked

    def ended(self, event: StreamEnded) -> None:
        """Add to the history what the user saw, now that the stream has ended."""
        text = event.text
        if event.outcome is Outcome.CANCELLED and self.seen is not None and self.seen.seen:
            text = text[: self.seen.seen]  # what arrived but was held back, the user did not see
        if not text:
            return
        answer: dict[str, Any] = {"role": "assistant", "content": text}
        if event.outcome is not Outcome.COMPLETED:
            answer[MARK] = True
        self._history += [self._asked, answer]


def _plain(value: Any, place: str) -> Any:
    """Convert a message, or a part of one, to JSON-ready data."""
    if isinstance(value, Mapping):
        return {str(key): _plain(held, f"{place}.{key}") for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(held, f"{place}[{number}]") for number, held in enumerate(value)]
    if isinstance(value, str):
        return joined(value)
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, UnicodeDecodeError) as error:
        raise StreamMisuse(f"{place} cannot be saved: {type(value).__name__} has no form in JSON") from error


def _message(message: Any) -> dict[str, Any]:
    if not isinstance(message, Mapping) or "role" not in message or "content" not in message:
        raise StreamMisuse(f"{message!r} is not a message: it needs a role and a content")
    return dict(message)


def _spoken(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["role"] != "system"]
