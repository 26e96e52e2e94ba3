"""One string per provider, each in the mode in which it streams. Without keys a local model answers for all."""

import os
from typing import Any

from local_model import Server, stand_in
from pydantic import BaseModel

from instructor_stream_ext.routing import from_litellm, mode_for


class City(BaseModel):
    name: str
    sights: list[str] = []


os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # litellm would fetch its prices when imported
stand_in({"name": "Lisbon", "sights": ["Alfama", "Belém", "the 28 tram"]})
local = os.environ["OPENAI_API_KEY"] == Server.key
here: dict[str, Any] = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": Server.key} if local else {}

client = from_litellm("openai/gpt-4o-mini", **here)
for model in (
    "openai/gpt-4o-mini",
    "deepseek/deepseek-chat",
    "groq/openai/gpt-oss-20b",
    "mistral/mistral-small-latest",
    "hosted_vllm/my-own",
):
    stream = client.create_partial(City, "Tell me about Lisbon.", model=model)
    steps = sum(1 for partial in stream)
    city = stream.get_final_response()
    price = "unknown" if stream.cost is None else f"${stream.cost:.6f}"
    print(f"{model:30} {mode_for(model).mode.name:12} {steps:3} steps to {city.name}; price {price}")
