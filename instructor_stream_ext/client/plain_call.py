"""One call to instructor's own create."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import RootModel

from instructor_stream_ext._instructor.facts import instructor_takes
from instructor_stream_ext.client.response_model import Shape, shape_of

__all__ = ["PlainCall", "adapted"]


class PlainCall:
    """One call to instructor's own `create`."""

    def __init__(self, shape: Shape | None, create: Callable[..., Any]) -> None:
        self._shape = shape
        self.create = create
        self.kwargs: dict[str, Any] = {}
        self.completion: Any = None

    def keep(self, completion: object) -> None:
        """Note the provider's answer."""
        self.completion = completion

    def result(self, answer: object) -> Any:
        """Convert what instructor returned to the type that the caller asked for."""
        if self.completion is None:  # from the cache, which tells no hook
            self.completion = getattr(answer, "_raw_response", None)
        return answer.root if self._shape is not None and isinstance(answer, RootModel) else answer


def adapted(response_model: object) -> Shape | None:
    """Return the shape of a type that instructor's `create` refuses; None if it accepts the type."""
    if response_model is None or instructor_takes(response_model):
        return None
    return shape_of(response_model)
