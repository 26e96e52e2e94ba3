"""What an error means: that nothing was answered, that a read took too long, and what the provider said."""

from __future__ import annotations

import httpx
import pytest

from instructor_stream_ext.session.failures import is_before_the_first_byte, is_read_timeout, words_of


class Refused(Exception):
    """An SDK's error for a status."""

    def __init__(self, **about: object) -> None:
        super().__init__("refused")
        vars(self).update(about)


@pytest.mark.parametrize(
    ("error", "is_before"),
    [
        (ValueError("an argument that cannot be sent"), True),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "bad"), False),
        (Refused(status_code=429), True),
        (Refused(code=503), True),
        (Refused(code="rate_limit"), False),
        (httpx.ConnectError("refused"), True),
        (httpx.ReadError("reset"), False),
    ],
)
def test_nothing_was_answered(error: Exception, is_before: bool) -> None:
    assert is_before_the_first_byte(error) is is_before


def _because_of(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_timeout"),
    [
        (TimeoutError(), True),
        (httpx.ReadTimeout("slow"), True),
        (_because_of(RuntimeError("wrapped"), httpx.ReadTimeout("slow")), True),
        (httpx.ConnectTimeout("slow"), False),
        (RuntimeError("broken"), False),
        (None, False),
    ],
)
def test_a_read_took_too_long(error: Exception | None, is_timeout: bool) -> None:
    assert is_read_timeout(error) is is_timeout


def test_a_chain_that_bites_its_tail_ends() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert not is_read_timeout(one)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("broken"), "broken"),
        (RuntimeError(), "RuntimeError"),
        (Refused(body={"message": "the quota is used up"}), "refused: the quota is used up"),
        (Refused(body={"message": "refused"}), "refused"),
    ],
)
def test_the_providers_own_words(error: Exception, said: str) -> None:
    assert words_of(error) == said
