"""The draft before the answer: what reasoning models and examples put before it is never the final."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from instructor import Mode
from instructor.core.exceptions import InstructorRetryException
from pydantic import BaseModel

from instructor_stream_ext import Hooks, InvalidJSON, NoOutput
from instructor_stream_ext.core.document.reasoning import tags_from
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.events import EndKind, EndSignal, PartialEmitted, StreamEvent, StreamRestarted
from instructor_stream_ext.core.machine import StreamMachine
from instructor_stream_ext.core.types.compile import compile_plan
from tests.every import every
from tests.server import ScriptedServer, reply
from tests.twins import Recorder, Twin, both, settled

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
    "kimi-k3": "<|close|>think<|sep|>",
    "apriel": "[BEGIN FINAL RESPONSE]",
    "granite": "Here is my response:",
    "given": "</plan>",
}


class City(BaseModel):
    name: str
    n: int


def played(
    text: str, size: int, *, patient: bool = False, tp: Any = City
) -> tuple[str | None, list[StreamEvent], StreamMachine]:
    tags = tags_from(["</plan>"])
    machine = StreamMachine(parser=lambda: PartialParser(compile_plan(tp), search=True, patient=patient, tags=tags))
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


@every("size", [1, 3, 7, 1000])
@every("closing", CLOSING.values())
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


@every("size", [1, 3, 1000])
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


@every("size", [1, 1000])
def test_a_tag_in_a_string_is_text(size: int) -> None:
    document = '{"name": "a </think> b [/THINK]", "n": 1}'
    final, told, _ = played(f"So: {document}", size)
    assert final == document
    assert not [event for event in told if isinstance(event, StreamRestarted)]


# -- words that close the reasoning of some models, and may be said in prose ------------------------------------------

WORDS = {
    "gpt-oss": (f"analysisMaybe {DRAFT}.assistantfinal{ANSWER}", ANSWER),
    "gpt-oss, json": (f"analysisMaybe {DRAFT}.assistantfinal json{ANSWER}", ANSWER),
    "gpt-oss, a fence": (f"We need {DRAFT}assistantfinal```json\n{ANSWER}\n```", ANSWER),
    "gpt-oss, no answer": (f"analysisMaybe {DRAFT}.assistantfinalI cannot say.", None),
    "gpt-oss, commentary": (f"commentaryMaybe {DRAFT}.assistantfinalI cannot say.", None),
    "apriel": (
        f"Here are my reasoning steps:\n{DRAFT}?\n[BEGIN FINAL RESPONSE]\n{ANSWER}\n[END FINAL RESPONSE]",
        ANSWER,
    ),
    "apriel, no answer": (f"Maybe {DRAFT}.\n[BEGIN FINAL RESPONSE]\nI cannot say.", None),
    "granite": (f"Here is my thought process: {DRAFT}?\nHere is my response: {ANSWER}", ANSWER),
    "granite, no answer": (f"Here's my thought process: {DRAFT}? No. Here's my response: I cannot say.", None),
    "kimi k3": (f"<|open|>think<|sep|>{DRAFT}<|close|>think<|sep|>{ANSWER}", ANSWER),
    "kimi k3, no answer": (f"<|open|>think<|sep|>{DRAFT}<|close|>think<|sep|>I cannot say.", None),
    "said of gpt-oss": (f"{ANSWER}\nThe word assistantfinal, which servers leave in, is odd.", ANSWER),
    "said of apriel": (f"{ANSWER}\nNote that [BEGIN FINAL RESPONSE] is a marker.", ANSWER),
    "said of granite": (f"{ANSWER} So here is my response: done.", ANSWER),
    "a head that nothing closes": (f"Here's my thought process: it is in Portugal. {ANSWER}", ANSWER),
    "another such head": (f"Here are my reasoning steps: it is in Portugal. {ANSWER}", ANSWER),
    "a word like a head": (f"analysis of the city: {ANSWER} The word assistantfinal is odd.", ANSWER),
    "gpt-oss in a string": ('So: {"name": "x.assistantfinal{y}", "n": 1}', '{"name": "x.assistantfinal{y}", "n": 1}'),
    "apriel in a string": ('{"name": "[BEGIN FINAL RESPONSE]", "n": 1}', '{"name": "[BEGIN FINAL RESPONSE]", "n": 1}'),
    "magistral after": (f"{ANSWER}\n[THINK]was {DRAFT} it?[/THINK]", ANSWER),
}


@every("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("name", WORDS)
def test_words_close_reasoning_where_they_cannot_be_prose(name: str, size: int) -> None:
    text, final = WORDS[name]
    found, _, machine = played(text, size)
    assert found == final
    assert final is not None or "name" not in machine.candidates


@every("size", [1, 3, 1000])
@pytest.mark.parametrize("text", [f"[THINK]{DRAFT}[/THINK][{ANSWER}]", f"[{DRAFT}, oops]\n</think>[{ANSWER}]"])
def test_a_tag_in_brackets_is_no_list(text: str, size: int) -> None:
    assert played(text, size, patient=True, tp=list[City])[0] == f"[{ANSWER}]"


@every("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "text",
    [f"<think>{DRAFT}</think>", f"<think>a</think><think>{DRAFT}</think> No", f"<think>a</think><think>{DRAFT}"],
)
def test_reasoning_alone_holds_no_answer(text: str, size: int) -> None:
    found, _, machine = played(text, size)
    assert found is None
    assert "draft" not in machine.candidates


# -- what instructor's `create` chooses ------------------------------------------------------------------------------

FENCED = f"```json\n{ANSWER}\n```"
BROKEN = '{"name": "draft", "n": ...}'
LISBON = City(name="Lisbon", n=545)
DRAFTED = City(name="draft", n=1)

ALIKE = {
    "alone": ANSWER,
    "fenced": FENCED,
    "fenced, prose after": f"{FENCED}\nHope this helps!",
    "fenced, prose before": f"Sure:\n{FENCED}",
    "another fence": f"~~~json\n{ANSWER}\n~~~",
    "the word json": f"json\n{ANSWER}",
    "prose before": f"Here it is: {ANSWER}",
    "prose after": f"{ANSWER} That is it.",
    "in another tag": f"<answer>{ANSWER}</answer>",
    "in a formula": f"\\\\boxed{{{ANSWER}}}",
    "doubled braces": f"{{{ANSWER}}}",
    "a citation before": f"As [1] says: {ANSWER}",
    "a list before": f"[1, 2, 3] {ANSWER}",
    "a link after": f"{ANSWER} see [wiki](https://example.org)",
    "an empty object before": f"{{}} {ANSWER}",
    "another object before": f'{{"source": "wiki"}} {ANSWER}',
    "DeepSeek": f"<think>\nMaybe {DRAFT}\n</think>\n\n{FENCED}",
    "Claude": f"<thinking>Maybe {DRAFT}.</thinking>{FENCED}",
    "Magistral": f"[THINK]Maybe {DRAFT}[/THINK]{ANSWER}",
    "Kimi": f"◁think▷Maybe {DRAFT}◁/think▷{ANSWER}",
    "Kimi K3": f"<|open|>think<|sep|>Maybe {DRAFT}<|close|>think<|sep|>{ANSWER}",
    "Granite": f"Here is my thought process: {DRAFT}\nHere is my response: {ANSWER}",
    "Apriel": f"Here are my reasoning steps: {DRAFT}\n[BEGIN FINAL RESPONSE]{ANSWER}[END FINAL RESPONSE]",
    "gpt-oss": f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
    "gpt-oss, stripped": f"analysisMaybe {DRAFT}assistantfinal{ANSWER}",
    "a bare closing tag": f"Maybe {DRAFT}.\n</think>\n{FENCED}",
    "a draft that opens the text": f"{DRAFT}\n</think>\n{FENCED}",
    "a broken draft that opens the text": f"{BROKEN}\n</think>\n{FENCED}",
    "a broken draft before a fence": f"{BROKEN}\n{FENCED}",
    "a broken draft before another object": f"{BROKEN}\n\nFinal answer: {ANSWER}",
    "a broken draft in a fence": f"```json\n{BROKEN}\n```\nAgain:\n{ANSWER}",
    "a broken draft in prose": f"Maybe {BROKEN}. No:\n{ANSWER}",
    "a draft cut off by its tag": f'{{"name": "draft", "n": \n</think>\n{FENCED}',
    "a draft cut off in a string": f'{{"name": "dra\n</think>\n{FENCED}',
    "the same in prose": f'Maybe {{"name": "dra...\n</think>\n{ANSWER}',
    "a string cut off by a fence": f'{{"name": "dra\n{FENCED}',
    "a draft of Python's": f"{{'name': 'draft', 'n': 1}}\n{FENCED}",
    "a draft with a comment": f'{{\n  // draft\n  "name": "draft"\n}}\n{FENCED}',
    "an echoed template": f'{{"name": <string>, "n": <int>}}\n{ANSWER}',
    "reasoning twice": f"<think>a</think>{DRAFT}<think>b</think>{ANSWER}",
    "an example": f"For example {DRAFT}:\n{FENCED}",
    "two fences": f"```json\n{DRAFT}\n```\nand now\n{FENCED}",
    "the answer twice": f"{FENCED}\n{FENCED}",
    "unfenced after a fence": f"{FENCED}\nnot like {DRAFT}",
    "two lines": f"{DRAFT}\n{ANSWER}",
    "an echoed schema": 'Schema: {"properties": {"name": {"type": "string"}, "n": {}}, "required": ["name"]}\n'
    + FENCED,
    "a schema that opens the text": '{"properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}\n' + FENCED,
    "quoted input": f'The user said "{DRAFT}".\n{FENCED}',
    "quoted input, escaped": 'You said: "{\\"name\\": \\"x\\", \\"n\\": 2}".\n' + FENCED,
    "an invalid one before": '{"name": "x", "n": "many"}\n' + FENCED,
    "an invalid one after": FENCED + '\n{"name": "x", "n": "many"}',
    "a broken one after": f"{FENCED}\n{BROKEN}",
    "one that is not closed after": f'{ANSWER}\nOr {{"name": "Por',
    "a tag in a string": '{"name": "a </think> b", "n": 3}',
    "a tag in a broken string": '{"name": "a </think> b", "n": oops}',
    "a key twice": '{"name": "x", "name": "y", "n": 3}',
    "a head that nothing closes": f"Here's my thought process: it is in Portugal. {ANSWER}",
    "broken alone": BROKEN,
    "prose alone": "I cannot do that.",
    "nothing": "",
    "a number": "42",
    "not a number": '{"name": "x", "n": NaN}',
}
"""Answers of which our final is the one that `create` chooses; none, where it has none."""

OTHERWISE: dict[str, tuple[str, City | None, City | None]] = {
    # `create` takes the last JSON value, whatever it is (contract, section 6: a key that the model knows begins it)
    "a citation after": (f"{ANSWER}\n\nSource: [1]", None, LISBON),
    "an empty object after": (f"{ANSWER} {{}}", None, LISBON),
    "another object after": (f'{ANSWER} {{"source": "wiki"}}', None, LISBON),
    "in a list": (f"[{ANSWER}]", None, LISBON),
    "in a wrapper": (f'So {{"City": {ANSWER}}}', None, LISBON),
    # and knows no reasoning (issue 9.4: a closing tag voids what stood before it; section 6: reasoning is passed over)
    "reasoning after": (f"{ANSWER}\n<think>was {DRAFT} it?</think>", DRAFTED, LISBON),
    "reasoning that is not closed after": (f"{ANSWER}\n<think>was {DRAFT}", DRAFTED, LISBON),
    "reasoning alone": (f"<think>{DRAFT}</think>", DRAFTED, None),
    "reasoning alone, not closed": (f"<think>{DRAFT}", DRAFTED, None),
    "a draft and no answer": (f"{DRAFT}\n</think>\nI do not know.", DRAFTED, None),
    "gpt-oss, no answer": (f"analysisMaybe {DRAFT}assistantfinalI do not know.", DRAFTED, None),
    # and takes what stands within broken JSON (section 6: once begun, faults are faults)
    "within broken JSON": ('{"name": "x", kid: {"name": "draft", "n": 1}}', DRAFTED, None),
    # and refuses control characters, which models send (FACTS 17)
    "a raw newline": ('{"name": "a\nb", "n": 3}', None, City(name="a\nb", n=3)),
}
"""The text, what `create` gives, and what is right by the contract or the issue; None for an error."""

MODES = {"openai md": ("openai", Mode.MD_JSON), "anthropic json": ("anthropic", Mode.JSON)}
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "go"}], "model": "m", "max_retries": 0}


async def given(create: Callable[[], Any]) -> City | None:
    """The answer; None for an error that `create` raises when no attempt is left."""
    try:
        return City(**(await settled(create())).model_dump())
    except (InstructorRetryException, NoOutput, InvalidJSON):
        return None


async def finals(server: ScriptedServer, twin: Twin, text: str, provider: str, mode: Mode) -> list[City | None]:
    """What plain `create` gives, and then what ours do."""
    more = ASK | ({"max_tokens": 100} if provider == "anthropic" else {})
    plain, client = twin.plain(server, mode, provider=provider), twin.client(server, mode, provider=provider)
    server.always(reply(text, 3))
    found = [await given(lambda: plain.create(response_model=City, **more))]
    found.append(await given(lambda: client.create(City, on_partial=twin.hook(str), **more)))
    for size in (None, 1, 5):
        server.always(reply(text, size))
        found.append(await given(lambda: twin.final(client.create_partial(City, **more))))
    return found


@both
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [*ALIKE, *OTHERWISE])
async def test_the_final_is_the_one_that_create_chooses(
    server: ScriptedServer, twin: Twin, name: str, mode: str
) -> None:
    plain, *ours = await finals(server, twin, ALIKE.get(name) or OTHERWISE.get(name, ("",))[0], *MODES[mode])
    wanted = plain
    if name in OTHERWISE:
        _, chosen, wanted = OTHERWISE[name]
        assert plain == chosen != wanted
    assert ours == [wanted] * len(ours)


@both
@pytest.mark.parametrize("name", [*ALIKE, *OTHERWISE])
async def test_in_json_mode_what_create_takes_is_the_final(server: ScriptedServer, twin: Twin, name: str) -> None:
    """OpenAI's JSON mode brings JSON alone, and `create` refuses what stands around it, which the contract ignores."""
    text = ALIKE.get(name) or OTHERWISE.get(name, ("",))[0]
    plain, *ours = await finals(server, twin, text, "openai", Mode.JSON)
    assert ours == [ours[0]] * len(ours)
    assert plain in (None, ours[0])
    if text.startswith(BROKEN):  # the provider was told to send JSON alone, so it is a fault at once, as in `create`
        assert ours[0] is None


