"""The tags between which models reason in their text, and how to tell where reasoning ends."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from instructor_stream_ext.core.errors import StreamMisuse

__all__ = ["ReasoningTags", "Tags", "tags_from"]

ReasoningTags: TypeAlias = Iterable[str | tuple[str, str]]
"""More tags: a closing one alone, as in `"</plan>"`, or a pair, as in `("<plan>", "</plan>")`."""

_NAMES = r"(?:[a-z]+[:_])?(?:think|thinking|thoughts?|reason|reasoning|reflection|scratchpad)(?::[\w-]+)?"
_CLOSING = (
    rf"(?i:</{_NAMES}>)",  # DeepSeek, Qwen, GLM, EXAONE, Seed (`seed:think`), MiniMax (`mm:think`), MedGemma
    r"\[/THINK\]",  # Magistral
    r"◁/think▷",  # Kimi
    r"<\|end_of_thought\|>",  # Sky-T1, OpenThinker
    r"<\|(?i:end_thinking)\|>",  # Command A
    r"<\|inner_suffix\|>",  # Apertus
    r"<channel\|>",  # Gemma 4
    r"<\|close\|>think<\|sep\|>",  # Kimi K3
    r"<\|channel\|>final(?: ?<\|constrain\|>json)?<\|message\|>",  # gpt-oss (harmony)
)
_CLOSING_OPENED = (r"<\|end\|>",)  # harmony; Phi ends every answer with it
_WORDS = (
    r"assistantfinal",  # gpt-oss where the server drops special tokens
    r"\[BEGIN FINAL RESPONSE\]",  # Apriel
    r"(?i:here(?:'s| is) my response:)",  # Granite 3.2
)
"""Words that close reasoning but also occur in prose, so that they alone are not enough (see `StartFinder`)."""
_HEADS = (
    r"(?i:here are my reasoning steps:)",  # Apriel
    r"(?i:here(?:'s| is) my thought process:)",  # Granite 3.2
)
"""How such reasoning begins. An answer in prose may begin the same way, and is not reasoning if nothing closes it."""
_OPENING = (
    rf"(?i:<{_NAMES}>)",
    r"\[THINK\]",
    r"◁think▷",
    r"<\|begin_of_thought\|>",
    r"<\|(?i:start_thinking)\|>",
    r"<\|inner_prefix\|>",
    r"<\|channel>thought",
    r"<\|open\|>think<\|sep\|>",
    r"<\|channel\|>(?:analysis|commentary)",
)
_BRACKETED = ("[/THINK]", "[THINK]", "[BEGIN FINAL RESPONSE]")
_LONGEST = 64
"""No tag is longer, so no more characters than this are looked at twice."""


@dataclass(frozen=True, slots=True)
class Tags:
    """The patterns to look for in text.

    Attributes:
        point: Finds a closing tag (group "close"), words that may be one ("words"), what such reasoning begins with
            ("head"), an opening tag ("open"), or what may open a document.
        broken: The same within JSON that is broken, whose brackets are counted; or a code fence ("fence").
        close: Finds what closes reasoning that was opened.
        opening: Finds an opening tag.
        bracketed: The tags that begin as a document may.
        longest: Characters a tag has at most.
    """

    point: re.Pattern[str]
    broken: re.Pattern[str]
    close: re.Pattern[str]
    opening: re.Pattern[str]
    bracketed: tuple[str, ...]
    longest: int


def tags_from(more: ReasoningTags | None) -> Tags:
    """Return the tags of all known families, and further ones.

    Raises:
        StreamMisuse: A tag is not text, or is empty.
    """
    if more is None:
        return _compiled(())
    if isinstance(more, str):
        raise StreamMisuse(f"reasoning_tags must be a list of closing tags or of pairs of tags, not {more!r} alone")
    given = tuple(("", tag) if isinstance(tag, str) else tuple(tag) for tag in more)
    for tag in given:
        if len(tag) != 2 or not all(isinstance(part, str) for part in tag) or not tag[1].strip():  # noqa: PLR2004
            raise StreamMisuse(f"reasoning_tags has {tag!r}, which is neither a closing tag nor a pair of tags")
    return _compiled(given)


@functools.lru_cache(maxsize=64)
def _compiled(more: tuple[tuple[str, str], ...]) -> Tags:
    closing = "|".join((*(re.escape(close) for _, close in more), *_CLOSING))
    opening = "|".join((*(re.escape(opened) for opened, _ in more if opened), *_OPENING))
    tags = f"(?P<close>{closing})|(?P<words>{'|'.join(_WORDS)})|(?P<head>{'|'.join(_HEADS)})|(?P<open>{opening})"
    given = tuple(part for tag in more for part in tag)
    return Tags(
        point=re.compile(rf"{tags}|[{{\[]"),
        broken=re.compile(rf"{tags}|(?P<fence>```)|[{{\[}}\]]"),
        close=re.compile("|".join((closing, *_CLOSING_OPENED))),
        opening=re.compile(opening),
        bracketed=(*_BRACKETED, *(part for part in given if part.startswith(("{", "[")))),
        longest=max(_LONGEST, *map(len, given), 0),
    )
