"""Finals and errors in the form in which instructor's `create` returns and raises them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, cast, get_args

from instructor.core.exceptions import ResponseParsingError
from instructor.v2.dsl.iterable import IterableBase
from instructor.v2.dsl.response_list import ListResponse
from instructor.v2.dsl.simple_type import AdapterBase
from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from instructor_stream_ext._instructor.request import Request
from instructor_stream_ext.core.errors import InvalidJSON, NoOutput
from instructor_stream_ext.providers.reader import Reader

__all__ = ["as_created", "error_as_created"]

log = logging.getLogger("instructor_stream_ext")


def as_created(final: object, completion: object, usage: object) -> Any:
    """Return a final as instructor's `create` does: with the provider's answer and the usage attached."""
    if isinstance(final, list) and not isinstance(final, ListResponse):
        return ListResponse.from_list(final, raw_response=completion, total_usage=usage)
    if isinstance(final, BaseModel):
        private: Any = final
        private._raw_response = completion  # noqa: SLF001
        if usage is not None:
            private._total_usage = usage  # noqa: SLF001
    return final


def error_as_created(
    error: Exception, reader: Reader, request: Request, parse: Callable[..., Any], *, is_async: bool
) -> Exception:
    """Return the error that instructor's `create` raises for a refused answer, caused by the gate's.

    An answer without JSON, of which no validator is told, is given to instructor's own parser; where that finds some,
    as in a draft, it is what instructor says of text that is no JSON. Of a list or a scalar the model is told with the
    places of the object that it was asked to put around it.

    Args:
        error: The gate's.
        reader: Has the answer.
        request: The call.
        parse: instructor's parser of the provider's answers.
        is_async: Whether the client is.
    """
    wire = request.wire
    if not isinstance(wire, type):
        return error
    if isinstance(error, ValidationError) and issubclass(wire, AdapterBase | IterableBase):
        return _in_wrapper(error, cast("type[BaseModel]", wire))
    if not isinstance(error, NoOutput | InvalidJSON):
        return error
    try:
        parse(
            response=reader.completion(),
            response_model=wire,
            validation_context=request.context,
            strict=request.strict,
            stream=False,
            is_async=is_async,
        )
    except (ValidationError, ResponseParsingError, json.JSONDecodeError) as raised:
        raised.__cause__ = error
        return raised
    except Exception as raised:
        log.debug("instructor's parser raised", exc_info=raised)
    fault = InitErrorDetails(type="json_invalid", input=error.text, ctx={"error": str(error)})
    told = ValidationError.from_exception_data(wire.__name__, [fault])
    told.__cause__ = error
    return told


_KINDS_OF_ERROR = frozenset(get_args(core_schema.ErrorType))


def _in_wrapper(error: ValidationError, wire: type[BaseModel]) -> ValidationError:
    """Return the error of a list or a scalar with the paths of the object that instructor wraps around it."""
    (name,) = wire.model_fields
    faults: list[InitErrorDetails] = []
    for one in error.errors(include_url=False):
        kind: Any = one["type"]
        if kind not in _KINDS_OF_ERROR:
            kind = PydanticCustomError(kind, one["msg"])
        fault = InitErrorDetails(type=kind, loc=(name, *one["loc"]), input=one["input"])
        if "ctx" in one and isinstance(kind, str):
            fault["ctx"] = one["ctx"]
        faults.append(fault)
    told = ValidationError.from_exception_data(wire.__name__, faults)
    told.__cause__ = error
    return told
