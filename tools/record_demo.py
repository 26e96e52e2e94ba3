"""Record the demo's cassette from a real inference server: llama.cpp on this machine, with a model made on the spot.

    make record-demo

The model's weights are random, so a JSON schema with enumerations says what it may write; which of the phrases it
takes, the tokens it takes them in and the pace are its own. What comes over the wire is kept as it came: the bytes of
each HTTP chunk and the instant at which it arrived.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.metadata
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from instructor_stream_ext.demo.model import PROMPT, Trip  # noqa: E402 - the path comes first
from tools.tiny_model import Size, words_of, write_model  # noqa: E402

CASSETTE = ROOT / "instructor_stream_ext" / "data" / "demo.json"
MODEL = "random-weights"
SIZE = Size(layers=8, width=512, heads=8, hidden=1408)

DAYS: list[dict[str, Any]] = [
    {
        "theme": ["Up and down the old town", "Tiles, trams and terraces", "Getting lost in Alfama on purpose"],
        "stops": [
            (
                ["09:30", "09:45", "10:00"],
                ["Fábrica da Nata", "Manteigaria", "Padaria do Bairro"],
                ["food"],
                [
                    "Eat the first custard tart standing up, and order the second before you have finished it.",
                    "Ask for cinnamon, take the table by the window and watch the bakers fold the pastry.",
                ],
                [6, 8, 9],
            ),
            (
                ["18:45", "19:15"],
                ["Miradouro da Graça", "Miradouro de Santa Luzia"],
                ["view"],
                [
                    "Bring something to drink and stay until the lights come on across the river.",
                    "Somebody will be playing the guitar; the best seats are on the wall to the left.",
                ],
                [0, 5],
            ),
        ],
    },
    {
        "theme": ["Along the water to Belém", "Slow trains and long lunches by the river"],
        "stops": [
            (
                ["13:15", "13:30"],
                ["Ponto Final", "Cervejaria Ramiro", "Taberna da Rua das Flores"],
                ["food"],
                [
                    "Book ahead, share three plates between you and do not skip the clams with garlic and lemon.",
                    "Come before the families do, sit outside and ask what was still swimming this morning.",
                ],
                [48, 56, 62],
            ),
            (
                ["17:00", "17:30"],
                ["Jardim da Estrela", "LX Factory", "Cais do Sodré"],
                ["walk"],
                [
                    "Nothing to see and nothing to do, which is the point: sit in the shade for an hour.",
                    "Look into the courtyards, then follow the tram lines home without a map.",
                ],
                [0, 4],
            ),
        ],
    },
    {
        "theme": ["One more view and then the music", "A day without a plan"],
        "stops": [
            (
                ["10:30", "11:00"],
                ["Feira da Ladra", "Mercado de Campo de Ourique"],
                ["walk"],
                [
                    "Bring small coins, look at everything twice and buy only what fits into one hand.",
                    "Come hungry, start at the far end and leave room for the cheese from the mountains.",
                ],
                [10, 15, 20],
            ),
            (
                ["21:00", "21:30"],
                ["Tasca do Chico", "Mesa de Frades"],
                ["music"],
                [
                    "When the lights go down nobody speaks: order before the first song and stay for the third.",
                    "It is small and loud and hot, and the singer may turn out to be the cook.",
                ],
                [35, 42],
            ),
        ],
    },
]
TITLES = ["Three slow days in Lisbon", "Lisbon without a watch", "Hills, tarts and fado"]
PACKING = [
    ["shoes that forgive cobblestones", "shoes with rubber soles"],
    ["a light jacket for the evenings", "a scarf against the wind"],
    ["coins for the tram", "a travel card for two"],
    ["an empty bag for the market", "a bottle to fill at the fountains"],
]
ADVICE = [
    (
        "Leave the afternoons open, carry little, and let the hills decide how fast you go; whatever you miss will "
        "still be there the next time, and the custard tarts will be just as warm."
    ),
    (
        "Buy the travel card on the first morning, eat where the menu has no pictures, and keep the last evening for "
        "the music, because nobody who hears it wants to be anywhere else afterwards."
    ),
]


def one_of(values: list[Any]) -> dict[str, Any]:
    """Give the schema of a value that is one of these."""
    return {"const": values[0]} if len(values) == 1 else {"enum": values}


def exactly(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the schema of a list that holds just these, in order."""
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def record_of(**fields: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of an object that has just these keys, in order."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def schema() -> dict[str, Any]:
    """Give the schema of all trips that the model may write."""
    days = []
    for number, day in enumerate(DAYS, start=1):
        stops = [
            record_of(
                time=one_of(times), place=one_of(places), kind=one_of(kinds), note=one_of(notes), euros=one_of(euros)
            )
            for times, places, kinds, notes, euros in day["stops"]
        ]
        days.append(record_of(number=one_of([number]), theme=one_of(day["theme"]), stops=exactly(stops)))
    return record_of(
        title=one_of(TITLES),
        city=one_of(["Lisbon"]),
        budget=one_of([150]),
        days=exactly(days),
        packing=exactly([one_of(choice) for choice in PACKING]),
        advice=one_of(ADVICE),
    )


def strings_in(value: Any) -> list[str]:
    """Give every string of a JSON value, keys too."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for key, item in value.items() for text in [key, *strings_in(item)]]
        case list():
            return [text for item in value for text in strings_in(item)]
        case _:
            return [str(value)]


def serve(model: Path) -> Any:
    """Start llama.cpp's own HTTP server on a free port; it lives as long as the object that is returned."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {MODEL}
    parameters.n_ctx = 16384
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.use_jinja = True
    parameters.cpuparams.n_threads = 1
    parameters.warmup = True
    return xllamacpp.Server(parameters)


def request(seed: int) -> dict[str, Any]:
    """Give the body that is sent."""
    form = {"type": "json_schema", "json_schema": {"name": Trip.__name__, "strict": True, "schema": schema()}}
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "response_format": form}
    return body | {"stream": True, "stream_options": {"include_usage": True}, "seed": seed, "temperature": 1.0}


