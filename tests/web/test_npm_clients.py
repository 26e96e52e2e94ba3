"""The front-ends' real clients, in node, over real HTTP: they show what the server shows, however the bytes are cut."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from instructor_stream_ext.core.events import Event, ReasoningReceived
from instructor_stream_ext.web import PROTOCOLS
from instructor_stream_ext.web.protocols.copilotkit import info
from tests.web.serving import serving
from tests.web.test_protocols import ENDED, FAILED, RESTARTED, Part, Whole, events_of, sent, states

CLIENTS = Path(__file__).parents[2] / "js" / "clients"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not (CLIENTS / "node_modules").exists(), reason="npm --prefix js/clients ci was not run"),
]

WHOLE = Whole(title="one\u2028</script>", parts=[Part(name="a", marks=[1, 2]), Part(name="b")], notes={"k/~": "v"})
EVENTS: list[Event] = [*events_of(WHOLE, [7] * 30), ENDED]
BY_STATE = ["sse", "ai-sdk-ui", "ag-ui", "copilotkit", "assistant-ui"]


async def shown(protocol: str, events: list[Event], size: int) -> tuple[list[Any], str | None]:
    """The objects that the real client shows, and its error, where the body comes in pieces of so many bytes."""
    said = await told(protocol, events, size)
    errors = [one["error"] for one in said if "error" in one]
    return [one["object"] for one in said if "object" in one], errors[0] if errors else None


async def told(protocol: str, events: list[Event], size: int) -> list[dict[str, Any]]:
    """What the real client says, line by line."""
    encoder = PROTOCOLS[protocol]()
    body = sent(encoder, events)

    async def answer(_: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), size):
                yield body[at : at + size]
                await asyncio.sleep(0)

        return StreamingResponse(pieces(), media_type=encoder.content_type, headers=dict(encoder.headers))

    async def agents(_: Request) -> Response:
        return JSONResponse(info({"trip": "plans a trip"}))

    more = [Route("/info", agents), Route("/agent/trip/run", answer, methods=["POST"])]
    async with serving(answer, *more) as url:
        node = await asyncio.create_subprocess_exec(
            "node", CLIENTS / "show.mjs", protocol, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, problems = await node.communicate()
    assert node.returncode == 0, problems.decode()
    return [json.loads(line) for line in out.decode().split("\n") if line]


def is_in_order(some: list[Any], all_of: list[Any]) -> bool:
    """Whether all are there, in this order; a client may leave some out when much comes at once."""
    rest = iter(all_of)
    return all(any(one == other for other in rest) for one in some)


@pytest.mark.parametrize("size", [5, 10_000])
@pytest.mark.parametrize("protocol", BY_STATE)
async def test_it_shows_what_the_server_shows(protocol: str, size: int) -> None:
    objects, error = await shown(protocol, EVENTS, size)
    assert error is None
    seen = [one for at, one in enumerate(objects) if not at or objects[at - 1] != one]
    assert is_in_order(seen, states(EVENTS))
    assert seen[-1] == states(EVENTS)[-1]


@pytest.mark.parametrize("protocol", ["ai-sdk-object", "tanstack"])
async def test_it_reads_the_whole_document(protocol: str) -> None:
    objects, error = await shown(protocol, EVENTS, 50)
    assert error is None
    assert objects[-1] == states(EVENTS)[-1]


@pytest.mark.parametrize("protocol", [*BY_STATE, "tanstack"])
async def test_a_restart_resets_its_view(protocol: str) -> None:
    other = Whole(title="two")
    objects, error = await shown(protocol, [*EVENTS[:6], RESTARTED, *events_of(other, [9]), ENDED], 50)
    assert error is None
    assert objects[-1] == states(events_of(other, []))[-1]


@pytest.mark.parametrize("protocol", [*BY_STATE, "tanstack"])
async def test_it_tells_an_error(protocol: str) -> None:
    _, error = await shown(protocol, [*EVENTS[:4], FAILED, ENDED], 50)
    assert error == "the answer was cut off"


@pytest.mark.parametrize("protocol", [*BY_STATE, "tanstack"])
async def test_it_shows_what_the_model_thinks(protocol: str) -> None:
    thoughts = [ReasoningReceived(at=0.0, attempt=1, text=text) for text in ("hm, ", "well")]
    said = await told(protocol, [*thoughts, *EVENTS], 50)
    found = [one["reasoning"] for one in said if "reasoning" in one]
    assert found[-1] == ("well" if protocol == "sse" else "hm, well")
    assert [one["object"] for one in said if "object" in one][-1] == states(EVENTS)[-1]
    assert not [one for one in said if "error" in one]
