"""What an attempt costs, by litellm's price list."""

from __future__ import annotations

from typing import Any

from instructor_stream_ext._instructor.connection import InstructorConnection
from instructor_stream_ext.core.events import Cost
from instructor_stream_ext.routing.modes import litellm_module, provider_of

__all__ = ["cost_of"]

_PRICES = ("input_cost_per_token", "output_cost_per_token")
_ASKED_OVER_THE_NET = ("ollama/", "ollama_chat/")
"""Models whose price litellm asks their own server for, which has none."""


def cost_of(connection: InstructorConnection) -> Cost:
    """What an attempt has cost so far.

    The provider's own count is taken when the answer has come to its end. Until then, and for an answer that was left
    before, tokens are counted here with one tokenizer for all models, as their own may have to be fetched.

    Args:
        connection: The attempt's.
    """
    litellm = litellm_module()
    reader, sent = connection.reader, connection.sent
    model = sent.get("base_model") or sent["model"]
    is_told = reader.usage is not None and reader.end is not None
    own = {name: sent[name] for name in _PRICES if sent.get(name) is not None}
    prices = {"custom_cost_per_token": own} if len(own) == len(_PRICES) else {}
    if model.startswith(_ASKED_OVER_THE_NET):
        return Cost(None, estimated=not is_told)
    try:
        if is_told:
            _, provider = provider_of(model, **sent)
            dollars = litellm.completion_cost(reader.completion(), model=model, custom_llm_provider=provider, **prices)
        else:
            asked, said = _counted(connection)
            dollars = sum(litellm.cost_per_token(model=model, prompt_tokens=asked, completion_tokens=said, **prices))
    except Exception:  # noqa: BLE001  litellm raises whatever comes up on its way through the price list
        return Cost(None, estimated=not is_told)
    if not dollars and not prices:  # a Router enters its models without a price, as if they were free
        return Cost(None, estimated=not is_told)
    return Cost(float(dollars), estimated=not is_told)


def _counted(connection: InstructorConnection) -> tuple[int, int]:
    """Tokens asked and said, as far as they go."""
    litellm = litellm_module()
    usage = connection.reader.usage
    asked = usage.input_tokens if usage is not None else 0
    if not asked:
        sent = connection.sent
        asked = litellm.token_counter(model="", messages=sent.get("messages"), tools=sent.get("tools"))
    said = litellm.token_counter(model="", text=_said(connection.reader.completion()))
    return asked, max(said, usage.output_tokens if usage is not None else 0)


def _said(completion: Any) -> str:
    """All that the model wrote."""
    message = completion.choices[0].message
    calls = "".join(call.function.arguments or "" for call in message.tool_calls or ())
    return (getattr(message, "reasoning_content", None) or "") + (message.content or "") + calls
