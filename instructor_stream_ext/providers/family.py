"""The facts about one provider: each file here has its own, and the tables are built from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from instructor_stream_ext.core.events import EndKind, EndSignal

__all__ = ["END_KINDS", "USAGE_NAMES", "Family", "UsageNames", "end_of", "learn"]


class UsageNames(NamedTuple):
    """A provider's names for the tokens that it counts."""

    input: str
    output: str
    total: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One provider, or several that send the same chunks.

    Attributes:
        providers: Values of instructor's `Provider`.
        reader: Makes what reads their chunks, from the names of the tools in the request (None for plain text).
        end_words: Their words for the end of an answer, lower-cased, by what they mean. Gateways hand on each other's
            words, so a word means the same from everybody; one that is in no file means nothing that is known.
        usage_names: Their words for tokens.
        holders: By top-level package of an SDK, the attributes that lead from its streams to the HTTP response.
        telemetry: Their names in OpenTelemetry's conventions, by instructor's or litellm's, where these differ.
        litellm: By the start of litellm's model string, the name of instructor's mode in which answers come in pieces
            there, and why it is that one.
        prices: Their names in genai-prices, by instructor's, where these differ.
    """

    providers: tuple[str, ...]
    reader: Callable[[frozenset[str] | None], Any]
    end_words: Mapping[EndKind, str] = field(default_factory=dict)
    usage_names: tuple[UsageNames, ...] = ()
    holders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    telemetry: Mapping[str, str] = field(default_factory=dict)
    litellm: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    prices: Mapping[str, str] = field(default_factory=dict)


END_KINDS: dict[str, EndKind] = {}
"""The meaning of each finish reason, by its lower-cased word, from all families."""

USAGE_NAMES: list[UsageNames] = []
"""Where a usage object may hold its token counts, from all families."""


def learn(family: Family) -> None:
    """Add a family's words to the tables."""
    END_KINDS.update({word: kind for kind, words in family.end_words.items() for word in words.split()})
    USAGE_NAMES.extend(names for names in family.usage_names if names not in USAGE_NAMES)


def end_of(word: object, message: str = "") -> EndSignal:
    """Return the meaning of a provider's finish reason.

    Args:
        word: The finish reason: a string, or an Enum with a name.
        message: What else the provider said.
    """
    said = word.name if isinstance(word, Enum) else str(word)
    return EndSignal(END_KINDS.get(said.lower(), EndKind.UNKNOWN), said, message)