# -- partials begin anew ---------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("draft", [DRAFT, BROKEN])
async def test_partials_begin_anew(server: ScriptedServer, twin: Twin, draft: str) -> None:
    recorder = Recorder(twin)
    server.always(reply(f"Maybe {draft}\n</think>\n{FENCED}", 3))
    client = twin.client(
        server, Mode.MD_JSON, hooks=Hooks(**recorder.hooks("start", "partial", "restart", "final", "end"))
    )
    stream = client.create_partial(City, **ASK)
    assert await twin.final(stream) == LISBON
    names = recorder.names
    at = names.index("restart")
    assert names == ["start", *["partial"] * (at - 1), "restart", *["partial"] * (len(names) - at - 3), "final", "end"]
    ((restarted,),) = recorder.of("restart")
    assert (restarted.reason, restarted.error, restarted.attempt) == ("draft", None, 1)
    assert (restarted.from_model, restarted.to_model) == (None, None)
    partials = [partial for (partial,) in recorder.of("partial")]
    before, after = partials[: at - 1], partials[at - 1 :]
    assert before[-1].name == "draft"
    assert after[0].name in (None, "", "L", "Li")
    assert after[0].n is None
    assert after[-1] == LISBON
    assert (stream.attempt, stream.stats.attempts, len(server.requests)) == (1, 1, 1)


