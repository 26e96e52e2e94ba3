"""A coverage-guided fuzzer for what reads bytes that a model or a provider has sent.

    .venv-fuzz/bin/python tools/fuzz.py scanner -max_total_time=600     (or: readers, seam; `make fuzz` runs all)

`scanner`: a document in two different cuttings gives the same partial, the same document or the same error, and no
error but those that are told; what is taken for complete is JSON, by json's own parser. `readers`: chunks of any JSON
give text, or one of the errors that a session takes for an unreadable event. `seam`: what is handed on of a rest is the
end of it. Arguments behind the target are libFuzzer's. A finding is left in a file `crash-...`; it belongs into a test.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # only where it is run

with atheris.instrument_imports(include=["instructor_stream_ext"]):
    from pydantic import BaseModel

    from instructor_stream_ext.core.document.reasoning import tags_from
    from instructor_stream_ext.core.document.scanner import Drafted
    from instructor_stream_ext.core.document.snapshots import PartialParser
    from instructor_stream_ext.core.errors import InvalidJSON, LimitExceeded, OutputTruncated
    from instructor_stream_ext.core.seam import Seam
    from instructor_stream_ext.core.types.compile import compile_plan
    from instructor_stream_ext.providers import FAMILIES

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What a session takes for an event that cannot be read (`session.reading`)."""


class Leaf(BaseModel):
    """Some fields."""

    name: str = ""
    size: int | None = None
    tags: list[str] = []


class Tree(BaseModel):
    """A model of most shapes."""

    title: str
    leaf: Leaf | None = None
    leaves: list[Leaf] = []
    table: dict[str, float] = {}
    either: int | str | bool | None = None
    pair: tuple[int, str] | None = None
    inner: list[Tree] = []


PLANS = [compile_plan(kind) for kind in (Tree, list[Leaf], dict[str, Any], list[int | str])]


TOKENS = [
    *(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "\\u",
        "d83d",
        " ",
        "\n",
        "```",
        "```json\n",
        "null",
        "true",
        "-",
        "1",
        "0.",
        "e",
    ),
    *('"title"', '"leaf"', '"leaves"', '"name"', '"size"', '"tags"', '"table"', '"either"', '"pair"', '"inner"'),
    *("<think>", "</think>", "tasks", "content", "NaN", "'", "//", "/*", "\ud83d", "\x00", "Here: "),
]
KEYS = [
    *(
        "type",
        "id",
        "index",
        "name",
        "text",
        "content",
        "delta",
        "choices",
        "message",
        "usage",
        "error",
        "model",
        "role",
    ),
    *("tool_calls", "function", "arguments", "finish_reason", "refusal", "reasoning_content", "reasoning_details"),
    *("content_block", "partial_json", "thinking", "signature", "stop_reason", "input", "item", "item_id", "output"),
    *("output_index", "content_index", "response", "status", "incomplete_details", "reason", "candidates", "parts"),
    *("functionCall", "function_call", "args", "thought", "finishReason", "contentBlockDelta", "contentBlockIndex"),
    *("toolUse", "messageStop", "stopReason", "prompt_tokens", "completion_tokens", "total_tokens", "event_type"),
]
WORDS = [
    *("content_block_start", "content_block_delta", "content_block_stop", "message_start", "message_delta", "error"),
    *("input_json_delta", "text_delta", "thinking_delta", "tool_use", "text", "stop", "length", "end_turn", "STOP"),
    *("response.output_text.delta", "response.function_call_arguments.delta", "response.completed", "response.failed"),
    *("response.output_item.added", "response.output_item.done", "Tree", "functions.Tree", "", "{}", '{"title"', "}"),
]


KINDS = ["word", "word", "null", "number", "bool", "list", "object", "object"]


def tokens(given: Any) -> str:
    """A text of what documents are made of, and of anything else."""
    said = []
    while given.remaining_bytes():
        number = given.ConsumeIntInRange(0, len(TOKENS) + 2)
        said.append(TOKENS[number] if number < len(TOKENS) else given.ConsumeUnicode(given.ConsumeIntInRange(1, 4)))
    return "".join(said)


