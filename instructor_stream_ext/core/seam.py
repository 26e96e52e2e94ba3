"""The seam between an answer that was cut off and its rest.

The model is shown its own text, and asked to repeat the last characters of it and to go on from there. Not every model
does what it is asked: some go on without repeating anything, some repeat more, or less, some begin the answer anew,
some put a code fence around the rest. So the beginning of the rest is held until it is known where in it the new text
begins. Where it can be read in two ways nothing is guessed: then there is no seam.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from instructor_stream_ext.core.document.reasoning import Tags
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.errors import InvalidJSON, LimitExceeded, OutputTruncated

__all__ = ["ANCHOR", "Seam", "anchor_of", "request_for_rest", "seam_behind"]

ANCHOR = 32
"""How many characters of its own text the model is asked to repeat, white space not counted."""

LOOK_AHEAD = 64
"""How many characters of the rest are examined, at least, before any is passed on."""

OVERLAP = 8
"""From this many characters on, a repetition is not taken for chance."""

REPEATED = 4096
"""How many characters at the end of the text are searched for, apart from all of it."""

_FENCE = re.compile(r"([^`]{0,200}?)```[\w-]*[ \t]*\r?\n")
_MAY_BE_FENCE = re.compile(r"\s*`{1,3}[\w-]*[ \t]*\r?")


class Seam:
    """Where the rest of a cut answer joins it.

    Args:
        text: The answer up to the cut.
        document: The JSON in it, up to the cut; None where there is none, as in plain text.
        in_string: Whether the cut is within a string of the document.
        fits: Whether JSON can go on like this behind the cut.
        tags: Between which a model may reason in its text.

    Attributes:
        held: The rest as far as it came and was not handed on.
    """

    def __init__(
        self, text: str, document: str | None, fits: Callable[[str], bool], tags: Tags, *, in_string: bool = False
    ) -> None:
        self._text = text
        self._document = document
        self._in_string = in_string or document is None
        self._fits = fits
        self._tags = tags
        self._joined = False
        self._look_at = LOOK_AHEAD
        self.held = ""

    def take(self, text: str) -> str:
        """Take a piece of the rest.

        Returns:
            The text that goes on behind the cut, as far as it is known.

        Raises:
            OutputTruncated: It does not join, or in more than one way.
        """
        if self._joined:
            return text
        self.held += text
        if len(self.held) < self._look_at:
            return ""
        if self._is_repeating():
            self._look_at = len(self.held) + max(LOOK_AHEAD, len(self.held) // 4)
            return ""
        return self._join()

    def finish(self) -> str:
        """Return the text that was held, as the rest is at its end. Raises as `take` does."""
        return self._join() if self.held and not self._joined else ""

    def _join(self) -> str:
        """Return the part of the held text that is new."""
        held = self.held
        begins = self._begin()
        self._joined = True
        self.held = ""
        return held[begins:]

    # ------------------------------------------------------------------ where the new text begins

    def _begin(self) -> int:
        """Return where the new text begins in what is held."""
        bodies = self._bodies()
        for at in bodies:
            repeated = self._repeats_all(at) or self._repeats_anchor(at)
            if repeated and self._goes_on(repeated):
                return repeated
        overlaps = self._overlaps(bodies)
        long = [
            (at, size)
            for at, size in overlaps
            if (size >= OVERLAP or size == len(self._document or "")) and self._goes_on(at + size)
        ]
        plain = [at for at in bodies if self._goes_on(at)][:1]
        if len(long) == 1 and (self._in_string or not plain or long[0][1] >= ANCHOR):
            return sum(long[0])
        if long:
            raise OutputTruncated(
                f"{self._cut}, and its rest can be joined in more than one way: it begins like the end of the text"
            )
        if plain:
            return plain[0]
        for at, size in overlaps:
            if self._goes_on(at + size):
                return at + size
        raise OutputTruncated(f"{self._cut}, and what the model sent as its rest does not join")

    @property
    def _cut(self) -> str:
        return f"the answer was cut off after {len(self._text)} characters"

    def _goes_on(self, at: int) -> bool:
        return self._document is None or self._fits(self.held[at:])

    def _bodies(self) -> list[int]:
        """Yield where the rest may begin, likelier places first: after reasoning, fences or white space."""
        held, at = self.held, 0
        opened = self._tags.opening.match(held.lstrip())
        if opened is not None and (closed := self._tags.close.search(held)) is not None:
            at = self._behind_space(closed.end())
        if self._document is None:
            return [at]
        places = [at]
        if (stripped := self._behind_space(at)) != at:
            places.append(stripped)
        fence = _FENCE.match(held, at)
        if fence is not None and held[fence.end() :].strip():
            before = fence[1]
            likely = not before.strip() or (self._in_string and '"' not in before)
            places.insert(0 if likely else len(places), fence.end())
        return places

    def _behind_space(self, at: int) -> int:
        return len(self.held) - len(self.held[at:].lstrip())

    def _repeats_all(self, at: int) -> int:
        """Return where the new text begins after a repetition of the whole answer; 0 if it is not repeated."""
        whole = self._document or self._text
        if len(whole) < OVERLAP:
            return 0
        if self.held.startswith(whole, at):
            return at + len(whole)
        if self.held.startswith(self._text, at):
            return at + len(self._text)
        return (self._document and _told_again(self._document, self.held, at)[0]) or 0

    def _repeats_anchor(self, at: int) -> int:
        """Return where the new text begins after the repetition that was asked for; 0 if it is missing."""
        anchor = anchor_of(self._text)
        start = self._behind_space(at)
        is_repeated = len(anchor) >= ANCHOR and self.held.startswith(anchor, start)
        return start + len(anchor) if is_repeated else 0

    def _overlaps(self, bodies: list[int]) -> list[tuple[int, int]]:
        """Yield each start of the rest that equals the end of the text, with its length, longest first."""
        found: dict[int, tuple[int, int]] = {}
        for at in bodies:
            for size in islice(_shared(self._text[-REPEATED:], self.held[at : at + REPEATED]), 16):
                found.setdefault(at + size, (at, size))
        return sorted(found.values(), key=lambda each: -each[1])

    def _is_repeating(self) -> bool:
        """Return whether the held text may be only a repetition, or what comes before the rest."""
        held = self.held
        if self._tags.opening.match(held.lstrip()) is not None and self._tags.close.search(held) is None:
            return True
        for at in self._bodies():
            body = held[at:]
            if not body or _MAY_BE_FENCE.fullmatch(body):
                return True
            if len(body) <= REPEATED and body.lstrip() in self._text:
                return True
            if self._document and _told_again(self._document, held, at)[1]:
                return True
        return False


def seam_behind(text: str, parser: object, make_parser: Callable[[], Any] | None, tags: Tags) -> Seam:
    """Return the seam after an answer that was cut off.

    Args:
        text: The answer up to the cut.
        parser: What has scanned it; None for plain text.
        make_parser: Makes another one.
        tags: Between which a model may reason in its text.
    """
    if not isinstance(parser, PartialParser) or not parser.begun or make_parser is None:
        return Seam(text, None, lambda _: True, tags)
    if not parser.search:
        parser.read_document_only()  # the model may close a fence that it has not opened
    document = text[parser.json_start :]

    def fits(rest: str) -> bool:
        other: PartialParser = make_parser()
        other.read_document_only()
        other.feed(document + rest)
        try:
            other.advance()
        except InvalidJSON:
            return False
        except LimitExceeded:
            return True  # it will be told where it is read
        return True

    return Seam(text, document, fits, tags, in_string=parser.is_within_string)


def request_for_rest(text: str, schema: Mapping[str, Any] | None) -> str:
    """Return the message that asks a model for the rest of its answer.

    Args:
        text: The answer up to the cut.
        schema: The JSON schema of the whole answer; None for plain text.
    """
    said = (
        "Your answer met its length limit and was cut off. Write the rest of it. Begin by repeating exactly these last "
        f"characters of it, and go on right behind them:\n{anchor_of(text)}\n"
        "Repeat nothing else of it, and add nothing before or after it: no explanation and no code fence."
    )
    if schema is None:
        return said
    return f"{said} The whole answer is JSON of this schema:\n{json.dumps(schema, ensure_ascii=False)}"


def anchor_of(text: str) -> str:
    """Return the end of a text, which a model is asked to repeat."""
    start, seen = len(text), 0
    while start and seen < ANCHOR:
        start -= 1
        seen += not text[start].isspace()
    return text[start:]


def _shared(text: str, rest: str) -> Iterator[int]:
    """Yield the lengths of text that ends `text` and begins `rest`, longest first."""
    first = rest[:1]
    place = text.find(first, max(0, len(text) - len(rest))) if first else -1
    while place >= 0:
        if rest.startswith(text[place:]):
            yield len(text) - place
        place = text.find(first, place + 1)


def _told_again(document: str, text: str, at: int) -> tuple[int, bool]:
    """Compare JSON with a text that may repeat it with other white space between its tokens.

    Returns:
        Where in the text it has been said, 0 if it is not, and whether the text ended too early to tell.
    """
    inside = escaped = False
    place, size = at, len(text)
    for char in document:
        if not inside:
            if char in " \t\r\n":
                continue
            while place < size and text[place] in " \t\r\n":
                place += 1
        if place == size:
            return 0, place > at
        if text[place] != char:
            return 0, False
        place += 1
        if escaped:
            escaped = False
        elif inside and char == "\\":
            escaped = True
        elif char == '"':
            inside = not inside
    return place, False
