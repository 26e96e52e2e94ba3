"""One attempt's open stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from instructor_stream_ext._instructor import closing
from instructor_stream_ext._instructor.haste import Haste
from instructor_stream_ext._instructor.link import Link, LitellmLink
from instructor_stream_ext._instructor.litellm_chunks import chunks_below
from instructor_stream_ext._instructor.sockets import OwnSocket
from instructor_stream_ext.core.errors import StreamInterrupted
from instructor_stream_ext.core.text import visible
from instructor_stream_ext.providers import reader_for
from instructor_stream_ext.providers.openai_chat import OpenAIChatReader
from instructor_stream_ext.providers.raw import beside_events, error_beside, read_as_json, read_leniently
from instructor_stream_ext.providers.reader import Reader, Reading
from instructor_stream_ext.providers.router import RouterWatch
from instructor_stream_ext.providers.tools import tool_names

__all__ = ["InstructorConnection", "connection_of"]

_SHOWN = 200
"""How many characters are shown of what came in place of events."""


class InstructorConnection:
    """One attempt's open stream, as `session.protocols.Connection` describes it.

    Args:
        link: The client.
        stream: What the SDK handed out.
        kwargs: The request.
        is_text: Whether the answer is to be plain text.
        through_wrapper: Whether a stream of litellm's is read through litellm's wrapper in any case.

    Attributes:
        sent: The request.
    """

    def __init__(
        self, link: Link, stream: Any, kwargs: dict[str, Any], *, is_text: bool, through_wrapper: bool = False
    ) -> None:
        self._stream = stream
        self._through_wrapper = through_wrapper
        self._is_async = link.is_async
        self.chunks: Iterator[Any] | AsyncIterator[Any] = stream
        self.model, self.provider = link.asked(kwargs)
        self.reader: Reader = reader_for(
            link.provider.value,
            link.mode.value,
            tools=None if is_text else tool_names(kwargs),
            extractor=link.handlers.stream_extractor,
        )
        self.sent = kwargs
        if isinstance(self.reader, OpenAIChatReader):
            self.reader.several = (kwargs.get("n") or 1) != 1
        if link.calls_in_parallel and not is_text and isinstance(self.reader, Reading):
            self.reader.read_all_calls()
        self._noted: list[Any] = []
        self._events = stream
        self._is_at_end = False
        self.own = OwnSocket()
        if not self._is_async:
            closing.own_socket(stream, self.own)
        self._opened()

    def _opened(self) -> None:
        read_leniently(self._stream)
        read_as_json(self._stream)

    def _answers(self) -> list[Any]:
        """Return the HTTP responses that the stream reads from."""
        return closing.responses_under(self._stream)

    def flows(self) -> None:
        if self._is_async:
            self._noted += closing.generators_under(self._stream)
        elif not self.own.is_known:  # an SDK that connects only when it is read shows its connection now
            closing.own_socket(self._stream, self.own)

    def hasten(self, haste: Haste) -> None:
        """Note the shortened timeout of the request, whose headers came in time."""
        haste.lift(closing.responses_under(self._stream))
        if not self.own.is_known:
            self.own = haste.own  # an SDK that connects only when it is read notes its connection there

    def close(self) -> Any:
        if self._is_async:
            return closing.aclose(self._stream, self._noted, is_left=not self._is_at_end)
        return closing.close(self._stream)

    def wake(self) -> bool:
        return self.own.shut_down()

    def detail(self) -> str:
        kind = next((response.headers.get("content-type", "") for response in self._answers()), "")
        instead = visible(beside_events(self._events)[:_SHOWN])
        if kind and "event-stream" not in kind:
            return f"the answer was {kind}, not an event stream" + (f": {instead}" if instead else "")
        if instead:
            return f"lines came that are no events: {instead}"
        if strays := self.reader.strays:
            offered = ", ".join(map(repr, sorted(tool_names(self.sent) or ())))
            return f"it called {', '.join(map(repr, strays))}, which the request does not offer; it offers {offered}"
        return "only reasoning came" if self.reader.reasoned else ""

    def just_stopped(self, error: Exception) -> bool:  # noqa: ARG002
        return False

    def ended(self) -> Exception | None:
        self._is_at_end = True
        said = error_beside(self._events) if self.reader.end is None else None
        return None if said is None else StreamInterrupted(said)


class _LitellmConnection(InstructorConnection):
    """A litellm stream. It hides how the provider's stream ended, and that a connection broke."""

    def _opened(self) -> None:
        self._look_below()
        self._heard = self._stream
        if isinstance(self.reader, OpenAIChatReader):
            self.reader.begins_another = RouterWatch().begins_another
            self.reader.package = "litellm"
            if not self._through_wrapper:
                self.chunks = chunks_below(self._stream, self._named, is_async=self._is_async)

    def _look_below(self) -> None:
        self._responses = closing.responses_under(self._stream)
        self._noted = list(self._responses)
        self._events = closing.innermost(self._stream, "_cast_to")  # the SDK's own stream
        read_leniently(self._events)

    def _answers(self) -> list[Any]:
        return self._responses

    def _named(self, chunk: Any) -> None:
        """Take the answer's id and model from one of litellm's own chunks."""
        if isinstance(self.reader, OpenAIChatReader):
            self.reader.names = chunk.id, chunk.model

    def flows(self) -> None:
        self._look_below()  # again, as the Router reads through a generator, which shows nothing before it has begun
        self._heard = closing.innermost(self._stream, _HEARD[0])
        super().flows()

    def just_stopped(self, error: Exception) -> bool:
        # litellm 1.110 raises where the provider's stream ends without a finish reason, which earlier ones took for
        # "stop" (https://github.com/BerriAI/litellm/issues/40260); whether the connection broke or the server just said
        # no more is for `ended` to find out
        return _UNFINISHED in str(error)

    def ended(self) -> Exception | None:
        self._is_at_end = True
        # litellm 1.83 says "stop" where the provider said nothing, and its async transport hides a broken connection
        # (https://github.com/BerriAI/litellm/issues/33404)
        for_sure, maybe = (getattr(self._heard, name, "") for name in _HEARD)
        if for_sure is not None:
            return None
        broken = closing.error_under(self._responses)
        if broken is not None or maybe is None:
            self.reader.disbelieve_end()
        return broken if isinstance(broken, Exception) else super().ended()


def connection_of(
    link: Link, stream: object, kwargs: dict[str, Any], *, is_text: bool, through_wrapper: bool = False
) -> InstructorConnection:
    """Return the connection of a stream that this client's SDK returned."""
    kind = _LitellmConnection if isinstance(link, LitellmLink) else InstructorConnection
    return kind(link, stream, kwargs, is_text=is_text, through_wrapper=through_wrapper)


_UNFINISHED = "Stream ended before a finish_reason was received"
_HEARD = ("received_finish_reason", "intermittent_finish_reason")
"""Where litellm's stream keeps the provider's finish reason. Both stay None until there is one; the second may be set
without one after some Gemini chunks (https://github.com/BerriAI/litellm/issues/12249).

The second may be there without one, after some chunks of Gemini's (https://github.com/BerriAI/litellm/issues/12249).
"""
