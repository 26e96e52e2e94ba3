"""The example's page in a real browser: it fills in, is left, goes on after a reload, and tells a failure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import runpy
import shutil
import socket
import subprocess
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

        async def pieces() -> AsyncIterator[bytes]:
            for piece in (b'{"wish": "', *[b"x" * 900] * 3):
                yield piece

        assert (await client.post(f"{url}plan", content=pieces())).status_code == 413
        for path in ("", "page.js", "style.css", "client/index.js"):
            assert (await client.get(url + path)).status_code == 200
        assert (await client.get(f"{url}../app.py")).status_code == 404


@pytest.fixture(scope="module")
def react(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page in React, built by Vite."""
    built = tmp_path_factory.mktemp("react")
    command = ["npm", "run", "-s", "build-example", "--", "--outDir", str(built)]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return built


@pytest.mark.parametrize("page", ["", "react/"])
class TestInABrowser:
    pytestmark = in_a_browser

    @pytest.fixture(autouse=True)
    def built(self, page: str, request: pytest.FixtureRequest) -> dict[str, Any]:
        return {"react": request.getfixturevalue("react")} if page else {}

    async def test_it_fills_in_before_the_end(self, page: str, built: dict[str, Any]) -> None:
        async with running(**built) as url:
            found = await seen("fills", url + page)
        assert "Hills, tarts and fado".startswith(found["early"].pop("title"))
        assert found["early"] == {"isDone": 0, "busy": "true"}
        assert found["days"] == 3
        assert found["busy"] == "false"
        assert found["axe"] == []

    async def test_cancelling_reaches_the_provider(
        self, page: str, built: dict[str, Any], server: ScriptedServer
    ) -> None:
        server.add(reply(BEGUN, arrange=lambda chunks: [sends(chunks[:12]), Wait(Signal())]))
        async with running(base_url=f"{server.url}/v1", **built) as url:
            assert await seen("cancels", url + page) == {"status": "Cancelled", "problem": False}
            assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, 10)

    async def test_a_reload_goes_on(self, page: str, built: dict[str, Any]) -> None:
        async with running(**built) as url:
            assert await seen("resumes", url + page) == {"title": "Hills, tarts and fado"}

    @pytest.mark.parametrize("when", ["at once", "in the midst"])
    async def test_a_failure_is_told(self, page: str, built: dict[str, Any], server: ScriptedServer, when: str) -> None:
        refused = Answer(b'{"error": {"message": "the key sk-1234 is bad"}}', status=429)
        server.always(refused if when == "at once" else reply(BEGUN))
        async with running(base_url=f"{server.url}/v1", **built) as url:
            found = await seen("fails", url + page)
        said = (
            "The provider refused the request. Trying again may help."
            if when == "at once"
            else "The answer was cut off."
        )
        assert found == {"problem": said, "axe": [], "canTryAgain": True}


class TestTheIdeasInReact:
    pytestmark = in_a_browser

    async def test_they_come_one_by_one(self, react: Path) -> None:
        async with running(react=react) as url:
            found = await seen("ideas", f"{url}react/")
        assert found.pop("early") < 3
        assert found == {"ideas": 3, "status": "3 ideas", "canAskAgain": True}

    async def test_they_break_off(self, react: Path, server: ScriptedServer) -> None:
        server.add(reply('{"days": [{"theme": "Hills"}, {"theme": "Tarts"'))
        async with running(base_url=f"{server.url}/v1", react=react) as url:
            found = await seen("ideas", f"{url}react/")
        assert found["status"] == "The ideas broke off."
        assert found["canAskAgain"]
