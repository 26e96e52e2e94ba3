"""From the shape of an answer to its gate and its parsers."""

from __future__ import annotations

import functools
from typing import Any

from instructor_stream_ext._instructor.source import InstructorSource
from instructor_stream_ext.client.response_model import Shape
from instructor_stream_ext.client.settings import Options
from instructor_stream_ext.core.document.calls import CallsParser
from instructor_stream_ext.core.document.prose import document_in
from instructor_stream_ext.core.document.reasoning import Tags
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.gate import ItemGate, ModelGate, OnBadItem, TextGate
from instructor_stream_ext.core.intake import Parser
from instructor_stream_ext.core.options import Limits

__all__ = ["ParserMaker", "gate_for"]


def gate_for(shape: Shape | None, options: Options, *, on_bad: OnBadItem) -> tuple[Any, ItemGate | None]:
    """Return the gate of an answer, and the gate of its items if it is read item by item.

    Args:
        shape: What is asked for; None for plain text.
        options: Of the call.
        on_bad: What becomes of an item that does not validate.
    """
    checks, strict, context = options.checks, options.strict, options.context
    if shape is None:
        return TextGate(checks), None
    if shape.item is not None:
        tools = {name: adapter for name, (adapter, _) in (shape.tools or {}).items()}
        most = options.limits.max_items
        items = ItemGate(
            shape.item, checks=checks, strict=strict, context=context, on_bad=on_bad, most=most, tools=tools
        )
        return items, items
    gate = ModelGate(
        shape.adapter,
        read=functools.partial(document_in, shape.plan),
        checks=checks,
        kind=shape.plan.kind,
        strict=strict,
        context=context,
    )
    return gate, None


class ParserMaker:
    """Makes the parser of one attempt. It searches prose for the document, but not tool arguments."""

    __slots__ = ("_limits", "_plan", "_source", "_tags", "_tools")

    def __init__(self, shape: Shape, source: InstructorSource, limits: Limits, tags: Tags) -> None:
        self._tags = tags
        self._plan = shape.plan
        self._tools = None if shape.tools is None else {name: plan for name, (_, plan) in shape.tools.items()}
        self._limits = limits
        self._source = source

    def __call__(self) -> Parser:
        """Return a parser."""
        if self._tools is not None:
            return CallsParser(self._plan, self._tools, max_depth=self._limits.max_depth)
        search = "tool" not in self._source.mode.value  # asked each time: another model may speak in another mode
        return PartialParser(
            self._plan,
            search=search,
            patient=self._source.asks_in_words,
            max_depth=self._limits.max_depth,
            max_items=self._limits.max_items,
            tags=self._tags,
        )
