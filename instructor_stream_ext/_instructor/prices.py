"""The cost of an attempt, from the list that the package genai-prices ships. Nothing is fetched from the network."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from pydantic import BaseModel

from instructor_stream_ext.core.spending import Rates, estimated_tokens
from instructor_stream_ext.core.usage import Cost, Usage
from instructor_stream_ext.providers import PRICE_NAMES
from instructor_stream_ext.providers.reader import Reader

__all__ = ["Attempt", "PriceList", "Prices", "asked_tokens", "price_list"]

_MANY = 1_000
"""How many tokens are priced to compute the price of one."""
_NO_TEXT = frozenset({"data", "file", "image_url", "inline_data", "input_audio", "source"})
"""Keys of messages that hold images, sounds and files. They are no text; the provider counts them itself."""


class Attempt(Protocol):
    """A request and its answer."""

    sent: dict[str, Any]
    model: str | None
    provider: str | None
    reader: Reader


class Prices(ABC):
    """A price list: the cost of an attempt from the provider's count once it is known, from an estimate until then."""

    def __call__(self, attempt: Attempt) -> Cost:
        """Return the cost of an attempt so far.

        The provider's own count is taken when the answer has come to its end; until then, and for an answer that was
        left before, tokens are counted here.
        """
        reader = attempt.reader
        usage = reader.usage
        if usage is not None and reader.end is not None:
            return Cost(self._told(attempt, usage))
        said = self._tokens(reader.written())
        said = max(said, usage.output_tokens if usage is not None else 0)
        return Cost(self._dollars(attempt, self._asked(attempt), said), estimated=True)

    def rates(self, attempt: Attempt) -> Rates | None:
        """Return the price of an attempt that is under way; None if it is not known."""
        asked = self._asked(attempt)
        alone, with_answer = self._dollars(attempt, asked, 0), self._dollars(attempt, asked, _MANY)
        if alone is None or with_answer is None:
            return None
        return Rates(asked, alone / max(asked, 1), (with_answer - alone) / _MANY)

    def _asked(self, attempt: Attempt) -> int:
        """The tokens of the request, which some providers count at the start."""
        usage = attempt.reader.usage
        return (usage.input_tokens if usage is not None else 0) or self._tokens_asked(attempt.sent)

    @abstractmethod
    def _told(self, attempt: Attempt, usage: Usage) -> float | None:
        """Return the cost in US dollars from the provider's count; None if the price is not known."""

    @abstractmethod
    def _dollars(self, attempt: Attempt, asked: int, said: int) -> float | None:
        """Return the price of some tokens in US dollars; None if it is not known."""

    @abstractmethod
    def _tokens(self, text: str) -> int:
        """Estimate the tokens of a text."""

    @abstractmethod
    def _tokens_asked(self, sent: Mapping[str, Any]) -> int:
        """Estimate the tokens of a request."""


class PriceList(Prices):
    """genai-prices, by provider and model.

    A gateway in front of a provider counts as the provider: only the model's name is known here.
    """

    def knows(self, model: str | None, provider: str | None, sent: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether there is a price for a model."""
        return _priced(model, provider, input_tokens=1) is not None

    def _told(self, attempt: Attempt, usage: Usage) -> float | None:
        cached = zip(("cache_read_tokens", "cache_write_tokens"), attempt.reader.cached, strict=True)
        counted = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        return self._of(attempt, **counted, **{name: count for name, count in cached if count})

    def _dollars(self, attempt: Attempt, asked: int, said: int) -> float | None:
        return self._of(attempt, input_tokens=asked, output_tokens=said)

    @staticmethod
    def _of(attempt: Attempt, **tokens: int) -> float | None:
        """Return the price of the model that answered, or of the one that was asked."""
        models = dict.fromkeys(model for model in (attempt.reader.model, attempt.model) if model)
        prices = (_priced(model, attempt.provider, **tokens) for model in models)
        return next((price for price in prices if price is not None), None)

    def _tokens(self, text: str) -> int:
        return estimated_tokens(text)

    def _tokens_asked(self, sent: Mapping[str, Any]) -> int:
        return asked_tokens(sent)


def _priced(model: str | None, provider: str | None, **tokens: int) -> float | None:
    from genai_prices import Usage as Counted
    from genai_prices import calc_price

    if model is None or provider is None:
        return None
    try:
        name = PRICE_NAMES.get(provider, provider)
        price = calc_price(Counted(**tokens), model.removeprefix("models/"), provider_id=name)
    except (LookupError, ValueError):  # no such model or provider; counts that contradict each other
        return None
    return float(price.total_price)


@functools.cache
def price_list() -> PriceList | None:
    """Return the price list; None where genai-prices is not installed."""
    return PriceList() if find_spec("genai_prices") is not None else None


def asked_tokens(sent: Mapping[str, Any]) -> int:
    """Estimate the tokens of a request: all text of its messages, its instructions and its tools."""
    return estimated_tokens("\n".join(_texts(sent)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            if key not in _NO_TEXT:
                yield str(key)
                yield from _texts(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _texts(member)
    elif isinstance(value, BaseModel):  # google-genai's contents
        yield from _texts(value.model_dump(exclude_none=True))
