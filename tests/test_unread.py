"""A stream that is thrown away unread says so once."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from tests.server import ScriptedServer, reply
from tests.twins import Twin, both, settled


class City(BaseModel):
    name: str


ASK: dict[str, Any] = {"messages": "which?", "model": "m"}
MAKERS: dict[str, Callable[[Any], Any]] = {
    "partials": lambda client: client.create_partial(City, **ASK),
    "items": lambda client: client.create_iterable(City, **ASK),
    "text": lambda client: client.stream_text(**ASK),
}


def _warned(throw_away: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        throw_away()
        gc.collect()
    return [str(one.message) for one in caught if one.category is ResourceWarning and "stream" in str(one.message)]


@both
@pytest.mark.parametrize("kind", MAKERS)
async def test_it_warns_once(server: ScriptedServer, twin: Twin, kind: str) -> None:
    client = twin.client(server)
    (said,) = _warned(lambda: MAKERS[kind](client) and None)
    assert said == "a stream was never read, so nothing was sent: iterate over it, or call get_final_response()"
    assert not server.requests


@both
@pytest.mark.parametrize("kind", MAKERS)
async def test_one_that_was_read_or_closed_does_not(server: ScriptedServer, twin: Twin, kind: str) -> None:
    server.always(reply('[{"name": "Lisbon"}]' if kind == "items" else '{"name": "Lisbon"}'))
    streams = [MAKERS[kind](twin.client(server)) for _ in range(3)]
    await twin.values(streams[0])
    await twin.final(streams[1])
    await settled(streams[2].close())
    assert not _warned(streams.clear)
