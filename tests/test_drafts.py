"""The draft before the answer: what reasoning models and examples put before it is never the final."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from instructor_stream_ext.core.events import EndKind, EndSignal, PartialEmitted, StreamEvent, StreamRestarted
from instructor_stream_ext.core.machine import StreamMachine
from instructor_stream_ext.core.partials import PartialParser
from instructor_stream_ext.core.plans import compile_plan
from instructor_stream_ext.core.reasoning import tags_from

DRAFT = '{"name": "draft", "n": 1}'
ANSWER = '{"name": "Lisbon", "n": 545}'
STOP = EndSignal(EndKind.COMPLETE, "stop")

CLOSING = {
    "deepseek": "</think>",
    "claude": "</thinking>",
    "exaone": "</thought>",
    "reasoning": "</reasoning>",
    "magistral": "[/THINK]",
    "kimi": "◁/think▷",
    "seed": "</seed:think>",
    "minimax": "</mm:think>",
    "open-thinker": "<|end_of_thought|>",
    "command-a": "<|END_THINKING|>",
    "apertus": "<|inner_suffix|>",
    "gemma-4": "<channel|>",
    "gpt-oss": "<|end|><|start|>assistant<|channel|>final<|message|>",
    "gpt-oss-stripped": "assistantfinal",
    "given": "</plan>",
}


class City(BaseModel):
    name: str
    n: int


def played(text: str, size: int) -> tuple[str | None, list[StreamEvent], StreamMachine]:
    tags = tags_from(["</plan>"])
    machine = StreamMachine(parser=lambda: PartialParser(compile_plan(City), search=True, tags=tags))
    machine.begin(0)
    machine.start(0, None, None)
    told: list[StreamEvent] = []

    def draft() -> None:
        while machine.has_draft:
            told.extend(machine.begin_anew(0))

    for at in range(0, len(text), size):
        told += machine.feed(text[at : at + size], 0)
        draft()
        assert machine.fault is None
    machine.settle(STOP, 0)
    draft()
    return machine.finish(STOP), told, machine


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("closing", CLOSING.values(), ids=CLOSING)
@pytest.mark.parametrize("draft", [f"Maybe {DRAFT}.", 'Maybe {"name": "draft", "n": ...}.', "No idea.", f"{DRAFT}"])
def test_a_closing_tag_voids_what_stood_before_it(draft: str, closing: str, size: int) -> None:
    text = f"{draft}\n{closing}\n```json\n{ANSWER}\n```"
    final, told, machine = played(text, size)
    assert final == ANSWER
    assert machine.text == text
    assert (machine.attempt, machine.stats.attempts) == (1, 1)
    restarts = [event for event in told if isinstance(event, StreamRestarted)]
    shown = [event.partial for event in told if isinstance(event, PartialEmitted)]
    assert [event.reason for event in restarts] == ["draft"] * len(restarts)
    assert bool(restarts) == any((partial.name or "").startswith("d") for partial in shown)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "text",
    [
        f"For example {DRAFT}, so:\n```json\n{ANSWER}\n```",
        f"```json\n{DRAFT}\n```\nand now\n```json\n{ANSWER}\n```",
        f'The user said "{DRAFT}". {ANSWER}',
        'Schema: {"properties": {"name": {"type": "string"}, "n": {}}, "required": ["name"]}\n' + ANSWER,
        f"{ANSWER}\nSources: " + '{"meta": {"name": "x", "n": 2}}',
        f'{ANSWER}\nOr {{"name": "Por',
        f"{ANSWER}<|end|>",
        f"<think>{DRAFT}</think>{ANSWER}",
        f"{ANSWER}\n<think>was {DRAFT} it?</think>",
        f"<think>a</think>{DRAFT}<think>b</think>{ANSWER}",
    ],
)
def test_the_answer_is_the_last_document(text: str, size: int) -> None:
    assert played(text, size)[0] == ANSWER


@pytest.mark.parametrize("size", [1, 1000])
def test_a_tag_in_a_string_is_text(size: int) -> None:
    document = '{"name": "a </think> b [/THINK]", "n": 1}'
    final, told, _ = played(f"So: {document}", size)
    assert final == document
    assert not [event for event in told if isinstance(event, StreamRestarted)]
