"""The properties of all streams, sync and async.

A stream is lazy, is read once, and closes its connection when it is left, whichever way.
"""

from __future__ import annotations

import warnings
from typing import Any, Generic, TypeVar

from instructor_stream_ext.client.picks import Lens, growth
from instructor_stream_ext.core.document.paths import parse_path
from instructor_stream_ext.core.errors import StreamMisuse, StreamStopped
from instructor_stream_ext.core.events import (
    DeltaReceived,
    FieldState,
    FieldTransition,
    ItemCompleted,
    Path,
    SkippedItem,
    StreamStats,
)
from instructor_stream_ext.core.machine import State
from instructor_stream_ext.core.options import Limits
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.drive import Pick

__all__ = ["BEING_READ", "Items", "Stream"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
V_co = TypeVar("V_co", covariant=True)
"""The values of a loop over a stream."""
F_co = TypeVar("F_co", covariant=True)
"""The final of a stream; its partials are of this type, too, as type checkers see it."""


class Stream(Generic[V_co, F_co]):
    """The properties of all streams, readable at any time."""

    def __init__(self, session: Session, messages: list[Any], pick: Pick) -> None:
        self._session = session
        session.spared = _SPARED
        self._machine = session.machine
        self._lens = Lens(pick)
        self._conversation = messages
        self._reading_as: str | None = None
        self._closed = False

    def __del__(self) -> None:
        machine = getattr(self, "_machine", None)  # none where making it failed
        if machine is not None and machine.state is State.NEW and not self._closed and self._reading_as is None:
            said = "a stream was never read, so nothing was sent: iterate over it, or call get_final_response()"
            warnings.warn(said, ResourceWarning, stacklevel=2, source=self)

    @property
    def text(self) -> str:
        """All answer text of the current attempt, including prose but not reasoning."""
        return self._machine.text

    @property
    def reasoning(self) -> str:
        """The model's reasoning in the current attempt, wherever its provider puts it; "" if there is none."""
        reader = self._session.reader
        apart = "" if reader is None else reader.reasoning
        return apart or self._machine.thought

    @property
    def json_text(self) -> str:
        """The JSON document within the text, as far as it has arrived."""
        return self._machine.json_text

    @property
    def partial(self) -> F_co | None:
        """The newest partial, not validated; once the stream is complete, the final object."""
        partial: F_co | None = self._machine.partial
        return partial

    @property
    def is_final(self) -> bool:
        """True once `partial` is the validated final object."""
        return self._machine.is_final

    def state(self, path: str | Path) -> FieldState:
        """Return how far one place of the document has come.

        Args:
            path: A tuple of attribute names, keys and indices, or text such as "items[3].name".

        Raises:
            StreamMisuse: The response model has no such place.

        Example:
            ```python
            if stream.state("sights[0]") is FieldState.COMPLETE:
                show(stream.partial.sights[0])
            ```
        """
        return self._machine.state_of(parse_path(path) if isinstance(path, str) else path)

    @property
    def attempt(self) -> int:
        """The number of the current attempt, from 1."""
        return self._machine.attempt

    @property
    def usage(self) -> Usage | None:
        """Tokens over all attempts; None if the provider sent no usage."""
        reader = self._session.reader
        if reader is not None and self._machine.state is State.STREAMING:
            self._machine.note_usage(reader.usage)
        return self._machine.usage

    @property
    def cost(self) -> float | None:
        """US dollars over all attempts and models; None if a price is unknown.

        Prices are those of genai-prices (extra `[cost]`), under litellm those of litellm. While an attempt runs, and
        for one that was left before the provider had told its tokens, they are estimated; `stats.cost_estimated` says
        whether that is so in the end.
        """
        cost = self._session.cost
        return None if cost is None else cost.dollars

    @property
    def completion(self) -> Any:
        """The provider's answer, assembled from its chunks in the SDK's type; None before the first chunk."""
        return self._session.completion

    @property
    def stats(self) -> StreamStats:
        """Times and counts so far."""
        return self._machine.stats

    @property
    def messages(self) -> list[Any]:
        """The conversation so far with this answer appended, ready for the next turn."""
        return [*self._conversation, {"role": "assistant", "content": self.text}]

    @property
    def limits(self) -> Limits:
        """The size bounds of this stream."""
        return self._machine.limits

    def taken(self, event: ItemCompleted) -> tuple[Any, ...]:
        """Return the validated item of an event, alone in a tuple; an empty one if it is not of the stream's list."""
        return self._session.taken(event)

    def _text_of(self, path: str | Path) -> None:
        """Read the stream as the text of one field from here on."""
        path = parse_path(path) if isinstance(path, str) else path
        self._machine.check_text(path)
        self._claim("the text of a field")
        self._listen(growth(self._machine, path), deltas=True)

    def _claim(self, reading_as: str) -> None:
        """Note in which way the stream is read: it cannot be read in another way, nor twice."""
        before = self._reading_as
        if self._closed or (before is not None and (before, reading_as) not in _MAY_GO_ON):
            reason = f"it is already read as {before}" if before else "it was closed"
            raise StreamMisuse(f"a stream is read once: {reason}; make another call for another pass")
        self._reading_as = reading_as

    def _drains(self) -> None:
        """Note that the rest is read for the final object: a later loop would be a second pass."""
        self._reading_as = self._reading_as or "its final response"

    def _listen(self, pick: Pick, *, deltas: bool = False, transitions: bool = False, reasoning: bool = False) -> None:
        self._lens.pick = pick
        self._session.spared = frozenset()
        machine = self._machine
        machine.wants_deltas = machine.wants_deltas or deltas
        machine.wants_reasoning = machine.wants_reasoning or reasoning
        if transitions and not machine.wants_transitions:
            machine.wants_transitions = True
            if machine.parser is not None:
                machine.parser.transitions = True

    def _result(self) -> Any:
        """Return the final object, or raise the error that took its place."""
        if self._session.error is not None:
            raise self._session.error
        if self._machine.is_final:
            return self._machine.partial
        stopped = StreamStopped("the stream was closed before it began: there is no final object")
        self._session.error = stopped
        raise stopped


BEING_READ = "the stream is being read at this moment, by another task or thread or around this hook"


_SPARED = frozenset((DeltaReceived, FieldTransition))
"""What no stream is read for by a plain loop."""
_MAY_GO_ON = {("single values", "single values"), ("single values", "values")}
"""Ways of reading that may continue one another: a loop may continue after `next`."""


class Items(Stream[T, list[T]]):
    """The properties of a stream of items."""

    @property
    def skipped(self) -> list[SkippedItem]:
        """With `on_bad_item="skip"`, the items so far that did not validate and were left out."""
        return self._session.skipped
