"""The cost of an attempt, by litellm's price list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructor_stream_ext._instructor.prices import Attempt
from instructor_stream_ext.core.events import Cost
from instructor_stream_ext.core.spending import Rates

__all__ = ["LitellmPrices"]

_PRICES = ("input_cost_per_token", "output_cost_per_token")
_ASKED_OVER_THE_NET = ("ollama/", "ollama_chat/")
"""Models whose price litellm asks their own server for, which has none."""
_MANY = 1_000
"""Tokens by which a price per token is found."""


class LitellmPrices:
    """litellm's prices, or those that the request itself names."""

    def knows(self, model: str | None, provider: str | None, sent: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether there is a price for a model."""
        return model is not None and self._dollars(model, sent, 1, 1) is not None

    def rates(self, connection: Attempt) -> Rates | None:
        """The price of an attempt that is under way; None if it is not known."""
        sent, model = connection.sent, _priced(connection.sent)
        asked = _asked(connection)
        input_only, both = self._dollars(model, sent, asked, 0), self._dollars(model, sent, asked, _MANY)
        if input_only is None or both is None:
            return None
        return Rates(asked, input_only / max(asked, 1), (both - input_only) / _MANY)

    def __call__(self, connection: Attempt) -> Cost:
        """Return the cost of an attempt so far.

        The provider's own count is taken when the answer has come to its end. Until then, and for an answer that was
        left before, tokens are counted here with one tokenizer for all models, as their own may have to be fetched.
        """
        litellm = _litellm()
        reader, sent = connection.reader, connection.sent
        model = _priced(sent)
        is_told = reader.usage is not None and reader.end is not None
        if not is_told:
            return Cost(self._dollars(model, sent, *_counted(connection)), estimated=True)
        if model.startswith(_ASKED_OVER_THE_NET):
            return Cost(None)
        own = _own_prices(sent)
        try:
            asked = {name: sent.get(name) for name in ("custom_llm_provider", "api_base", "api_key")}
            _, provider, _, _ = litellm.get_llm_provider(model, **asked)
            dollars = litellm.completion_cost(reader.completion(), model=model, custom_llm_provider=provider, **own)
        except Exception:
            return Cost(None)
        return Cost(float(dollars) if dollars or own else None)

    @staticmethod
    def _dollars(model: str, sent: Mapping[str, Any], asked: int, said: int) -> float | None:
        """The price of so many tokens; None if it is not known."""
        if model.startswith(_ASKED_OVER_THE_NET):
            return None
        own = _own_prices(sent)
        try:
            litellm = _litellm()
            dollars = sum(litellm.cost_per_token(model=model, prompt_tokens=asked, completion_tokens=said, **own))
        except Exception:
            return None
        # a Router enters its models without a price, as if they were free
        return float(dollars) if dollars or own else None


def _litellm() -> Any:
    import litellm

    return litellm


def _priced(sent: Mapping[str, Any]) -> str:
    return str(sent.get("base_model") or sent.get("model") or "")


def _own_prices(sent: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: sent[name] for name in _PRICES if sent.get(name) is not None}
    return {"custom_cost_per_token": own} if len(own) == len(_PRICES) else {}


def _asked(connection: Attempt) -> int:
    usage = connection.reader.usage
    if usage is not None and usage.input_tokens:
        return usage.input_tokens
    sent = connection.sent
    count: int = _litellm().token_counter(model="", messages=sent.get("messages"), tools=sent.get("tools"))
    return count


def _counted(connection: Attempt) -> tuple[int, int]:
    """Tokens asked and said, as far as they go."""
    usage = connection.reader.usage
    said = _litellm().token_counter(model="", text=connection.reader.written())
    return _asked(connection), max(said, usage.output_tokens if usage is not None else 0)
