"""What a parser has to tell of a document."""

from __future__ import annotations

from instructor_stream_ext.core.document.frames import FieldChanged, ItemDone
from instructor_stream_ext.core.document.snapshots import PartialParser

__all__ = ["records_of"]


def records_of(parser: PartialParser) -> list[FieldChanged | ItemDone]:
    """What started and ended since the last call, once all that it was fed is scanned."""
    if parser.error is None:
        parser.advance()
    return parser.told()
