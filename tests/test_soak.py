"""A few turns of the soak; `make soak` goes on for as long as one likes."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from tests.soak import BY_THE_LOAD, KINDS, Held, Soak, grown, serving


# httpcore2 leaves a connection to the garbage collector if it is cancelled in TLS's handshake
@pytest.mark.filterwarnings("ignore:unclosed (transport|<socket):ResourceWarning")
async def test_results_are_never_mixed_up_and_nothing_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="instructor")
    with serving() as servers:
        soak = Soak(servers, seed=7)
        await soak.turn(0, threads=4, tasks=12, rounds=6)
        before = Held.now(len(asyncio.all_tasks()))
        await soak.turn(1, threads=4, tasks=12, rounds=6)
        after = Held.now(len(asyncio.all_tasks()))
        assert soak.in_pools == 0
        await soak.aclose()
    gc.collect()
    assert soak.wrong == []
    assert sum(soak.outcomes.values()) == 2 * 16 * 6
    ends = {kind: {end for end in soak.outcomes if end.startswith(f"{kind}: ")} for kind in KINDS}
    for kind, (expected,) in KINDS.items():
        assert any(f"{kind}: {end}" in ends[kind] for end in (expected, *BY_THE_LOAD, "left", "cancelled")), kind
    assert not {"threads", "tasks"} & set(grown(before, after, pooled=32))


def test_growth_is_noticed() -> None:
    before = Held(kilobytes=100, threads=1, files=5, tasks=1, classes=10)
    assert grown(before, before, pooled=2) == []
    assert grown(before, Held(120, 2, 8, 2, 11), pooled=2) == ["threads", "tasks", "classes", "files", "kilobytes"]
