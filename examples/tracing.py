"""A span and metrics for each stream, with OpenTelemetry. Without OPENAI_API_KEY a local model answers."""

import instructor
import openai
from local_model import stand_in
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, Field

from instructor_stream_ext import wrap
from instructor_stream_ext.sinks.telemetry import telemetry


class Room(BaseModel):
    name: str
    beds: int = Field(ge=1)


stand_in({"name": "Attic", "beds": 0}, {"name": "Attic", "beds": 2})

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()  # in earnest, those of your back-end
tracers = TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(exporter))
meters = MeterProvider([reader])

client = wrap(
    instructor.from_openai(openai.OpenAI()),
    on_event=telemetry(usage=True, tracer_provider=tracers, meter_provider=meters),
)
client.create(model="gpt-4o-mini", messages="A room, please.", response_model=Room)

for span in exporter.get_finished_spans():
    print(span.name)
    for name, value in sorted((span.attributes or {}).items()):
        print(f"  {name}:", value)
data = reader.get_metrics_data()
assert data is not None
for metric in data.resource_metrics[0].scope_metrics[0].metrics:
    print(metric.name, metric.unit)
tracers.shutdown()
meters.shutdown()
