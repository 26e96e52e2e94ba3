"""Spans and metrics, as an SDK collects them."""

from __future__ import annotations

import asyncio
import builtins
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from instructor import Mode
from opentelemetry import context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel, Field

from instructor_stream_ext import MissingExtra, RetriesExhausted, merge
from instructor_stream_ext.sinks.telemetry import NAMES, telemetry
from tests.server import Cut, Forever, ScriptedServer, Status, reply, sends
from tests.server.wire_format import chat_chunk, chat_content
from tests.twins import StillClock, Twin, both, settled

ASK: dict[str, Any] = {"messages": "go", "model": "gpt-x"}


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


@dataclass
class Collected:
    """What was exported."""

    spans_: InMemorySpanExporter
    metrics_: InMemoryMetricReader
    tracers: TracerProvider
    meters: MeterProvider

    def sink(self, **settings: Any) -> Any:
        return telemetry(tracer_provider=self.tracers, meter_provider=self.meters, **settings)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.spans_.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.span.attributes or {})

    def points(self, name: str) -> list[Any]:
        """The data points of a metric, by its key in the table."""
        data = self.metrics_.get_metrics_data()
        resources = data.resource_metrics if data else []
        metrics = [metric for resource in resources for scope in resource.scope_metrics for metric in scope.metrics]
        return [point for metric in metrics if metric.name == NAMES[name] for point in metric.data.data_points]


@pytest.fixture
def collected() -> Iterator[Collected]:
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([metrics])
    yield Collected(spans, metrics, tracers, meters)
    tracers.shutdown()
    meters.shutdown()


def test_the_names_are_the_conventions() -> None:
    modules = (gen_ai_attributes, gen_ai_metrics, error_attributes)
    known = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    ours = {name for name in NAMES.values() if name.startswith("instructor_stream.")}
    assert set(NAMES.values()) - ours <= known
    assert len(set(NAMES.values())) == len(NAMES)


@both
async def test_a_stream_is_a_span_with_its_figures(server: ScriptedServer, twin: Twin, collected: Collected) -> None:
    clock = StillClock()
    server.add(reply('{"name": "Ada", "age": 36}', 13))
    ticks = iter([0.5, 0.25])

    def tick(_: str) -> None:
        clock.advance(next(ticks))

    hooks: dict[str, Any] = {"on_start": lambda _: clock.advance(1), "on_delta": tick}
    client = twin.client(server, on_event=collected.sink(), clock=clock, **hooks)
    await twin.final(client.create_partial(Person, **ASK))
    span = collected.span
    assert span.name == "chat gpt-x"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time == 1_750_000_000
    attributes = collected.attributes
    timed = attributes.pop("gen_ai.response.time_to_first_chunk")
    assert timed == 1
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ("tool_calls",),
        "instructor_stream.attempts": 1,
        "instructor_stream.restarts": 0,
        "instructor_stream.outcome": "completed",
        "instructor_stream.deltas": 2,
        "instructor_stream.partials": 2,
    }
    facts = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
    }
    for name, wanted in {"duration": 1.75, "first_chunk": 1, "per_chunk": 0.5}.items():
        (point,) = collected.points(name)
        assert (point.count, point.sum, dict(point.attributes)) == (1, wanted, facts), name
    tokens = {point.attributes[NAMES["token_type"]]: point.sum for point in collected.points("tokens")}
    assert tokens == {"input": 11, "output": 7}


@both
async def test_usage_is_on_the_span_only_if_asked_for(server: ScriptedServer, twin: Twin, collected: Collected) -> None:
    server.always(reply('{"name": "Ada", "age": 36}'))
    await twin.final(twin.client(server, on_event=collected.sink(usage=True)).create_partial(Person, **ASK))
    assert collected.attributes["gen_ai.usage.input_tokens"] == 11
    assert collected.attributes["gen_ai.usage.output_tokens"] == 7


@both
async def test_a_re_ask_is_within_the_span(server: ScriptedServer, twin: Twin, collected: Collected) -> None:
    server.add(reply('{"name": "Ada", "age": -1}'))
    server.add(reply('{"name": "Ada", "age": 36}'))
    await twin.final(twin.client(server, on_event=collected.sink()).create_partial(Person, **ASK))
    assert collected.attributes["instructor_stream.attempts"] == 2
    assert collected.attributes["instructor_stream.restarts"] == 1
    assert collected.attributes["instructor_stream.outcome"] == "completed"
    assert len(collected.points("first_chunk")) == 1
    assert collected.points("first_chunk")[0].count == 1
    assert collected.points("per_chunk")[0].count == collected.attributes["instructor_stream.deltas"] - 2


@both
async def test_a_failure_is_an_error_without_what_the_model_said(
    server: ScriptedServer, twin: Twin, collected: Collected
) -> None:
    server.always(reply('{"name": "Ada Lovelace", "age": -1}'))
    client = twin.client(server, on_event=collected.sink())
    with pytest.raises(RetriesExhausted):
        await twin.final(client.create_partial(Person, **ASK, max_retries=0))
    span = collected.span
    assert span.status.status_code is StatusCode.ERROR
    assert collected.attributes["error.type"] == "RetriesExhausted"
    assert collected.attributes["instructor_stream.outcome"] == "failed"
    assert span.events == ()
    assert "Lovelace" not in span.to_json()
    assert collected.points("duration")[0].attributes["error.type"] == "RetriesExhausted"


