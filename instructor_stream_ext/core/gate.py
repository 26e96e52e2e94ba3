"""The one place where validation happens: once per attempt, on the whole document."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from pydantic import TypeAdapter, ValidationError

from instructor_stream_ext.core.document.items import ItemCutter
from instructor_stream_ext.core.document.snapshots import last_values
from instructor_stream_ext.core.errors import InvalidJSON, NoOutput, StreamMisuse
from instructor_stream_ext.core.events import Path, SkippedItem
from instructor_stream_ext.core.text import SURROGATE, joined

__all__ = ["ItemGate", "ModelGate", "OnBadItem", "TextGate", "validate_document"]

_EMPTY_LIST = re.compile(r"\[\s*\]").fullmatch

OnBadItem: TypeAlias = Literal["raise", "skip", "reask"]
"""What an item that does not validate does: end the stream, leave the item out, or start over."""


def validate_document(adapter: TypeAdapter[Any], document: str, *, strict: bool | None, context: object) -> Any:
    """Validate JSON text as `model_validate_json` does, repairing only what the scanner has already shown repaired.

    Raw control characters and lone surrogates, which models send and JSON forbids, were shown as they are and as
    U+FFFD; the gate sees them escaped. No validator has run when that turns out to be needed.

    Args:
        adapter: The type.
        document: The JSON.
        strict: As in pydantic.
        context: As in pydantic.

    Raises:
        ValidationError: It does not validate.
        InvalidJSON: It is no JSON at all.
    """
    try:
        return adapter.validate_json(document, strict=strict, context=context)
    except (ValidationError, UnicodeEncodeError) as error:
        if isinstance(error, ValidationError) and not (_is_syntax(error) or SURROGATE.search(document)):
            raise
    try:
        tree = json.loads(document, strict=False)
    except json.JSONDecodeError as error:
        raise InvalidJSON(f"the document is not JSON: {error.msg}", error.pos) from error
    return adapter.validate_json(json.dumps(_mend(tree)), strict=strict, context=context)


def _is_syntax(error: ValidationError) -> bool:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return first["type"] == "json_invalid" and not first["loc"]


def _mend(value: object) -> Any:
    """Return the same tree with surrogate pairs joined and lone surrogates replaced, in keys too."""
    if isinstance(value, str):
        return joined(value)
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}
    return value


class ModelGate:
    """Validates the whole document.

    Args:
        adapter: What the document is.
        read: From a JSON text to the document in it, None if there is none; for documents that have to be looked for.
        checks: Called with the result; a `ValueError` or `AssertionError` counts as a failed validation.
        kind: The root's JSON kind, "object", "array" or "any", for documents that have to be looked for.
        strict: As in pydantic.
        context: As in pydantic.
    """

    def __init__(
        self,
        adapter: TypeAdapter[Any],
        *,
        read: Callable[[str], str | None] = str,
        checks: Sequence[Callable[..., object]] = (),
        kind: Literal["object", "array", "any"] = "object",
        strict: bool | None = None,
        context: object = None,
    ) -> None:
        self.checks = checks
        self._adapter = adapter
        self._read = read
        self._kind = kind
        self._strict = strict
        self._context = context

    def open(self, document: str | None, text: str) -> Any:
        """Return the validated result.

        Args:
            document: The JSON; None where the last complete value in `text` that validates is to be taken.
            text: All answer text.

        Raises:
            ValidationError: It does not validate.
            InvalidJSON: It is no JSON.
            NoOutput: There is no JSON in the text.
        """
        return self._find(text) if document is None else self._validate(document)

    def _validate(self, document: str) -> Any:
        return validate_document(self._adapter, document, strict=self._strict, context=self._context)

    def _find(self, text: str) -> Any:
        nearest: ValidationError | None = None
        for value in last_values(text, self._kind):
            document = self._read(value)
            if document is None:
                continue
            try:
                return self._validate(document)
            except ValidationError as error:
                nearest = nearest or error
            except InvalidJSON:
                continue
        if nearest is not None:
            raise nearest
        raise NoOutput.in_prose(text)


class ItemGate:
    """Validates list items one by one, each once, as soon as it is complete.

    Args:
        adapter: What an item is.
        checks: Called with the list of all items at the end.
        strict: As in pydantic.
        context: As in pydantic.
        on_bad: What an item that does not validate does.
        most: After how many valid items the list is full; None for no bound.
        tools: What the arguments of each tool's calls are, where the items are tool calls.

    Raises:
        StreamMisuse: `on_bad` is unknown.
    """

    def __init__(
        self,
        adapter: TypeAdapter[Any],
        *,
        checks: Sequence[Callable[..., object]] = (),
        strict: bool | None = None,
        context: object = None,
        on_bad: OnBadItem = "reask",
        most: int | None = None,
        tools: Mapping[str, TypeAdapter[Any]] | None = None,
    ) -> None:
        if on_bad not in get_args(OnBadItem):
            raise StreamMisuse(f"on_bad_item must be one of {', '.join(get_args(OnBadItem))}, not {on_bad!r}")
        self.checks = checks
        self.items: list[Any] = []
        self.skipped: list[SkippedItem] = []
        self._places: list[Path] = []
        self.reasks = on_bad == "reask"
        self._skips = on_bad == "skip"
        self._most = most
        self._tools = tools or {}
        self._cutter = ItemCutter()
        self._adapter = adapter
        self._strict = strict
        self._context = context

    def is_item(self, path: Path) -> bool:
        """Return whether this is the place of an item of the list."""
        return len(path) == 1

    @property
    def is_full(self) -> bool:
        """True if no further item is wanted."""
        return self._most is not None and len(self.items) >= self._most

    def take(self, path: Path, document: str, starts: list[int]) -> tuple[Any, ...]:
        """Validate an item that is complete, and keep it.

        Args:
            path: Its place.
            document: The JSON as far as it has come.
            starts: Where in it the list begins, each time that it comes.

        Returns:
            The validated item, alone in a tuple; an empty one if it was skipped.

        Raises:
            ValidationError: It does not validate, and is not to be skipped.
        """
        index = path[-1]
        assert isinstance(index, int)  # noqa: S101
        if index == 0:  # the list may come twice, and the last one counts
            self._clear()
        return self._kept(path, self._adapter, self._cutter.cut(document, starts, index))

    def take_call(self, path: Path, tool: str, arguments: str, fault: Exception | None) -> tuple[Any, ...]:
        """Validate a tool call that is complete, in whatever order the calls end, and keep it.

        Args:
            path: Its place in the answer.
            tool: Which tool it calls, "" if nobody offered it.
            arguments: Its arguments.
            fault: Why they can be no such call, None if they may be one.

        Raises:
            ValidationError: They do not validate, and are not to be skipped.
            StreamError: The fault, likewise.
        """
        if fault is None:
            return self._kept(path, self._tools[tool], arguments)
        if not self._skips:
            raise fault
        kind = "json_invalid" if tool else "unknown_tool"
        self.skipped.append(SkippedItem(path, arguments, ({"type": kind, "loc": (), "msg": str(fault)},)))
        return ()

    def _kept(self, path: Path, adapter: TypeAdapter[Any], item: str) -> tuple[Any, ...]:
        try:
            valid = validate_document(adapter, item, strict=self._strict, context=self._context)
        except ValidationError as error:
            if not self._skips:
                raise
            self.skipped.append(SkippedItem(path, item, tuple(error.errors(include_url=False))))
            return ()
        at = bisect.bisect(self._places, path)
        self._places.insert(at, path)
        self.items.insert(at, valid)
        return (valid,)

    def restart(self) -> None:
        """Forget all items and the document that they were cut from."""
        self._clear()
        self._cutter = ItemCutter()

    def _clear(self) -> None:
        self.items, self.skipped, self._places = [], [], []

    def open(self, document: str | None, text: str) -> list[Any]:
        """Return all items.

        Raises:
            NoOutput: There was no list.
        """
        if document is None:
            raise NoOutput.in_prose(text)
        if document and document[0] != "[":
            raise NoOutput("no list in the answer, only a value that is not a list")
        if _EMPTY_LIST(document):  # the list came again, without items of which to be told
            self._clear()
        return self.items


class TextGate:
    """Plain text, which needs no validation."""

    def __init__(self, checks: Sequence[Callable[..., object]] = ()) -> None:
        self.checks = checks

    def open(self, document: str | None, text: str) -> str:
        """Return the text."""
        return text if document is None else document