@both
async def test_items_begin_anew(server: ScriptedServer, twin: Twin) -> None:
    recorder = Recorder(twin)
    text = f'Maybe {{"tasks": [{DRAFT}]}}\n</think>\n```json\n{{"tasks": [{ANSWER}, {ANSWER}]}}\n```'
    server.always(reply(text, 3))
    client = twin.client(server, Mode.MD_JSON, hooks=Hooks(**recorder.hooks("item", "restart", "final")))
    stream = client.create_iterable(City, **ASK)
    assert await twin.values(stream) == [DRAFTED, LISBON, LISBON]
    assert recorder.names == ["item", "restart", "item", "item", "final"]
    assert [restarted.reason for (restarted,) in recorder.of("restart")] == ["draft"]
    assert recorder.of("final") == [([LISBON, LISBON],)]
    assert await twin.final(stream) == [LISBON, LISBON]


@both
@pytest.mark.parametrize("tags", [["</plan>"], [("<plan>", "</plan>")]])
async def test_reasoning_tags_of_ones_own(server: ScriptedServer, twin: Twin, tags: Any) -> None:
    """At `wrap` and for one call, which wins; without them the draft is all there is."""
    server.always(reply(f"<plan>Maybe {DRAFT}</plan>I do not know.", 3))
    ask = {**ASK, "on_delta": twin.hook(str)}
    plain, client = twin.client(server, Mode.MD_JSON), twin.client(server, Mode.MD_JSON, reasoning_tags=tags)
    assert await given(lambda: plain.create(City, **ask)) == DRAFTED
    assert await given(lambda: client.create(City, **ask)) is None
    assert await given(lambda: plain.create(City, **ask, reasoning_tags=tags)) is None
    assert await given(lambda: client.create(City, **ask, reasoning_tags=[])) == DRAFTED
    with pytest.raises(NoOutput, match="only text"):
        await twin.final(plain.create_partial(City, **ASK, reasoning_tags=tags))
