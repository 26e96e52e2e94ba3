"""A call as the caller made it, and the live stream on its way out of instructor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Caught", "Live", "Next", "Request"]


class Request(NamedTuple):
    """One call as the caller made it.

    Attributes:
        wire: The class whose schema is sent; `Iterable[...]` for several tool calls, None for plain text.
        messages: The conversation.
        strict: As in `create`.
        context: As in `create`.
        token_budget: As in `create`.
        usage: Whether to ask for the usage chunk.
        kwargs: For the SDK.
        caching: instructor's `cache`, `cache_ttl` and `cache_namespace`, as far as given.
        through_wrapper: Whether litellm's streams are read through its own wrapper in any case.
        for_create: Whether `create` asked, whose errors are those of instructor's own.
    """

    wire: Any
    messages: Any
    strict: bool
    context: Any
    token_budget: int | None
    usage: bool
    kwargs: dict[str, Any]
    for_create: bool = False
    caching: dict[str, Any] = {}  # noqa: RUF012  never written to
    through_wrapper: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """The next request.

    Attributes:
        arguments: What the SDK's function is called with, as instructor's re-ask handler made them; None for a request
            that instructor has to prepare.
        turns: Messages behind the conversation, which say in words what `arguments` has in the provider's own way.
        rest: Messages behind those, which ask for the rest of an answer that was cut off, as plain text.
        usage_left_out: Whether to try without `stream_options`, which a server seems not to know.
    """

    arguments: dict[str, Any] | None = None
    turns: tuple[Any, ...] = ()
    rest: tuple[Any, ...] = ()
    usage_left_out: bool = False


class Live(NamedTuple):
    """The provider's live stream."""

    completion: Any


class Caught(BaseException):
    """Raised in instructor's `completion:response` hook to carry the live stream out of instructor.

    Its handlers would read the stream to the end; some take none in some modes; some note once per class that one is
    due and lose that with two requests at a time; and looking for the usage of a stream, which has none, makes it
    import other SDKs. It is no `Exception`, as those are caught on the way.
    """

    def __init__(self, live: Live) -> None:
        super().__init__()
        self.live = live
