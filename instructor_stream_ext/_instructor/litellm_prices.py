"""The cost of an attempt, from litellm's price list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructor_stream_ext._instructor.litellm_lookup import litellm_module, looked_up
from instructor_stream_ext._instructor.prices import Attempt, Prices
from instructor_stream_ext.core.usage import Usage

__all__ = ["LitellmPrices"]

_PRICES = ("input_cost_per_token", "output_cost_per_token")
_ASKED_OVER_THE_NET = ("ollama/", "ollama_chat/")
"""Providers for which litellm would ask the model's own server for a price; it has none."""


class LitellmPrices(Prices):
    """litellm's prices, or those that the request names.

    Tokens are counted with one tokenizer for all models, as their own may have to be fetched.
    """

    def knows(self, model: str | None, provider: str | None, sent: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether there is a price for a model."""
        return model is not None and _dollars(model, sent, 1, 1) is not None

    def _told(self, attempt: Attempt, usage: Usage) -> float | None:  # noqa: ARG002  the completion has it in full
        sent, litellm = attempt.sent, litellm_module()
        model, own = _priced(sent), _own_prices(sent)
        if model.startswith(_ASKED_OVER_THE_NET):
            return None
        try:
            _, provider = looked_up(model, sent)
            answer = attempt.reader.completion()
            dollars = litellm.completion_cost(answer, model=model, custom_llm_provider=provider, **own)
        except Exception:
            return None
        return float(dollars) if dollars or own else None

    def _dollars(self, attempt: Attempt, asked: int, said: int) -> float | None:
        return _dollars(_priced(attempt.sent), attempt.sent, asked, said)

    def _tokens(self, text: str) -> int:
        count: int = litellm_module().token_counter(model="", text=text)
        return count

    def _tokens_asked(self, sent: Mapping[str, Any]) -> int:
        asked = {name: sent.get(name) for name in ("messages", "tools")}
        count: int = litellm_module().token_counter(model="", **asked)
        return count


def _dollars(model: str, sent: Mapping[str, Any], asked: int, said: int) -> float | None:
    if model.startswith(_ASKED_OVER_THE_NET):
        return None
    own = _own_prices(sent)
    try:
        dollars = sum(litellm_module().cost_per_token(model=model, prompt_tokens=asked, completion_tokens=said, **own))
    except Exception:
        return None
    # a Router enters its models without a price, as if they were free
    return float(dollars) if dollars or own else None


def _priced(sent: Mapping[str, Any]) -> str:
    return str(sent.get("base_model") or sent.get("model") or "")


def _own_prices(sent: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: sent[name] for name in _PRICES if sent.get(name) is not None}
    return {"custom_cost_per_token": own} if len(own) == len(_PRICES) else {}
