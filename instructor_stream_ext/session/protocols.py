"""The interfaces that a session depends on: connections, where they come from, and what validates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from instructor_stream_ext.core.events import SkippedItem
from instructor_stream_ext.core.spending import Rates
from instructor_stream_ext.core.usage import Cost
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.session.effects import Call

__all__ = ["Connection", "Gate", "ItemTaker", "Recovery", "Source"]


class Connection(Protocol):
    """An attempt's open stream.

    Attributes:
        chunks: The provider's chunks, an iterator or async iterator as the driver is.
        reader: Reads them.
        model: The model asked, as far as known.
        provider: Its provider.
    """

    chunks: Any
    reader: Reader
    model: str | None
    provider: str | None

    def flows(self) -> None:
        """Note that the first chunk has arrived: the time to find what has to be closed at the end."""
        ...

    def close(self) -> Any:
        """Close the HTTP connection; returns a coroutine if async."""
        ...

    def wake(self) -> bool:
        """Shut down the socket below a sync stream, from any thread; returns False if it has none of its own."""
        ...

    def detail(self) -> str:
        """Describe an answer without text, such as by its content type or by a call to an unknown tool."""
        ...

    def just_stopped(self, error: Exception) -> bool:
        """Return whether an error raised by reading only means that the chunks have ended."""
        ...

    def ended(self) -> Exception | None:
        """Correct, at the end of the chunks, what the SDK made up, and return the error that it hid."""
        ...


class Recovery(NamedTuple):
    """Another model takes over."""

    from_model: str | None
    to_model: str | None


class Source(Protocol):
    """Where attempts come from.

    Attributes:
        usage_total: In the provider's own type, for errors.
        failed_attempts: Those that did not pass the gate.
        for_create: Whether `create` asked, whose errors are those of instructor's own.
    """

    usage_total: Any
    failed_attempts: list[Any]
    for_create: bool

    @property
    def recalled_completion(self) -> Any:
        """The provider's answer from the caller's cache; None unless `recall` returned something."""
        ...

    @property
    def create_kwargs(self) -> dict[str, Any]:
        """The request as last sent."""
        ...

    @property
    def messages(self) -> Any:
        """Its conversation."""
        ...

    @property
    def asked(self) -> tuple[str | None, str | None]:
        """The model and the provider that the request goes to, as far as known."""
        ...

    def connect(self, within: float, *, hurried: bool) -> Any:
        """Send the request and return the `Connection` (a coroutine if async). The provider's errors pass through.

        Args:
            within: Seconds in which a sync call has to have the headers; `math.inf` for no bound of ours.
            hurried: There is a bound in time, so the SDK must not try again by itself.
        """
        ...

    def recall(self) -> Any:
        """Return the document in the caller's cache for this request, None if there is none (a coroutine if async)."""
        ...

    def keep(self, result: Any, reader: Reader) -> None:
        """Put a result that passed the gate into the caller's cache, if there is one."""
        ...

    def came_from_api(self, error: Exception) -> bool:
        """Return whether `connect` raised this because of the provider's API, not because of a mistake in the call."""
        ...

    def unanswered(self, error: Exception, attempt: int) -> Exception:
        """Return the error to raise when the API failed before the first byte and no attempt is left."""
        ...

    def owed(self) -> Iterable[Call]:
        """Return what the request's listeners, called during `connect`, left to be awaited or handled."""
        ...

    def answered(self, reader: Reader) -> Iterable[Call]:
        """Return the calls that report a complete answer."""
        ...

    def as_created(self, error: Exception, reader: Reader) -> Exception:
        """Return the error that instructor's `create` raises for an answer that the gate refused."""
        ...

    def rejected(self, reader: Reader, error: Exception, attempt: int) -> Iterable[Call]:
        """Note an attempt that the gate refused, and return the calls that report it."""
        ...

    def errored(self, error: Exception, attempt: int) -> Iterable[Call]:
        """Return the calls that report the provider's failure."""
        ...

    def given_up(self, error: Exception, attempt: int) -> Iterable[Call]:
        """Return the calls that report that no further attempt follows."""
        ...

    def reask(self, error: Exception, text: str) -> None:
        """Make the next request from the failed one, whose answer was this text.

        Raises:
            TokenBudgetError: No tokens are left for it.
        """
        ...

    def go_on(self, text: str, reader: Reader) -> None:
        """Make the next request ask for the rest of an answer that was cut off.

        Args:
            text: The answer so far.
            reader: Has read its last part.
        """
        ...

    def recover(self, error: Exception) -> Recovery | None:
        """Return whether another model takes over, after a failure or when all attempts are used up."""
        ...


class Gate(Protocol):
    """Validation of the whole document."""

    checks: Sequence[Callable[..., object]]

    def open(self, document: str | None, text: str) -> Any:
        """Return the validated result.

        Args:
            document: The JSON; None where it has to be looked for in `text`.
            text: All answer text.

        Raises:
            ValidationError: It does not validate.
            NoOutput: There is no document in the text.
        """
        ...


class ItemTaker(Protocol):
    """Validation of list items, one by one.

    Attributes:
        skipped: The items that did not validate and were left out.
        reasks: Whether an item that does not validate and is not skipped has all begin anew.
    """

    items: list[Any]
    skipped: list[SkippedItem]
    reasks: bool

    @property
    def is_full(self) -> bool:
        """True if no further item is wanted."""
        ...

    def is_item(self, path: tuple[str | int, ...]) -> bool:
        """Return whether this is the place of an item of the list."""
        ...

    def take(self, path: tuple[str | int, ...], document: str, starts: list[int]) -> tuple[Any, ...]:
        """Return the validated item, alone in a tuple; an empty tuple if it is left out.

        Args:
            path: Its place.
            document: The JSON as far as it has come.
            starts: Where in it the list begins, each time that it comes.

        Raises:
            ValidationError: It does not validate.
        """
        ...

    def take_call(
        self, path: tuple[str | int, ...], tool: str, arguments: str, fault: Exception | None
    ) -> tuple[Any, ...]:
        """Validate a tool call, as `take` does an item.

        Args:
            path: Its place.
            tool: Which tool it calls, "" if nobody offered it.
            arguments: Its arguments.
            fault: Why they can be no such call, None if they may be one.

        Raises:
            ValidationError: They do not validate.
            StreamError: The fault.
        """
        ...

    def restart(self) -> None:
        """Forget the items so far."""
        ...


class Meter(Protocol):
    """Computes what attempts cost."""

    def __call__(self, attempt: Any, /) -> Cost | None:
        """Return the cost of an attempt so far; None if it is unknown."""
        ...

    def knows(self, model: str | None, provider: str | None, sent: Mapping[str, Any]) -> bool:
        """Return whether a request to this model would have a price."""
        ...

    def rates(self, attempt: Any, /) -> Rates | None:
        """Return the price of an attempt that is under way; None if it is unknown."""
        ...