def record(address: str, body: dict[str, Any]) -> tuple[str, list[tuple[float, str]]]:
    """Send the request and give the content type and each HTTP chunk with its arrival in seconds after the request."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    began = time.monotonic()
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.OK:
        raise SystemExit(f"the server answered {answer.status}: {answer.read().decode()}")
    # http.client joins HTTP chunks, so they are read from the file beneath it.
    chunks = []
    while size := int(answer.fp.readline(), 16):
        data = answer.fp.read(size)
        chunks.append((time.monotonic() - began, data.decode()))
        answer.fp.readline()
    connection.close()
    return answer.headers["content-type"], chunks


def content_of(chunks: list[tuple[float, str]]) -> str:
    """Put the answer's text together."""
    lines = "".join(data for _, data in chunks).splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def main() -> None:
    """Make the model, record, check what came and write the cassette."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=11)
    options.add_argument("--out", type=Path, default=CASSETTE)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.gguf"
        parameters = write_model(model, words_of(strings_in(schema())), SIZE)
        server = serve(model)
        content_type, chunks = record(server.listening_address, request(arguments.seed))
        del server
    text = content_of(chunks)
    trip = Trip.model_validate_json(text)
    cassette = {
        "format": 1,
        "recorded": {
            "at": datetime.now(UTC).strftime("%Y-%m-%d"),
            "by": "tools/record_demo.py",
            "server": f"llama.cpp by xllamacpp {importlib.metadata.version('xllamacpp')}",
            "model": f"llama architecture, {parameters / 1e6:.0f} million random parameters",
            "guided_by": "a JSON schema whose strings are enumerations (in tools/record_demo.py)",
        },
        "request": {"path": "/v1/chat/completions", "prompt": PROMPT, "response_model": Trip.__name__},
        "response": {"status": 200, "headers": {"content-type": content_type}},
        "chunks": [],
    }
    head = json.dumps(cassette, indent=1, ensure_ascii=False).removesuffix("[]\n}")
    lines = [json.dumps([round(1000 * at), data], ensure_ascii=False) for at, data in chunks]
    arguments.out.write_text(head + "[\n  " + ",\n  ".join(lines) + "\n ]\n}\n", encoding="utf-8")
    first, last = chunks[0][0], chunks[-1][0]
    sys.stderr.write(f"{len(chunks)} chunks from {first:.2f} s to {last:.2f} s, {trip.euros} euros:\n{text}\n")


if __name__ == "__main__":
    main()
