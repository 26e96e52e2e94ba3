"""What a failure means: an answer that was refused, or a provider that was not reached, that broke, or was too slow."""

from __future__ import annotations

from instructor_stream_ext.providers.plain import message_of

__all__ = ["NotAnswered", "Rejected", "is_before_the_first_byte", "is_read_timeout", "without_internals", "words_of"]


class Rejected(Exception):
    """The gate refused the answer. It wraps the reason, so that no caller's exception is mistaken for it."""

    def __init__(self, error: Exception, *, for_good: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.for_good = for_good


class NotAnswered(Exception):
    """The API raised before the first byte, so the caller's retry rules decide. It wraps what was raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def without_internals(error: BaseException) -> None:
    """Remove this package's own wrappers from the exception chain that the caller sees."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        context = link.__context__
        if isinstance(context, Rejected | NotAnswered):
            link.__context__ = None if id(context.error) in seen else context.error
        link = link.__context__


_NOT_CONNECTED = frozenset({"ClientConnectorError", "ConnectError", "ConnectTimeout"})
"""The errors of aiohttp, httpx and httpx2 for a connection that was never made."""


def is_before_the_first_byte(error: Exception) -> bool:
    """Return whether an SDK that connects only when first read, as google-genai's, got no stream at all.

    It refuses what it cannot send by a plain `ValueError`; what it cannot read is a kind of its own, or JSON's.
    """
    if type(error) is ValueError:
        return True
    if isinstance(getattr(error, "status_code", getattr(error, "code", None)), int):
        return True
    return any(kind.__name__ in _NOT_CONNECTED for kind in type(error).__mro__)


_READ_TIMEOUTS = frozenset(
    {
        "APITimeoutError",  # openai, anthropic, groq
        "ReadTimeout",  # httpx, httpx2, requests
        "ReadTimeoutError",  # urllib3, botocore
        "ServerTimeoutError",  # aiohttp
        "Timeout",  # litellm
        "TimeoutError",
    }
)


def is_read_timeout(error: BaseException | None) -> bool:
    """Return whether an error is a timeout of the transport or the SDK, or was caused by one."""
    seen = 0
    while error is not None and seen < 10:  # noqa: PLR2004  no chain of causes is that long
        if any(kind.__name__ in _READ_TIMEOUTS for kind in type(error).__mro__):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def words_of(error: Exception) -> str:
    """Return an error's message, with the provider's own words where the SDK keeps them."""
    said = str(error) or type(error).__name__
    body = getattr(error, "body", None)
    told = message_of(body) if body else ""
    return said if told in said else f"{said}: {told}"
