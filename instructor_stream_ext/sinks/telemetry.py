"""A span and four metrics per stream, following OpenTelemetry's conventions for generative AI.

    client = wrap(instructor.from_openai(OpenAI()), on_event=telemetry())

The span is a child of what is current where the stream is read, and is itself never the current one: nothing is held
over a `yield`, so no context leaks into the consumer. It ends with the stream, whichever way that ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_never

from instructor_stream_ext.core.errors import MissingExtra
from instructor_stream_ext.core.events import (
    DeltaReceived,
    FieldTransition,
    ItemCompleted,
    Outcome,
    PartialEmitted,
    ReasoningReceived,
    StreamCancelled,
    StreamCompleted,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamRestarted,
    StreamStarted,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

from instructor_stream_ext.providers import TELEMETRY_NAMES

__all__ = ["NAMES", "telemetry"]

SCOPE = "instructor_stream_ext"

NAMES = {
    "duration": "gen_ai.client.operation.duration",
    "first_chunk": "gen_ai.client.operation.time_to_first_chunk",
    "per_chunk": "gen_ai.client.operation.time_per_output_chunk",
    "tokens": "gen_ai.client.token.usage",
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "stream": "gen_ai.request.stream",
    "finish": "gen_ai.response.finish_reasons",
    "span_first_chunk": "gen_ai.response.time_to_first_chunk",
    "token_type": "gen_ai.token.type",
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "error": "error.type",
    "attempts": "instructor_stream.attempts",
    "restarts": "instructor_stream.restarts",
    "outcome": "instructor_stream.outcome",
    "deltas": "instructor_stream.deltas",
    "partials": "instructor_stream.partials",
}
"""Every name that is sent. The conventions still change: their main branch uses `gen_ai.client.inference.*`."""

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_CHUNK_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0)
_TOKENS = tuple(4**power for power in range(14))
"""The buckets that the conventions recommend."""


def telemetry(
    *,
    usage: bool = False,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Telemetry:
    """Return a sink for `wrap(..., on_event=)` that gives each stream its span and metrics.

    Args:
        usage: Whether spans carry the tokens; some back-ends price each span that does. The metric always counts them.
        tracer_provider: In place of the global one.
        meter_provider: In place of the global one.

    Raises:
        MissingExtra: opentelemetry-api is not installed.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError as error:
        raise MissingExtra("telemetry", "otel") from error
    tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
    meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)

    def histogram(name: str, unit: str, says: str, buckets: tuple[float, ...]) -> Histogram:
        return meter.create_histogram(NAMES[name], unit, says, explicit_bucket_boundaries_advisory=buckets)

    return Telemetry(
        start=tracer.start_span,
        histograms={
            "duration": histogram("duration", "s", "The whole stream, all attempts.", _SECONDS),
            "first_chunk": histogram("first_chunk", "s", "Until the model's first text.", _SECONDS),
            "per_chunk": histogram("per_chunk", "s", "Between two pieces of the model's text.", _CHUNK_SECONDS),
            "tokens": histogram("tokens", "{token}", "Tokens of the whole stream, all attempts.", _TOKENS),
        },
        usage=usage,
    )


class Telemetry:
    """Makes each stream's consumer. Created by `telemetry`."""

    takes = frozenset((DeltaReceived, StreamEnded, StreamFailed, StreamRestarted, StreamStarted))

    def __init__(self, *, start: Callable[..., Span], histograms: dict[str, Histogram], usage: bool) -> None:
        self.start = start
        self.histograms = histograms
        self.usage = usage
        self._reading: _StreamSpan | None = None

    def for_stream(self) -> Callable[[StreamEvent], None]:
        """Return a consumer of one stream's events."""
        return _StreamSpan(self).take

    def __call__(self, event: StreamEvent) -> None:
        """Take an event of streams that are read one after the other; each begins after the previous one's end."""
        if self._reading is None:
            self._reading = _StreamSpan(self)
        reading = self._reading
        if isinstance(event, StreamEnded):
            self._reading = None
        reading.take(event)


class _StreamSpan:
    """The span and the figures of one stream."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._span: Span | None = None
        self._began_at = 0
        self._facts: dict[str, Any] = {NAMES["operation"]: "chat"}
        self._last_at: float | None = None
        self._restarts = 0

    def take(self, event: StreamEvent) -> None:
        """Take an event."""
        match event:
            case StreamStarted(model=model, provider=provider):
                self._name(model, provider)
                self._open(event)
            case DeltaReceived(at=at):
                if self._last_at is not None:
                    self._record("per_chunk", at - self._last_at)
                elif not self._restarts:
                    self._record("first_chunk", at)
                self._last_at = at
            case StreamRestarted():
                self._restarts += 1
                self._last_at = None
            case StreamFailed(error=error):
                # the type only: an error's message may repeat what the model said
                self._facts[NAMES["error"]] = type(error).__qualname__
            case StreamEnded():
                self._end(event)
            case FieldTransition() | ItemCompleted() | PartialEmitted() | ReasoningReceived():
                pass
            case StreamCompleted() | StreamCancelled():
                pass
            case _:
                assert_never(event)

    def _name(self, model: str | None, provider: str | None) -> None:
        """Note which model is asked."""
        if model is not None:
            self._facts[NAMES["model"]] = model
        if provider is not None:
            self._facts[NAMES["provider"]] = TELEMETRY_NAMES.get(provider, provider)

    def _record(self, name: str, value: float, **facts: str) -> None:
        self._telemetry.histograms[name].record(value, {**self._facts, **facts})

    def _open(self, event: StreamEvent) -> Span:
        """Open the span. It began with the stream, before the connection was open."""
        if self._span is None:
            from opentelemetry.trace import SpanKind

            self._began_at = time.time_ns() - int(event.at * 1e9)
            model = self._facts.get(NAMES["model"])
            self._span = self._telemetry.start(
                f"chat {model}" if model else "chat",
                kind=SpanKind.CLIENT,
                start_time=self._began_at,
                attributes={**self._facts, NAMES["stream"]: True},
            )
        return self._span

    def _end(self, event: StreamEnded) -> None:
        from opentelemetry.trace import Status, StatusCode

        stats = event.stats
        self._name(stats.model, stats.provider)  # a request that was refused has no `StreamStarted`
        span = self._open(event)
        facts: dict[str, Any] = {
            NAMES["attempts"]: stats.attempts,
            NAMES["restarts"]: self._restarts,
            NAMES["outcome"]: event.outcome.value,
            NAMES["deltas"]: stats.deltas,
            NAMES["partials"]: stats.partials_yielded,
        }
        if stats.first_delta_at is not None:
            facts[NAMES["span_first_chunk"]] = stats.first_delta_at
        if stats.end_signal is not None:
            facts[NAMES["finish"]] = [stats.end_signal]
        if event.outcome is Outcome.FAILED:
            facts[NAMES["error"]] = self._facts[NAMES["error"]]
            span.set_status(Status(StatusCode.ERROR, self._facts[NAMES["error"]]))
        if stats.usage is not None:
            counts = {"input": stats.usage.input_tokens, "output": stats.usage.output_tokens}
            for kind, count in counts.items():
                self._record("tokens", count, **{NAMES["token_type"]: kind})
                if self._telemetry.usage:
                    facts[NAMES[kind]] = count
        self._record("duration", event.at)
        span.set_attributes(facts)
        span.end(self._began_at + int(event.at * 1e9))