@both
async def test_a_request_that_was_refused_is_a_span_too(
    server: ScriptedServer, twin: Twin, collected: Collected
) -> None:
    server.add(Status(429))
    with pytest.raises(Exception, match="scripted status 429"):
        await twin.final(twin.client(server, on_event=collected.sink()).create_partial(Person, **ASK))
    assert collected.span.name == "chat gpt-x"
    assert collected.attributes["gen_ai.request.model"] == "gpt-x"
    assert collected.attributes["gen_ai.provider.name"] == "openai"
    assert collected.attributes["error.type"] == "RateLimitError"
    assert collected.attributes["instructor_stream.outcome"] == "failed"
    assert collected.span.status.status_code is StatusCode.ERROR
    assert collected.points("first_chunk") == []
    (duration,) = collected.points("duration")
    assert duration.attributes["gen_ai.request.model"] == "gpt-x"
    assert duration.attributes["gen_ai.provider.name"] == "openai"


@both
async def test_a_stream_that_was_left_ends_its_span(server: ScriptedServer, twin: Twin, collected: Collected) -> None:
    server.add(Forever([chat_chunk({"content": "on and "})]))
    await twin.first(twin.client(server, on_event=collected.sink()).stream_text(**ASK), 3)
    assert collected.span.status.status_code is StatusCode.UNSET
    assert collected.attributes["instructor_stream.outcome"] == "cancelled"
    assert NAMES["finish"] not in collected.attributes


@both
async def test_a_stream_that_was_never_read_is_no_span(
    server: ScriptedServer, twin: Twin, collected: Collected
) -> None:
    stream = twin.client(server, on_event=collected.sink()).stream_text(**ASK)
    await settled(stream.close())
    assert collected.spans == []


async def test_cancellation_and_a_dropped_loop_end_the_span(server: ScriptedServer, collected: Collected) -> None:
    twin = Twin(is_async=True)
    client = twin.client(server, on_event=collected.sink())
    server.always(Forever([chat_chunk({"content": "on and "})]))
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in client.stream_text(**ASK):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert collected.attributes["instructor_stream.outcome"] == "cancelled"

    async for _ in client.stream_text(**ASK):
        break
    while len(collected.spans) < 2:  # noqa: ASYNC110  it is another thread or the loop itself that is waited for
        await asyncio.sleep(0)


@both
async def test_the_span_is_a_child_where_the_stream_is_read_and_never_current(
    server: ScriptedServer, twin: Twin, collected: Collected
) -> None:
    server.always(reply("one two three"))
    tracer = collected.tracers.get_tracer("test")
    client = twin.client(server, on_event=collected.sink())
    with tracer.start_as_current_span("outer") as outer:
        before = context.get_current()
        stream = client.stream_text(**ASK)
        if twin.is_async:
            async for _ in stream:
                assert trace.get_current_span() is outer
                assert context.get_current() == before
        else:
            for _ in stream:
                assert trace.get_current_span() is outer
                assert context.get_current() == before
        assert context.get_current() == before
    inner, _ = collected.spans
    assert inner.parent is not None
    assert inner.parent.span_id == outer.get_span_context().span_id


async def test_streams_at_the_same_time_keep_their_parents(server: ScriptedServer, collected: Collected) -> None:
    twin = Twin(is_async=True)
    server.always(reply("one two three four"))
    client = twin.client(server, on_event=collected.sink())
    tracer = collected.tracers.get_tracer("test")

    async def ask(number: int) -> None:
        with tracer.start_as_current_span(f"outer {number}") as outer:
            async for _ in client.stream_text("go", model=f"m{number}"):
                await asyncio.sleep(0)
                assert trace.get_current_span() is outer

    await asyncio.gather(*map(ask, range(5)))
    outers = {span.context.span_id: span.name for span in collected.spans if span.name.startswith("outer")}
    inners = [span for span in collected.spans if span.name.startswith("chat")]
    assert len(inners) == 5
    for inner in inners:
        assert inner.parent is not None
        assert outers[inner.parent.span_id] == f"outer {inner.name[-1]}"


async def test_merged_streams_have_a_span_each(server: ScriptedServer, collected: Collected) -> None:
    twin = Twin(is_async=True)
    server.add(reply("fine"), match=lambda request: request.json["model"] == "a")
    server.add([sends(chat_content("x", finish=None, done=False)), Cut()])
    client = twin.client(server, on_event=collected.sink())
    async for _ in merge({model: client.stream_text("go", model=model) for model in "ab"}):
        pass
    told = [span.attributes or {} for span in collected.spans]
    ended = {attributes[NAMES["model"]]: attributes[NAMES["outcome"]] for attributes in told}
    assert ended == {"a": "completed", "b": "failed"}


@both
async def test_a_stream_of_another_provider(server: ScriptedServer, twin: Twin, collected: Collected) -> None:
    server.always(reply('{"name": "Ada", "age": 36}'))
    client = twin.client(server, Mode.JSON, provider="genai", on_event=collected.sink())
    await twin.final(client.create_partial(Person, **ASK))
    assert collected.attributes["gen_ai.provider.name"] == "gcp.gen_ai"


@both
async def test_it_may_be_called_with_the_events_of_a_loop(
    server: ScriptedServer, twin: Twin, collected: Collected
) -> None:
    server.always(reply("fine"))
    sink = collected.sink()
    client = twin.client(server)
    for _ in range(2):
        for event in await twin.events(client.stream_text(**ASK)):
            sink(event)
    assert [(span.attributes or {})[NAMES["outcome"]] for span in collected.spans] == ["completed"] * 2


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return imports(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'instructor_stream_ext\[otel\]'"):
        telemetry()


def test_importing_the_package_and_its_sinks_imports_no_extra() -> None:
    code = (
        "import sys, instructor\n"
        "before = set(sys.modules)\n"
        "import instructor_stream_ext, instructor_stream_ext.sinks.log, instructor_stream_ext.sinks.telemetry\n"
        "import instructor_stream_ext.sinks.terminal\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new & {'opentelemetry', 'litellm', 'starlette', 'redis', 'vcr', 'hypothesis', 'rich'}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