def made(given: Any, depth: int) -> Any:
    """JSON with the keys and words that providers use."""
    kind = given.PickValueInList(KINDS if depth else KINDS[:5])
    match kind:
        case "word":
            return given.PickValueInList(WORDS)
        case "null":
            return None
        case "number":
            return given.ConsumeIntInRange(-1, 3)
        case "bool":
            return given.ConsumeBool()
    size = given.ConsumeIntInRange(0, 4)
    if kind == "list":
        return [made(given, depth - 1) for _ in range(size)]
    return {given.PickValueInList(KEYS): made(given, depth - 1) for _ in range(size)}


def scanned(parser: PartialParser, pieces: list[str]) -> tuple[str, str, str]:
    """What comes of a text in these pieces: the kind of end, the newest partial, the document."""
    for piece in pieces:
        try:
            parser.grow(piece)
        except Drafted:
            continue
        except (InvalidJSON, LimitExceeded) as error:
            return type(error).__name__, repr(parser.last), ""
    while True:
        try:
            whole = parser.finish()
        except Drafted:
            continue
        except (InvalidJSON, LimitExceeded) as error:
            return type(error).__name__, repr(parser.last), ""
        return "complete" if whole else "open", repr(parser.snapshot()), parser.json_text()


def scanner(data: bytes) -> None:
    """The scanner and the partials, in two cuttings."""
    given = atheris.FuzzedDataProvider(data)
    plan = PLANS[given.ConsumeIntInRange(0, len(PLANS) - 1)]
    search, patient = given.ConsumeBool(), given.ConsumeBool()
    step = given.ConsumeIntInRange(1, 9)
    text = tokens(given)

    def parser() -> PartialParser:
        return PartialParser(plan, search=search, patient=patient, max_depth=40)

    one = scanned(parser(), [text])
    other = scanned(parser(), [text[at : at + step] for at in range(0, len(text), step)])
    if one != other:
        raise AssertionError(f"{step} characters at a time: {other}, at once: {one}")
    if one[0] == "complete" and not search:
        json.loads(one[2].encode("utf-16", "surrogatepass").decode("utf-16", "replace"), strict=False)


def readers(data: bytes) -> None:
    """Each provider's reader, over chunks of any JSON."""
    given = atheris.FuzzedDataProvider(data)
    family = FAMILIES[given.ConsumeIntInRange(0, len(FAMILIES) - 1)]
    reader = family.reader(frozenset({"Tree"}) if given.ConsumeBool() else None)
    while given.remaining_bytes():
        try:
            text = reader.read(made(given, 6))
        except UNREADABLE:
            continue
        if not isinstance(text, str):
            raise TypeError(f"{type(reader).__name__} gave {text!r}")
    if not isinstance(reader.finish(), str):
        raise TypeError(f"{type(reader).__name__}: the end is no text")


def seam(data: bytes) -> None:
    """A rest that does what it was asked to is joined to what came before."""
    given = atheris.FuzzedDataProvider(data)
    text = given.ConsumeUnicodeNoSurrogates(given.ConsumeIntInRange(0, 400))
    rest = given.ConsumeUnicodeNoSurrogates(given.ConsumeIntInRange(0, 400))
    size = given.ConsumeIntInRange(1, 50)
    joint = Seam(text, None, lambda _: True, tags_from(None))
    try:
        told = "".join(joint.take(rest[at : at + size]) for at in range(0, len(rest), size)) + joint.finish()
    except OutputTruncated:
        return
    if not rest.endswith(told):
        raise AssertionError(f"{told!r} is no end of {rest!r}")


TARGETS: dict[str, Callable[[bytes], None]] = {"scanner": scanner, "readers": readers, "seam": seam}


def main() -> None:
    """Run one target until libFuzzer stops."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
