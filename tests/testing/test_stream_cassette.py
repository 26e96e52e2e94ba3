"""Recording and playing through the transports of httpx, httpx2 and aiohttp."""

from __future__ import annotations

import asyncio
import gzip
import json
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from vcr import mode as vcr_mode

from instructor_stream_ext.testing import (
    CassetteError,
    Drop,
    Duplicate,
    End,
    EndEarly,
    FailFirst,
    FakeClock,
    Fault,
    Interaction,
    Scrubber,
    Stall,
    Trickle,
    load_cassette,
    use_cassette,
)
from instructor_stream_ext.testing.payload import text_of
from instructor_stream_ext.testing.sidecar import sidecar_of
from tests.server import ScriptedServer
from tests.server.script import Answer, Cut, Reset, Send, Start, Status, Wait, sends
from tests.server.script import End as Ended
from tests.server.signals import Signal
from tests.server.wire_chat import chat_content
from tests.testing.carriers import FAILURES, Carrier, every_carrier

CHUNKS = chat_content('{"name": "Ada Lovelace", "city": "Zürich"}', size=6)
BODY = b"".join(CHUNKS)
PATH = "/v1/chat/completions"


@pytest.fixture
def cassette_file(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "cassette.yaml"


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def forget(path: Path) -> None:
    path.unlink()


def only(cassette_file: Path) -> Interaction:
    (interaction,) = load_cassette(cassette_file, sidecar=True).interactions
    return interaction


@every_carrier
async def test_recording_holds_nothing_back(server: ScriptedServer, cassette_file: Path, carrier: Carrier) -> None:
    gate = Signal()
    server.add(sends(CHUNKS[:2]), Wait(gate), sends(CHUNKS[2:]))
    seen = bytearray()

    def each(piece: bytes) -> None:
        seen.extend(piece)
        if len(seen) >= len(CHUNKS[0] + CHUNKS[1]):
            gate.set()  # the rest is sent only now: a recording that waits for the end would wait for ever

    with use_cassette(cassette_file, record_mode="once"):
        _, pieces = await carrier.read(server.url + PATH, each=each)
    assert b"".join(pieces) == BODY
    interaction = only(cassette_file)
    assert interaction.body == BODY
    assert interaction.end is End.COMPLETE
    assert interaction.deltas == len(CHUNKS) - 3  # but for the role, the finish reason and [DONE]
    assert [chunk.at for chunk in interaction.chunks] == sorted(chunk.at for chunk in interaction.chunks)
    assert interaction.ended_at >= interaction.chunks[-1].at >= interaction.chunks[0].at >= interaction.headers_at > 0


@every_carrier
async def test_a_client_that_leaves_stops_the_cassette_there(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    gate = Signal()
    server.add(sends(CHUNKS[:3]), Wait(gate), sends(CHUNKS[3:]))
    with use_cassette(cassette_file, record_mode="once"):
        _, pieces = await carrier.read(server.url + PATH, leave_after=1)
    gate.set()
    interaction = only(cassette_file)
    assert interaction.body == b"".join(pieces)
    assert (interaction.end, interaction.error) == (End.ABANDONED, "left by the client")


@every_carrier
async def test_a_client_may_leave_after_the_last_event(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    gate = Signal()
    server.add(Send(BODY), Wait(gate))
    with use_cassette(cassette_file, record_mode="once"):
        _, pieces = await carrier.read(server.url + PATH, leave_after=1)
    gate.set()
    assert b"".join(pieces) == BODY
    assert only(cassette_file).end is End.COMPLETE


@every_carrier
@pytest.mark.parametrize("last", [Cut(), Reset()], ids=["fin", "reset"])
async def test_a_cut_connection_is_recorded_and_played_as_one(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier, last: Any
) -> None:
    gate = Signal()
    server.add(sends(CHUNKS[:3]), Wait(gate), last)
    with use_cassette(cassette_file, record_mode="once"), pytest.raises(FAILURES) as recorded:
        await carrier.read(server.url + PATH, each=lambda _: gate.set())
    interaction = only(cassette_file)
    assert interaction.end is End.CUT
    assert interaction.error.startswith(type(recorded.value).__name__)
    assert BODY.startswith(interaction.body)
    assert interaction.body
    with use_cassette(cassette_file) as played, pytest.raises(type(recorded.value)):
        await carrier.read(interaction.url)
    assert len(played.performances) == 1


@every_carrier
async def test_a_stall_is_recorded_and_played_as_one(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    gate = Signal()
    server.add(sends(CHUNKS[:2]), Wait(gate))
    with use_cassette(cassette_file, record_mode="once"), pytest.raises(FAILURES) as recorded:
        await carrier.read(server.url + PATH, patience=0.05)
    gate.set()
    interaction = only(cassette_file)
    assert interaction.end is End.ERROR
    assert "Timeout" in interaction.error
    assert interaction.ended_at - interaction.chunks[-1].at >= 0.04
    clock = FakeClock()
    with use_cassette(cassette_file, speed=clock), pytest.raises(type(recorded.value)):
        await carrier.read(interaction.url)
    assert clock() == pytest.approx(interaction.ended_at)


@every_carrier
async def test_an_http_error_is_recorded_and_played_as_one(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    server.add(Status(429, headers={"retry-after": "7"}))
    with use_cassette(cassette_file, record_mode="once"):
        status, recorded = await carrier.read(server.url + PATH)
    interaction = only(cassette_file)
    assert (status, interaction.status, interaction.end, interaction.error) == (429, 429, End.ERROR, "HTTP 429")
    assert ("retry-after", "7") in [(name.lower(), value) for name, value in interaction.headers]
    with use_cassette(cassette_file):
        assert await carrier.read(interaction.url) == (429, [b"".join(recorded)])


@every_carrier
async def test_a_stream_that_just_ends_is_no_complete_one(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    server.add(sends(CHUNKS[:4]), Ended())
    with use_cassette(cassette_file, record_mode="once"):
        await carrier.read(server.url + PATH)
    interaction = only(cassette_file)
    assert (interaction.end, interaction.error) == (End.CUT, "the body ended properly, without an end signal")
    with use_cassette(cassette_file):
        assert b"".join((await carrier.read(interaction.url))[1]) == b"".join(CHUNKS[:4])


def zstandard(data: bytes) -> bytes:
    compressed: bytes = pytest.importorskip("zstandard").ZstdCompressor().compress(data)
    return compressed


def brotli(data: bytes) -> bytes:
    compressed: bytes = pytest.importorskip("brotli").compress(data)
    return compressed


def bare_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(data) + made.flush()


@every_carrier
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare_deflate),
        ("br", brotli),
        ("zstd", zstandard),
    ],
    ids=["gzip", "deflate", "bare-deflate", "br", "zstd"],
)
async def test_encoded_bodies_are_kept_plain(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier, encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    if encoding == "zstd" and carrier.library != "httpx":
        pytest.importorskip("backports.zstd")  # what these clients decode it with
    encoded = encode(BODY)
    headers = {"content-type": "text/event-stream", "content-encoding": encoding}
    server.add(Start(headers=headers), Send(encoded[:20]), Send(encoded[20:]))
    with use_cassette(cassette_file, record_mode="once"):
        _, recorded = await carrier.read(server.url + PATH)
    assert b"".join(recorded) == BODY
    interaction = only(cassette_file)
    assert interaction.body == BODY
    assert "content-encoding" not in dict(interaction.headers)
    assert "string: |+" in text(cassette_file)
    with use_cassette(cassette_file):
        assert b"".join((await carrier.read(interaction.url))[1]) == BODY


async def test_a_body_that_is_not_what_its_header_says_is_kept_as_it_is(
    server: ScriptedServer, cassette_file: Path
) -> None:
    server.add(Answer(b"\xff\xfenot gzip\x00", headers={"content-encoding": "gzip"}))
    with use_cassette(cassette_file, record_mode="once"), pytest.raises(Exception, match=r"(?i)error|incorrect|header"):
        await Carrier("httpx2", is_async=False).read(server.url + PATH)
    interaction = only(cassette_file)
    assert interaction.body == b"\xff\xfenot gzip\x00"
    assert dict(interaction.headers)["content-encoding"] == "gzip"
    assert "!!binary" in text(cassette_file)


@every_carrier
async def test_a_replay_has_the_pieces_and_the_instants_of_the_recording(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    gates = [Signal() for _ in CHUNKS]
    number = 0

    def each(_: bytes) -> None:
        nonlocal number
        if number < len(gates):
            gates[number].set()
            number += 1

    server.add([step for gate, chunk in zip(gates, CHUNKS, strict=True) for step in (Send(chunk), Wait(gate))])
    with use_cassette(cassette_file, record_mode="once"):
        await carrier.read(server.url + PATH, each=each)
    interaction = only(cassette_file)
    assert [chunk.data for chunk in interaction.chunks] == CHUNKS
    clock = FakeClock(100.0)
    instants: list[float] = []
    with use_cassette(cassette_file, speed=2, clock=clock):
        _, played = await carrier.read(interaction.url, each=lambda _: instants.append(clock() - 100.0))
    assert played == CHUNKS
    assert instants == pytest.approx([chunk.at / 2 for chunk in interaction.chunks])
    assert clock() - 100.0 == pytest.approx(interaction.ended_at / 2)


@every_carrier
async def test_a_miss_is_told_although_clients_hide_it(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    server.add(sends(CHUNKS))
    with use_cassette(cassette_file, record_mode="once"):
        await carrier.read(server.url + PATH)
    with (
        pytest.raises(
            AssertionError, match=r"POST .*/elsewhere is not on the cassette.*1 of its 1 interactions were never"
        ),
        use_cassette(cassette_file) as played,
    ):
        with pytest.raises(Exception, match="Can't play back this request"):
            await carrier.read(server.url + "/elsewhere")
        assert len(played.misses) == 1
    assert len(server.requests) == 1


@every_carrier
async def test_reading_on_where_the_recorded_client_left_is_an_error(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    gate = Signal()
    server.add(sends(CHUNKS[:1]), Wait(gate), sends(CHUNKS[1:]))
    with use_cassette(cassette_file, record_mode="once"):
        _, recorded = await carrier.read(server.url + PATH, leave_after=1)
    gate.set()
    url = only(cassette_file).url
    with use_cassette(cassette_file):
        assert (await carrier.read(url, leave_after=1))[1] == recorded
    with use_cassette(cassette_file) as played:
        with pytest.raises(CassetteError, match="the recorded client left here"):
            await carrier.read(url)
        assert "the recorded client left here" in played.problems()[0]
        played.performances.clear()


@every_carrier
async def test_a_stream_left_early_fails_the_replay_unless_it_is_declared(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    server.add(sends(CHUNKS))
    with use_cassette(cassette_file, record_mode="once"):
        await carrier.read(server.url + PATH)
    url = only(cassette_file).url
    left = f"was left at byte {len(BODY) // 2} of {len(BODY)}"
    from instructor_stream_ext.testing import Resplit

    halved = Resplit(at=(len(BODY) // 2,))
    with pytest.raises(AssertionError, match=left), use_cassette(cassette_file, faults=halved):
        await carrier.read(url, leave_after=1)
    with use_cassette(cassette_file, faults=halved, whole=False):
        await carrier.read(url, leave_after=1)
    with (
        pytest.raises(AssertionError, match="7 deltas were played, 8 were expected"),
        use_cassette(cassette_file, deltas=8),
    ):
        await carrier.read(url)
    with use_cassette(cassette_file, deltas=7):
        await carrier.read(url)


@every_carrier
async def test_requests_are_kept_in_their_order_and_played_in_it(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    for text in ("one", "two"):
        server.add(sends(chat_content(text)))
    with use_cassette(cassette_file, record_mode="once"):
        recorded = [await carrier.read(server.url + PATH) for _ in range(2)]
    interactions = load_cassette(cassette_file).interactions
    assert [interaction.body for interaction in interactions] == [b"".join(pieces) for _, pieces in recorded]
    with use_cassette(cassette_file):
        played = [await carrier.read(interactions[0].url) for _ in range(2)]
    assert [b"".join(pieces) for _, pieces in played] == [interaction.body for interaction in interactions]


@every_carrier
async def test_no_secret_reaches_the_cassette(server: ScriptedServer, cassette_file: Path, carrier: Carrier) -> None:
    key, address, project = "sk-" + "a1" * 12, "bob.bobson@mail.zurich.ch", "proj_" + "b2" * 10
    answer = chat_content(f'{{"to": "{address}", "via": "{key}"}}', size=None)
    headers = {
        "content-type": "text/event-stream",
        "Set-Cookie": "s=1",
        "x-request-id": "r-1",
        "OpenAI-Organization": "us",
    }
    server.add(Start(headers=headers), sends(answer))
    sent = {
        "authorization": f"Bearer {key}",
        "X-Api-Key": key,
        "cookie": "c=1",
        "openai-organization": "us",
        "x-custom": f"of {project}",
    }
    scrubber = Scrubber().extended("x-private", colour="mauve-[0-9]+")
    body = f'{{"say": "{address} mauve-12", "id": "{project}"}}'.encode()
    sent["x-private"] = "mine"
    quoted = address.replace("@", "%40")
    url = f"{server.url}/{project}/{quoted}{PATH}?key={key}&alt=sse&user={quoted}"
    with use_cassette(cassette_file, record_mode="once", scrubber=scrubber):
        _, pieces = await carrier.read(url, headers=sent, body=body)
    assert address.encode() in b"".join(pieces)
    kept = text(cassette_file) + text(sidecar_of(cassette_file))
    for secret in (key, address, quoted, project, "mauve-12", "s=1", "c=1", "r-1", "mine", "Bearer"):
        assert secret not in kept
    for name in ("authorization", "cookie", "openai-organization", "x-api-key", "x-request-id", "x-private"):
        assert f"{name}:" not in kept.lower()
    assert "alt=sse" in kept
    interaction = only(cassette_file)
    assert len(interaction.body) == len(b"".join(answer))
    with use_cassette(cassette_file, scrubber=scrubber):
        assert len((await carrier.read(url, headers=sent, body=body))[1]) == len(interaction.chunks)


async def test_a_refusal_first_and_good_then(server: ScriptedServer, cassette_file: Path) -> None:
    from instructor_stream_ext.testing import FailFirst
    from tests.testing.carriers import CARRIERS

    server.always(sends(CHUNKS))
    for carrier in CARRIERS:
        own = cassette_file.with_stem(str(carrier))
        with use_cassette(own, record_mode="once"):
            await carrier.read(server.url + PATH)
        with use_cassette(own, faults=FailFirst(500, times=2)):
            statuses = [(await carrier.read(only(own).url))[0] for _ in range(3)]
        assert statuses == [500, 500, 200]


def test_a_cassette_that_is_not_there(cassette_file: Path) -> None:
    with pytest.raises(CassetteError, match="there is no such cassette"), use_cassette(cassette_file):
        pass


async def test_a_cassette_without_its_sidecar_is_not_played(server: ScriptedServer, cassette_file: Path) -> None:
    server.add(sends(CHUNKS))
    with use_cassette(cassette_file, record_mode="once"):
        await Carrier("httpx2", is_async=True).read(server.url + PATH)
    forget(sidecar_of(cassette_file))
    with pytest.raises(CassetteError, match="has no sidecar"), use_cassette(cassette_file):
        pass


def test_a_cassette_of_nothing_is_not_played(cassette_file: Path) -> None:
    cassette_file.parent.mkdir()
    cassette_file.touch()
    with pytest.raises(CassetteError, match=r"cassette.yaml:1: is not a cassette"), use_cassette(cassette_file):
        pytest.fail("an empty file was played")


def without_times(cassette_file: Path, *places: int) -> None:
    timing = json.loads(text(sidecar_of(cassette_file)))
    for place in places:
        timing["streams"][place] = None
    sidecar_of(cassette_file).write_text(json.dumps(timing), encoding="utf-8")


@every_carrier
@pytest.mark.parametrize("places", [(1,), (0, 1)], ids=["one", "all"])
async def test_an_interaction_without_times_plays_at_once(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier, places: tuple[int, ...]
) -> None:
    server.always(sends(CHUNKS))
    with use_cassette(cassette_file, record_mode="once"):
        for _ in range(2):
            await carrier.read(server.url + PATH)
    without_times(cassette_file, *places)
    clock, instants = FakeClock(), []
    with use_cassette(cassette_file, speed=clock):
        for _ in range(2):
            began = clock()
            status, pieces = await carrier.read(server.url + PATH)
            assert (status, b"".join(pieces)) == (200, BODY)
            instants.append(clock() - began)
    assert [place for place, passed in enumerate(instants) if not passed] == list(places)
    with use_cassette(cassette_file):  # as vcrpy, which does not mind what its client leaves unread
        for place in range(2):
            await carrier.read(server.url + PATH, leave_after=1 if place in places else None)
    with (
        pytest.raises(AssertionError, match="1 of its 2 interactions were never asked for"),
        use_cassette(cassette_file),
    ):
        await carrier.read(server.url + PATH)


@every_carrier
async def test_a_cassette_of_plain_vcrpy_plays_at_once(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    """It never had a sidecar; what was recorded with one and has lost it is an error."""
    import vcr

    server.add(sends(CHUNKS))
    with vcr.use_cassette(str(cassette_file)):
        await carrier.read(server.url + PATH)
    with use_cassette(cassette_file):
        assert b"".join((await carrier.read(server.url + PATH))[1]) == BODY
    assert not sidecar_of(cassette_file).exists()


def by_requests(url: str) -> bytes:
    return requests.post(url, data=b"{}", timeout=5).content


def by_urllib(url: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, b"{}", method="POST")) as answer:
        body: bytes = answer.read()
        return body


@every_carrier
async def test_requests_of_other_libraries_are_on_the_cassette_in_their_order(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    for word in ("one", "two", "three", "four"):
        server.add(sends(chat_content(word)))

    async def bodies() -> list[bytes]:
        found = []
        for other in (by_requests, by_urllib):
            found.append(await asyncio.to_thread(other, server.url + PATH))
            found.append(b"".join((await carrier.read(server.url + PATH))[1]))
        return found

    with use_cassette(cassette_file, record_mode="once"):
        recorded = await bodies()
    interactions = load_cassette(cassette_file, sidecar=True).interactions
    assert [interaction.body for interaction in interactions] == recorded
    assert [interaction.timed for interaction in interactions] == [False, True, False, True]
    with use_cassette(cassette_file):
        assert await bodies() == recorded
    assert len(server.requests) == 4


@every_carrier
async def test_a_cassette_that_vcrpy_has_opened_is_taken_over(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    from vcr import VCR

    from instructor_stream_ext.testing.stream_cassette import StreamCassette

    for word in ("one", "two", "three"):
        server.add(sends(chat_content(word)))

    async def body() -> bytes:
        return b"".join((await carrier.read(server.url + PATH))[1])

    with VCR().use_cassette(str(cassette_file)) as cassette:
        recorded = [await body()]
        with StreamCassette(cassette):
            recorded.append(await body())
        recorded.append(await body())
    interactions = load_cassette(cassette_file, sidecar=True).interactions
    assert [interaction.body for interaction in interactions] == recorded
    assert [interaction.timed for interaction in interactions] == [False, True, False]
    with VCR(record_mode=vcr_mode.NONE).use_cassette(str(cassette_file)) as cassette:
        bodies = [await body()]
        with StreamCassette(cassette) as played:
            bodies.append(await body())
            assert played.performances[0].interaction == interactions[1]
        bodies.append(await body())
        played.verify()
    assert bodies == recorded


@every_carrier
async def test_what_follows_the_body_of_a_test_may_come_late(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    server.always(sends(CHUNKS))
    with use_cassette(cassette_file, record_mode="once") as played:
        await carrier.read(server.url + PATH)
        played.body_ended()
        await carrier.read(server.url + PATH)
    assert [interaction.timed for interaction in load_cassette(cassette_file).interactions] == [True, False]
    with use_cassette(cassette_file) as played:
        assert "2 of its 2 interactions" in played.problems()[0]
        assert "1 of its 2 interactions" in played.problems(over=False)[0]
        await carrier.read(server.url + PATH)
        assert not played.problems(over=False)
        assert "1 of its 2 interactions" in played.problems()[0]
        await carrier.read(server.url + PATH)


@every_carrier
@pytest.mark.parametrize(
    ("faults", "never"),
    [
        ([Drop(100)], ["Drop(event=100)"]),
        ([Stall(5, before=999)], ["Stall(seconds=5, before=999)"]),
        ([Trickle(7), Duplicate(99) | Stall(1)], ["Duplicate(event=99)"]),
        ([EndEarly(after=3), Drop(5), EndEarly(at_byte=999)], ["Drop(event=5)", "EndEarly(after=None, at_byte=999)"]),
        ([FailFirst(500, times=9), Stall(1)], ["Stall(seconds=1, before=0)"]),
    ],
)
async def test_a_fault_that_never_happens_is_an_error(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier, faults: list[Fault], never: list[str]
) -> None:
    server.add(sends(CHUNKS))
    with use_cassette(cassette_file, record_mode="once", faults=Drop(100)):  # while it records, no fault does
        await carrier.read(server.url + PATH)
    with (
        pytest.raises(AssertionError, match="never happened") as failed,
        use_cassette(cassette_file, faults=faults, whole=False),
    ):
        await carrier.read(server.url + PATH)
    assert [part.partition(" never happened")[0] for part in str(failed.value).split("fault ")[1:]] == never


async def test_faults_of_interactions_that_never_came_are_an_error(server: ScriptedServer, cassette_file: Path) -> None:
    server.always(sends(CHUNKS))
    carrier = Carrier("httpx2", is_async=True)
    with use_cassette(cassette_file, record_mode="once"):
        for _ in range(2):
            await carrier.read(server.url + PATH)
    with (
        pytest.raises(AssertionError, match=r"fault Trickle.* never"),
        use_cassette(cassette_file, faults=Trickle(3), whole=False),
    ):
        pass
    with use_cassette(cassette_file, faults=Drop(99)) as played:  # as of a mark, for which the test has its own
        played(faults=Stall(1))
        await carrier.read(server.url + PATH)
        played(faults=Drop(77))
        await carrier.read(server.url + PATH)
        assert [problem.partition(" never")[0] for problem in played.problems()] == [
            "cassette.yaml: fault Drop(event=77)"
        ]
        played._faults.pop()
    with use_cassette(cassette_file, faults=Stall(1)) as played:
        await carrier.read(server.url + PATH)
        played(faults=())
        await carrier.read(server.url + PATH)


@every_carrier
async def test_new_episodes_are_added_and_all_is_recorded_anew(
    server: ScriptedServer, cassette_file: Path, carrier: Carrier
) -> None:
    for word in ("one", "two", "three"):
        server.add(sends(chat_content(word)))
    with use_cassette(cassette_file, record_mode="once"):
        await carrier.read(server.url + PATH)
    first = only(cassette_file)
    with use_cassette(cassette_file, record_mode="new_episodes") as played:
        assert played.records
        bodies = [b"".join((await carrier.read(server.url + PATH))[1]) for _ in range(2)]
    interactions = load_cassette(cassette_file, sidecar=True).interactions
    assert interactions[0] == first
    assert [interaction.body for interaction in interactions] == bodies
    with use_cassette(cassette_file, record_mode="all"):
        await carrier.read(server.url + PATH)
    assert text_of(only(cassette_file).body) == "three"
    assert len(server.requests) == 3


async def test_streams_that_overlap_are_kept_apart(server: ScriptedServer, cassette_file: Path) -> None:
    gate = Signal()
    carrier = Carrier("httpx2", is_async=True)
    server.add(sends(CHUNKS[:2]), Wait(gate), sends(CHUNKS[2:]))
    server.add(sends(chat_content("the second")))
    with use_cassette(cassette_file, record_mode="once"):
        begun = asyncio.Event()
        slow = asyncio.create_task(carrier.read(server.url + PATH, each=lambda _: begun.set()))
        await begun.wait()
        quick = await carrier.read(server.url + PATH)
        gate.set()
        await slow
    interactions = load_cassette(cassette_file, sidecar=True).interactions
    assert interactions[0].body == BODY  # in the order of the requests, although the second was over first
    assert interactions[1].body == b"".join(quick[1])


async def test_a_filter_of_the_users_may_change_a_body(server: ScriptedServer, cassette_file: Path) -> None:
    """The boundaries are lost then, and the cassette still fits its sidecar."""
    from vcr import VCR

    from instructor_stream_ext.testing.persister import CassettePersister
    from instructor_stream_ext.testing.stream_cassette import StreamCassette

    def shorter(response: dict[str, Any]) -> dict[str, Any]:
        response["body"]["string"] = response["body"]["string"].replace(b"Ada ", b"")
        return response

    server.add(sends(chat_content("Ada Lovelace", size=None)))
    recorder = VCR(before_record_response=shorter)
    recorder.register_persister(CassettePersister())
    with recorder.use_cassette(str(cassette_file)) as cassette, StreamCassette(cassette):
        await Carrier("httpx2", is_async=True).read(server.url + PATH)
    interaction = only(cassette_file)
    assert b"Lovelace" in interaction.body
    assert b"Ada" not in interaction.body
    assert len(interaction.chunks) == 1
