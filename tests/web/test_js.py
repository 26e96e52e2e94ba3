"""The browser's package: its own tests, its types, what it would publish, and this package's real server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from instructor_stream_ext.web import Runs, stream_response
from tests.server import ScriptedServer, reply
from tests.twins import ASYNC
from tests.web.serving import serving

JS = Path(__file__).parents[2] / "js"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
with_packages = pytest.mark.skipif(not (JS / "node_modules").exists(), reason="npm --prefix js ci was not run")

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "who?"}]}


class Person(BaseModel):
    name: str
    age: int


@with_packages
@pytest.mark.parametrize("script", ["test", "types"])
def test_its_own_tests(script: str) -> None:
    done = subprocess.run(["npm", "run", "-s", script], cwd=JS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@with_packages
@pytest.mark.skipif(not (JS / "react-18" / "node_modules").exists(), reason="npm --prefix js/react-18 ci was not run")
def test_the_hook_with_react_18() -> None:
    done = subprocess.run(["npm", "run", "-s", "test-react-18"], cwd=JS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_published() -> None:
    done = subprocess.run(["npm", "pack", "--dry-run", "--json"], cwd=JS, capture_output=True, text=True, check=True)
    (package,) = json.loads(done.stdout) if done.stdout.lstrip().startswith("[") else json.loads(done.stdout).values()
    files = {one["path"] for one in package["files"]}
    assert files == {
        "README.md",
        "package.json",
        *(f"src/{name}" for name in ("index.d.ts", "index.js", "react.d.ts", "react.js", "sse.js")),
    }


async def node(program: str) -> list[Any]:
    """What a program prints, each line as JSON."""
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        "node", "--input-type=module", "-e", program, cwd=JS, stdout=pipe, stderr=pipe
    )
    out, problems = await running.communicate()
    assert running.returncode == 0, problems.decode()
    return [json.loads(line) for line in out.decode().splitlines()]


async def test_it_reads_the_real_server(server: ScriptedServer) -> None:
    server.add(reply('{"name": "Ada", "age": 36}'))
    client = ASYNC.client(server)

    async def people(_: Request) -> Response:
        return await stream_response(client.create_partial(Person, **ASK))

    async with serving(people) as url:
        said = await node(
            "import { streamObject } from './src/index.js'\n"
            f"const stream = streamObject('{url}', {{ body: {{}} }})\n"
            "for await (const one of stream) console.log(JSON.stringify(one))\n"
            "console.log(JSON.stringify(await stream))"
        )
    assert said[-1] == said[-2] == {"name": "Ada", "age": 36}


async def test_it_goes_on_in_a_run_of_the_real_server(server: ScriptedServer) -> None:
    """Its first connection is cut by hand, behind the first event."""
    server.add(reply('{"name": "Ada", "age": 36}'))
    client, runs = ASYNC.client(server), Runs()

    async def start(_: Request) -> Response:
        return await runs.respond(await runs.start(client.create_partial(Person, **ASK)))

    async with serving(start, *runs.routes()) as url:
        said = await node(
            "import { streamObject } from './src/index.js'\n"
            "let cut = true\n"
            "const cutting = async (...asked) => {\n"
            "  const answer = await fetch(...asked)\n"
            "  if (!cut) return answer\n"
            "  cut = false\n"
            "  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()\n"
            "  const { value } = await reader.read()\n"
            "  const first = value.slice(0, value.indexOf('\\n\\n') + 2)\n"
            "  return new Response(first, { headers: answer.headers })\n"
            "}\n"
            f"const resume = (run) => '{url}/runs/' + run\n"
            f"const stream = streamObject('{url}', {{ body: {{}}, resume, delay: 1, fetch: cutting }})\n"
            "console.log(JSON.stringify(await stream))"
        )
    assert said == [{"name": "Ada", "age": 36}]
    assert len(server.requests) == 1
    await runs.aclose()
