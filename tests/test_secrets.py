"""Keys and prompts, planted and looked for in all that leaves a stream: logs, errors, events, spans, cassettes, web."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from instructor_stream_ext import StreamError, wrap
from instructor_stream_ext.sinks.telemetry import telemetry
from instructor_stream_ext.testing import use_cassette
from instructor_stream_ext.web import stream_response
from tests.playing import play
from tests.server import Answer, Cut, ScriptedServer, reply
from tests.server.clients import KEY
from tests.sides import SOURCES, both_sides, sources

PROMPT = "planted-prompt-of-a-patient"
ANSWER = "planted-answer-of-the-model"
DOCUMENT = f'{{"name": "{ANSWER}", "age": 36}}'
SCRIPTS: dict[str, Any] = {
    "completed": [reply(DOCUMENT)],
    "refused": [Answer(b'{"error": {"message": "no quota", "type": "quota", "code": 429}}', status=429)],
    "rejected": [reply(f'{{"name": "{ANSWER}", "age": "old"}}')] * 2,
    "truncated": [reply(DOCUMENT[:-4])],
    "broken": [reply(DOCUMENT, size=4, arrange=lambda chunks: [*chunks[:6], Cut()])],
}


class Person(BaseModel):
    name: str
    age: int


def asking(source: Any) -> dict[str, Any]:
    return {**source.ask, "messages": [{"role": "user", "content": PROMPT}], "max_retries": 1}


def collected() -> tuple[Any, Any, Any]:
    """A sink, and where its spans and metrics are found."""
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    return telemetry(tracer_provider=tracers, meter_provider=MeterProvider([metrics])), spans, metrics


@both_sides
@sources("openai-tools", "openai-responses", "anthropic-tools", "genai-json", "litellm-tools")
@pytest.mark.parametrize("outcome", SCRIPTS)
async def test_no_key_and_no_prompt_is_told(
    server: ScriptedServer, side: str, source: Any, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    for script in SCRIPTS[outcome]:
        server.add(script)
    caplog.set_level("DEBUG", "instructor_stream_ext")
    sink, spans, metrics = collected()
    client = source.client(server, side, log_transitions=True, on_event=sink)
    played = await play(client.create_partial(Person, **asking(source)))
    assert PROMPT.encode() in server.exchanges[0].request.body  # it was sent: there is something to be found
    assert (played.error is None) is (outcome == "completed")

    ours = [record for record in caplog.records if record.name.startswith("instructor_stream_ext")]
    logs = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    told = f"{[span.to_json() for span in spans.get_finished_spans()]} {metrics.get_metrics_data()}"
    events = "\n".join(map(repr, played.events))
    errors = f"{played.error!s} {played.error!r}"
    assert logs
    for secret in (KEY, PROMPT):
        assert secret not in logs
        assert secret not in told
        assert secret not in events
        if isinstance(played.error, StreamError):
            assert secret not in errors
    assert ANSWER not in logs
    assert ANSWER not in told


@pytest.mark.parametrize("outcome", ["refused", "truncated", "broken"])
async def test_no_key_and_no_prompt_reaches_a_front_end(server: ScriptedServer, outcome: str) -> None:
    for script in SCRIPTS[outcome]:
        server.add(script)
    source = SOURCES["openai-tools"]
    stream = source.client(server, "async").create_partial(Person, **asking(source))
    response = await stream_response(stream, compress=False)
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        return {"type": "http.request"} if not sent else await _never()

    await response({"type": "http", "headers": []}, receive, send)
    body = b"".join(sent)
    assert body
    assert KEY.encode() not in body
    assert PROMPT.encode() not in body
    assert b"Traceback" not in body


async def _never() -> Any:
    import asyncio

    await asyncio.Event().wait()


def test_no_key_is_on_a_cassette(server: ScriptedServer, tmp_path: Path) -> None:
    server.add(reply(DOCUMENT))
    source = SOURCES["openai-tools"]
    cassette_file = tmp_path / "cassette.yaml"
    with use_cassette(cassette_file, record_mode="once"):
        source.client(server, "sync").create_partial(Person, **asking(source)).get_final_response()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert PROMPT.encode() in kept  # which is what a cassette is for: another request has to differ from it
    assert KEY.encode() not in kept


@both_sides
async def test_an_error_that_is_pickled_keeps_no_key(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT[:-4]))
    source = SOURCES["openai-tools"]
    client = wrap(source.plain(server, side))
    played = await play(client.create_partial(Person, **asking(source)))
    assert KEY.encode() not in pickle.dumps(played.error)
