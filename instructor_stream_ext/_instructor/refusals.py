"""SDK errors that refuse the option asking for usage, or that do not say what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from instructor.core.exceptions import InstructorRetryException

__all__ = ["cause_of", "is_opaque", "names_usage"]

_BAD_REQUEST = (400, 422)
_FEW_WORDS = 6
"""An error with no more words than this, such as MiMo's "Param Incorrect", does not say what is wrong."""


def cause_of(error: Exception) -> Exception:
    """Return the SDK's own exception inside instructor's wrapper."""
    if type(error) is InstructorRetryException and isinstance(error.__cause__, Exception):
        return error.__cause__
    return error


def names_usage(error: Exception) -> bool:
    """Return whether a server rejects `stream_options` by name.

    Mistral's did (https://github.com/openai/openai-agents-python/issues/442).
    """
    is_bad_request = getattr(error, "status_code", None) in _BAD_REQUEST
    return is_bad_request and ("stream_options" in str(error) or "include_usage" in str(error))


def is_opaque(error: Exception, sent: Mapping[str, Any]) -> bool:
    """Return whether a server refuses a request without naming what is wrong with it.

    Args:
        error: What the SDK made of it.
        sent: The request; an error that names one of its arguments is about that.
    """
    if getattr(error, "status_code", None) not in _BAD_REQUEST or getattr(error, "param", None):
        return False
    code, body = getattr(error, "code", None), getattr(error, "body", None)
    # litellm, which hands on no body, puts its own words before the server's
    said = body.get("message") or body.get("detail") if isinstance(body, dict) else str(error).rpartition(" - ")[2]
    words = re.findall(r"\w+", str(said or ""))
    return (not code or str(code).isdigit()) and len(words) <= _FEW_WORDS and set(words).isdisjoint(sent)
