"""The example's page in a real browser: it fills in, is left, goes on after a reload, and tells a failure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import runpy
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from instructor_stream_ext.demo.model import Trip
from tests.server import Answer, ScriptedServer, Signal, Wait, reply, sends
from tests.web.serving import frames_of

ROOT = Path(__file__).parents[2]
JS = ROOT / "js"

in_a_browser = [
    pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="chromium is not installed"),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not (JS / "node_modules").exists(), reason="npm --prefix js ci was not run"),
]
BEGUN = '{"title": "Hills", "city": "Lisbon", "budget": 150, "days": ['


@contextlib.asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[str]:
    """The app under uvicorn, with its lifespan."""
    make_app = runpy.run_path(str(ROOT / "examples" / "web" / "app.py"))["make_app"]
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(make_app(**settings), log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        await task
        listening.close()


async def seen(what: str, url: str) -> dict[str, Any]:
    pipe = asyncio.subprocess.PIPE
    node = await asyncio.create_subprocess_exec("node", JS / "e2e" / "trip.mjs", what, url, stdout=pipe, stderr=pipe)
    out, problems = await node.communicate()
    assert node.returncode == 0, problems.decode()
    found: dict[str, Any] = json.loads(out)
    assert found.pop("problems") == []
    return found


async def test_the_app_alone() -> None:
    async with running(speed=50) as url, httpx.AsyncClient() as client:
        answer = await client.post(f"{url}plan", json={"wish": "three days"})
        frames = frames_of(answer.content)
        assert Trip.model_validate(frames[-1].data).city == "Lisbon"
        assert (await client.post(f"{url}plan", json={"wish": "x" * 3000})).status_code == 413
        for path in ("", "page.js", "style.css", "client/index.js"):
            assert (await client.get(url + path)).status_code == 200
        assert (await client.get(f"{url}../app.py")).status_code == 404


class TestInABrowser:
    pytestmark = in_a_browser

    async def test_it_fills_in_before_the_end(self) -> None:
        async with running() as url:
            found = await seen("fills", url)
        assert found["early"] == {"title": "Hills, tarts and fado", "isDone": 0, "busy": "true"}
        assert found["days"] == 3
        assert found["busy"] == "false"
        assert found["axe"] == []

    async def test_cancelling_reaches_the_provider(self, server: ScriptedServer) -> None:
        server.add(reply(BEGUN, arrange=lambda chunks: [sends(chunks[:12]), Wait(Signal())]))
        async with running(base_url=f"{server.url}/v1") as url:
            assert await seen("cancels", url) == {"status": "Cancelled", "problem": False}
            assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, 10)

    async def test_a_reload_goes_on(self) -> None:
        async with running() as url:
            assert await seen("resumes", url) == {"title": "Hills, tarts and fado"}

    @pytest.mark.parametrize("when", ["at once", "in the midst"])
    async def test_a_failure_is_told(self, server: ScriptedServer, when: str) -> None:
        refused = Answer(b'{"error": {"message": "the key sk-1234 is bad"}}', status=429)
        server.always(refused if when == "at once" else reply(BEGUN))
        async with running(base_url=f"{server.url}/v1") as url:
            found = await seen("fails", url)
        said = (
            "The provider refused the request. Trying again may help."
            if when == "at once"
            else "The answer was cut off."
        )
        assert found == {"problem": said, "axe": [], "canTryAgain": True}
