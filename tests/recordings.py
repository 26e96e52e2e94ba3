"""Recordings of real providers, which lie beside a checkout; `INDEX.tsv` says what each holds."""

from __future__ import annotations

import csv
import gzip
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from instructor import Mode
from pydantic import BaseModel, Field, create_model

__all__ = [
    "CLIENTS",
    "CORPUS",
    "INDEX",
    "NOT_THROUGH_THESE_SDKS",
    "Recording",
    "body_of",
    "kind_for",
    "list_of",
    "mode_of",
    "model_for",
    "recordings",
]

CORPUS = Path(__file__).parents[2] / "shared" / "wire"
INDEX = CORPUS / "INDEX.tsv"


@dataclass(frozen=True)
class Recording:
    """One recorded answer.

    Attributes:
        file: Its file's name.
        provider: Who answered.
        api: Through which interface, as in "chat" or "messages".
        mode: What was asked for, as in "chat-tools".
        texts: The files with the texts it carries.
        finish: The provider's end signal, "-" if it gave none.
        notes: What else is to be said of it.
    """

    file: str
    provider: str
    api: str
    mode: str
    texts: tuple[str, ...]
    finish: str
    notes: str

    @cached_property
    def raw(self) -> bytes:
        """The body as it went over the wire, maybe compressed."""
        path = CORPUS / self.file
        if path.suffix != ".yaml":
            return path.read_bytes()
        body = yaml.load(path.read_text(encoding="utf-8"), _LOADER)["interactions"][0]["response"]["body"]["string"]
        return body.encode() if isinstance(body, str) else bytes(body)

    @property
    def is_compressed(self) -> bool:
        """Whether the body is under gzip."""
        return self.raw[:2] == b"\x1f\x8b"

    @property
    def body(self) -> bytes:
        """The body, uncompressed."""
        return gzip.decompress(self.raw) if self.is_compressed else self.raw

    @property
    def sse(self) -> bytes:
        """The body as server-sent events, whatever it was kept as."""
        if self.file.endswith(".jsonl"):
            return b"".join(b"data: " + line + b"\n\n" for line in self.body.splitlines() if line.strip())
        if b"data:" in self.body:
            return self.body
        return b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in json.loads(self.body))

    @cached_property
    def carried(self) -> tuple[str, ...]:
        """The texts it carries."""
        return tuple((CORPUS / name).read_text(encoding="utf-8") for name in self.texts)

    @property
    def calls(self) -> list[tuple[str, int]]:
        """Its tool calls: the name, and how many fragments brought the arguments."""
        return [(name, int(count)) for name, count in re.findall(r"(\w+):(\d+)frag", self.notes)]

    @property
    def beside(self) -> int:
        """Characters of text beside the calls."""
        said = re.search(r"text (\d+) chars beside the calls", self.notes)
        return int(said.group(1)) if said else 0

    def says(self, note: str) -> bool:
        """Whether this is one of the notes."""
        return note in self.notes.split("; ")


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def recordings() -> list[Recording]:
    """All recordings there are; none where the collection is not beside this checkout."""
    if not INDEX.exists():
        return []
    with INDEX.open(newline="", encoding="utf-8") as lines:
        return [_recording(row) for row in csv.DictReader(lines, delimiter="\t")]


def _recording(row: dict[str, str]) -> Recording:
    api, _, mode = row["api/mode"].partition("/")
    texts = row["carried text file(s)"].split()
    return Recording(
        file=row["file"],
        provider=row["provider"],
        api=api,
        mode=mode,
        texts=() if texts == ["-"] else tuple(texts),
        finish=row["finish"],
        notes=row["notes"],
    )


CLIENTS = {"chat": "openai", "responses": "openai", "messages": "anthropic", "generateContent": "genai"}
"""The SDK that reads what came through an interface."""

NOT_THROUGH_THESE_SDKS = {
    "bedrock__converse-tools__cities-114.yaml": "AWS's binary frames, read by botocore alone",
    "bedrock__invoke-tools__claude35-two-calls.yaml": "AWS's binary frames, read by botocore alone",
    "cohere__v2-tools__command-r-two-calls.yaml": "Cohere's own events, read by its SDK alone",
    "ollama__native-tools__same-tool-four-times.yaml": "Ollama's own lines; instructor uses its OpenAI-like side",
    "replicate__sse-text__multiline-data-non-json.yaml": "bare text as events, which instructor has no client for",
    "vllm__completions-text__opt125m-length.yaml": "the completions of old, which instructor does not use",
    "watsonx__generate-text__granite.yaml": "IBM's own events, which instructor has no client for",
}
"""What the wrapped clients cannot read, and why; a new recording is either read or named here."""


def mode_of(recording: Recording) -> Mode:
    """In which mode a client asks for it."""
    if recording.api == "responses":
        return Mode.RESPONSES_TOOLS
    return Mode.TOOLS if recording.calls or recording.mode == "chat-error" else Mode.JSON


def body_of(recording: Recording, name: str) -> bytes:
    """The recording's events; google's call is renamed as instructor names a tool when it streams."""
    if recording.api == "generateContent":
        return recording.sse.replace(f'"name":"{name}"'.encode(), f'"name":"Partial{name}"'.encode()).replace(
            f'"name": "{name}"'.encode(), f'"name": "Partial{name}"'.encode()
        )
    return recording.sse


def model_for(name: str, value: dict[str, Any], *more: dict[str, Any]) -> type[BaseModel]:
    """A model that has a place for everything in these objects."""
    values = (value, *more)
    fields: dict[str, Any] = {}
    for number, key in enumerate(dict.fromkeys(key for one in values for key in one)):
        present = [one[key] for one in values if key in one]
        default = ... if len(present) == len(values) else None
        fields[f"f{number}"] = (kind_for(f"{name}_{key}", present), Field(default, alias=key))
    return create_model(name, **fields)


def kind_for(name: str, values: list[Any]) -> Any:
    """A type of all these values."""
    kinds: Any = None
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    if objects:
        kinds = model_for(name, *objects)
    if lists:
        items = [item for value in lists for item in value]
        kinds = _either(kinds, list_of(kind_for(name, items) if items else Any))
    for value in values:
        if not isinstance(value, dict | list):
            kinds = _either(kinds, type(value))
    return kinds


def list_of(kind: Any) -> Any:
    """The type of a list of them."""
    return list[kind]


def _either(one: Any, other: Any) -> Any:
    return other if one is None else one | other
