"""The cost of an attempt, by the list that the package genai-prices ships: nothing is asked over the network."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from pydantic import BaseModel

from instructor_stream_ext.core.events import Cost
from instructor_stream_ext.core.spending import Rates, estimated_tokens
from instructor_stream_ext.providers import PRICE_NAMES
from instructor_stream_ext.providers.reader import Reader

__all__ = ["Attempt", "PriceList", "asked_tokens", "price_list"]

_MANY = 1_000
"""Tokens by which a price per token is found."""
_NO_TEXT = frozenset({"data", "file", "image_url", "inline_data", "input_audio", "source"})
"""Keys of messages below which images, sounds and files stand; they are no text, and the provider counts them."""


class Attempt(Protocol):
    """A request and what came of it."""

    sent: dict[str, Any]
    model: str | None
    provider: str | None
    reader: Reader


class PriceList:
    """Prices by provider and model.

    A gateway in front of a provider counts as the provider: only the model's name is known here.
    """

    def knows(self, model: str | None, provider: str | None, sent: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether there is a price for a model."""
        return self._price(model, provider, input_tokens=1) is not None

    def rates(self, connection: Attempt) -> Rates | None:
        """The price of an attempt that is under way; None if it is not known."""
        asked = asked_tokens(connection.sent)
        price = self._price(connection.model, connection.provider, input_tokens=asked, output_tokens=_MANY)
        if price is None:
            return None
        return Rates(asked, float(price.input_price) / max(asked, 1), float(price.output_price) / _MANY)

    def __call__(self, connection: Attempt) -> Cost:
        """Return the cost of an attempt so far.

        The provider's own count is taken when the answer has come to its end, cached input included; until then, and
        for an answer that was left before, tokens are estimated.
        """
        reader = connection.reader
        usage, is_told = reader.usage, reader.end is not None and reader.usage is not None
        model = reader.model or connection.model
        if usage is not None and is_told:
            read, written = reader.cached
            counted = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
            counted |= {name: n for name, n in (("cache_read_tokens", read), ("cache_write_tokens", written)) if n}
        else:
            asked = usage.input_tokens if usage is not None else 0
            said = estimated_tokens(reader.written())
            counted = {
                "input_tokens": asked or asked_tokens(connection.sent),
                "output_tokens": max(said, usage.output_tokens if usage is not None else 0),
            }
        price = self._price(model, connection.provider, **counted)
        if price is None and model != connection.model:
            price = self._price(connection.model, connection.provider, **counted)
        return Cost(None if price is None else float(price.total_price), estimated=not is_told)

    @staticmethod
    def _price(model: str | None, provider: str | None, **tokens: int) -> Any:
        from genai_prices import Usage, calc_price

        if model is None or provider is None:
            return None
        try:
            name = PRICE_NAMES.get(provider, provider)
            return calc_price(Usage(**tokens), model.removeprefix("models/"), provider_id=name)
        except (LookupError, ValueError):  # no such model or provider; counts that contradict each other
            return None


@functools.cache
def price_list() -> PriceList | None:
    """The price list; None where genai-prices is not installed."""
    return PriceList() if find_spec("genai_prices") is not None else None


def asked_tokens(sent: Mapping[str, Any]) -> int:
    """Estimate the tokens of a request: all text of its messages, its instructions and its tools."""
    return estimated_tokens("\n".join(_texts(sent)))


def _texts(value: Any) -> Iterator[str]:
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
