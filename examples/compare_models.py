"""Several providers at once, side by side, under one client. Without keys a local model answers for all."""

import asyncio
import os
from typing import Any

from local_model import Server, stand_in
from pydantic import BaseModel

from instructor_stream_ext import PartialEmitted, StreamCompleted, merge
from instructor_stream_ext.routing import from_litellm

MODELS = ("openai/gpt-4o-mini", "deepseek/deepseek-chat", "mistral/mistral-small-latest")


class Name(BaseModel):
    name: str
    why: str


os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # litellm would fetch its prices when imported
stand_in({"name": "Fernando", "why": "It looks like one."})
local = os.environ["OPENAI_API_KEY"] == Server.key
here: dict[str, Any] = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": Server.key} if local else {}


async def main() -> None:
    client = from_litellm(MODELS[0], async_client=True, **here)
    streams = {model: client.create_partial(Name, "A name for a cat.", model=model) for model in MODELS}
    shown = dict.fromkeys(MODELS, "")
    async for model, event in merge(streams):
        if isinstance(event, PartialEmitted):
            shown[model] = event.partial.why or ""
            print(" | ".join(f"{text:18}" for text in shown.values()))
        elif isinstance(event, StreamCompleted):
            print(f"{model} is done: {event.result.name}, for $ {streams[model].cost}")


asyncio.run(main())
