"""Nothing is wrong in silence: each way an answer can end, from real bytes through real SDKs, sync and async."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from instructor import Mode
from instructor.core.exceptions import IncompleteOutputException, InstructorRetryException
from pydantic import BaseModel

from instructor_stream_ext import (
    InvalidJSON,
    NoOutput,
    OutputFiltered,
    OutputRefused,
    OutputTruncated,
    RetriesExhausted,
    StreamError,
    StreamFailed,
    StreamInterrupted,
    StreamRestarted,
    Usage,
)
from tests.playing import Played, arguments_for, client_for, play
from tests.server import Answer as Whole
from tests.server import (
    Cut,
    Exchange,
    Request,
    Reset,
    Script,
    ScriptedServer,
    Signal,
    Start,
    Status,
    Wait,
    sends,
)
from tests.server.wire_format import (
    DONE,
    anthropic_answer,
    anthropic_error,
    anthropic_text,
    anthropic_tools,
    chat_answer,
    chat_calls,
    chat_choices,
    chat_chunk,
    chat_content,
    chat_error,
    chat_refusal,
    chat_tools,
    gemini_chunk,
    gemini_error,
    gemini_text,
    gemini_tools,
    responses_error,
    responses_refusal,
    responses_text,
    responses_tools,
    sse,
)


class Answer(BaseModel):
    name: str
    n: int


DOCUMENT = '{"name": "Ann", "n": 7}'
CUT = DOCUMENT[:12]
FINAL = Answer(name="Ann", n=7)
BEGUN = {"name": "An"}
WHOLE = {"name": "Ann", "n": 7}
BROKEN = '{"name": "Ann", oops}'
TOLD = Usage(11, 7, 18)
BEGAN = Usage(11, 1, 12)
NO = "I cannot help with that."
PROSE = "Sorry, I know no {such} thing."
HTML = {"content-type": "text/html"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Case:
    """One answer and how it must end.

    Attributes:
        name: For the test's id.
        client: Which SDK, as in `tests.playing.CLIENTS`.
        mode: instructor's mode.
        script: The answer to each request.
        error: What is raised; None if all goes well.
        also: Further classes the error must be of.
        match: A part of the error's message.
        partial: The fields of the error's partial; None if there is none.
        text: All answer text.
        usage: The tokens counted.
        end: The provider's end signal.
        cause: The class of the provider's exception under the error; None if there is none.
        final: The result, where all goes well.
        call: What is called: "partial", "items" or "text".
        reasked: Whether another attempt would be made.
    """

    name: str
    client: str
    mode: Mode
    script: Any
    error: type[Exception] | None = None
    also: tuple[type[Exception], ...] = ()
    match: str = ""
    partial: dict[str, Any] | str | list[Any] | None = None
    text: str = ""
    usage: Usage | None = None
    end: str | None = None
    cause: type[BaseException] | None = None
    final: Any = None
    call: str = "partial"
    reasked: bool = False


def _truncated(name: str, client: str, mode: Mode, script: Any, **rest: Any) -> Case:
    given = {"also": (IncompleteOutputException,), "partial": BEGUN, "text": CUT, **rest}
    return Case(name, client, mode, script, OutputTruncated, **given)


def _broken(name: str, client: str, mode: Mode, script: Any, **rest: Any) -> Case:
    given = {"also": (ConnectionError,), "partial": BEGUN, "text": CUT, **rest}
    return Case(name, client, mode, script, StreamInterrupted, **given)


def _nothing(name: str, client: str, mode: Mode, script: Any, **rest: Any) -> Case:
    return Case(name, client, mode, script, NoOutput, reasked=True, **rest)


def _invalid(name: str, client: str, mode: Mode, script: Any, **rest: Any) -> Case:
    given = {"also": (ValueError,), "partial": {"name": "Ann"}, "text": BROKEN[:20], **rest}
    return Case(name, client, mode, script, InvalidJSON, reasked=True, **given)


def _fine(name: str, client: str, mode: Mode, script: Any, **rest: Any) -> Case:
    return Case(name, client, mode, script, **{"final": FINAL, "text": DOCUMENT, **rest})


def _gemini_tools(text: str) -> Callable[[Request], Script]:
    """A function call under the name that was asked for: instructor's, which is not the model's."""

    def script(request: Request) -> Script:
        name = request.json["tools"][0]["functionDeclarations"][0]["name"]
        return sends(gemini_tools(text, name=name))

    return script


def _opened(chunks: list[bytes], text: str = CUT) -> list[bytes]:
    """The chunks as far as the delta, of four characters, that ends this text."""
    last = text[-(len(text) % 4 or 4) :].replace('"', '\\"').encode()
    return chunks[: next(number for number, chunk in enumerate(chunks, 1) if last in chunk)]


TOOLS, RESPONSES = Mode.TOOLS, Mode.RESPONSES_TOOLS
ROLE = chat_chunk({"role": "assistant", "content": ""})
ANTHROPIC_CUT = _opened(anthropic_tools(CUT))
RESPONSES_CUT = _opened(responses_tools(CUT))
CHAT_CUT = chat_tools(CUT, finish=None, done=False)

CUTS = [
    _truncated("length", "openai", TOOLS, chat_tools(CUT, finish="length", usage=True), usage=TOLD, end="length"),
    _truncated("length-json", "openai", Mode.JSON, chat_content(CUT, finish="length"), end="length"),
    _truncated(
        "length-but-closed",
        "openai",
        TOOLS,
        chat_tools(DOCUMENT, finish="length"),
        end="length",
        text=DOCUMENT,
        partial=WHOLE,
    ),
    _truncated(
        "length-without-text",
        "openai",
        TOOLS,
        chat_tools("", finish="length", usage=True),
        usage=TOLD,
        end="length",
        text="",
        partial=None,
    ),
    _truncated("closed-by-name-only", "openai", TOOLS, chat_tools(CUT), end="tool_calls", match="'tool_calls'"),
    _truncated("stop-in-the-middle", "openai", Mode.JSON, chat_content(CUT), end="stop", match="'stop'"),
    _truncated("max_tokens", "anthropic", TOOLS, anthropic_tools(CUT, stop="max_tokens"), usage=TOLD, end="max_tokens"),
    _truncated(
        "incomplete",
        "openai",
        RESPONSES,
        responses_tools(CUT, ending="incomplete"),
        usage=TOLD,
        end="max_output_tokens",
    ),
    _truncated("MAX_TOKENS", "genai", Mode.JSON, gemini_text(CUT, finish="MAX_TOKENS"), usage=TOLD, end="MAX_TOKENS"),
    *(
        _truncated("prose-then-silence", "openai", mode, chat_content(PROSE, finish=None), text=PROSE, partial=None)
        for mode in (TOOLS, Mode.JSON, Mode.MD_JSON)
    ),
]

STOPPED_BY_THE_PROVIDER = [
    Case(
        "content_filter",
        "openai",
        TOOLS,
        chat_tools(CUT, finish="content_filter"),
        OutputFiltered,
        partial=BEGUN,
        text=CUT,
        end="content_filter",
        match="content_filter",
    ),
    Case(
        "content_filter",
        "openai",
        RESPONSES,
        responses_tools(CUT, ending="content_filter"),
        OutputFiltered,
        partial=BEGUN,
        text=CUT,
        end="content_filter",
        usage=TOLD,
    ),
    Case(
        "SAFETY",
        "genai",
        Mode.JSON,
        gemini_text(CUT, finish="SAFETY"),
        OutputFiltered,
        partial=BEGUN,
        text=CUT,
        end="SAFETY",
        usage=TOLD,
    ),
    Case(
        "blocked-prompt",
        "genai",
        Mode.JSON,
        sse({"promptFeedback": {"blockReason": "SAFETY"}}, newline="\r\n"),
        OutputFiltered,
        end="SAFETY",
    ),
    Case("refusal", "openai", TOOLS, chat_refusal(NO), OutputRefused, match=NO, end="stop", text=NO),
    Case(
        "refusal",
        "openai",
        RESPONSES,
        responses_refusal(NO),
        OutputRefused,
        match=NO,
        end="completed",
        usage=TOLD,
        text=NO,
    ),
    Case(
        "refusal-as-text",
        "anthropic",
        TOOLS,
        anthropic_text(NO, stop="refusal"),
        OutputRefused,
        match=NO,
        end="refusal",
        usage=TOLD,
        text=NO,
    ),
    Case(
        "refusal-in-mid-call",
        "anthropic",
        TOOLS,
        anthropic_tools(CUT, stop="refusal"),
        OutputRefused,
        end="refusal",
        usage=TOLD,
        text=CUT,
        partial=BEGUN,
    ),
]

NOTHING = [
    _nothing("prose-for-a-call", "openai", TOOLS, chat_content(PROSE), text=PROSE, end="stop", match=PROSE),
    _nothing("prose-for-a-call", "openai", RESPONSES, responses_text(PROSE), text=PROSE, end="completed", usage=TOLD),
    _nothing("prose-for-a-call", "anthropic", TOOLS, anthropic_text(PROSE), text=PROSE, end="end_turn", usage=TOLD),
    _nothing("prose-for-a-call", "genai", TOOLS, gemini_text(PROSE), text=PROSE, end="STOP", usage=TOLD),
    _nothing("prose-for-json", "openai", Mode.JSON, chat_content(PROSE), text=PROSE, end="stop", match=PROSE),
    _nothing("prose-for-json", "genai", Mode.JSON, gemini_text(PROSE), text=PROSE, end="STOP", usage=TOLD),
    _nothing("json-for-a-call", "openai", TOOLS, chat_content(DOCUMENT), text=DOCUMENT, end="stop"),
    _nothing("empty", "openai", TOOLS, [ROLE, chat_chunk({}, finish="stop"), DONE], end="stop"),
    _nothing("only-done", "openai", TOOLS, DONE),
    _nothing("no-byte", "openai", TOOLS, Start()),
    _nothing("no-byte", "anthropic", TOOLS, Start()),
    _nothing("cut-before-any-text", "openai", TOOLS, ROLE),
    _nothing(
        "empty", "openai", RESPONSES, [*responses_text("")[:2], responses_text("")[-1]], end="completed", usage=TOLD
    ),
    _nothing("empty", "anthropic", TOOLS, anthropic_text(""), end="end_turn", usage=TOLD),
    _nothing("no-candidates", "genai", Mode.JSON, sse({"responseId": "r"}, newline="\r\n")),
    _nothing("html", "openai", TOOLS, Whole(b"<html>Hello</html>", headers=HTML), match="text/html"),
    _nothing("html", "anthropic", TOOLS, Whole(b"<html>Hello</html>", headers=HTML), match="text/html"),
    _nothing("not-streamed", "openai", TOOLS, Whole(chat_answer(DOCUMENT)), match="application/json"),
    _nothing("not-streamed", "openai", Mode.JSON, Whole(chat_answer(DOCUMENT)), match="application/json"),
    _nothing(
        "not-streamed", "anthropic", TOOLS, Whole(anthropic_answer(DOCUMENT), headers=JSON), match="application/json"
    ),
    _nothing(
        "another-tool",
        "openai",
        TOOLS,
        chat_calls([("Search", '{"q": 1}'), ("Fetch", '{"u": 2}')]),
        end="tool_calls",
        match="it called 'Search', 'Fetch', which the request does not offer; it offers 'Answer'",
    ),
]

INVALID = [
    _invalid("malformed", "openai", TOOLS, chat_tools(BROKEN), match="16"),
    _invalid("malformed", "openai", Mode.JSON, chat_content(BROKEN)),
    _invalid("malformed", "openai", RESPONSES, responses_tools(BROKEN)),
    _invalid("malformed", "anthropic", TOOLS, anthropic_tools(BROKEN), usage=BEGAN),
    _invalid("malformed", "genai", Mode.JSON, gemini_text(BROKEN), usage=TOLD),
    _invalid("prose-as-arguments", "openai", TOOLS, chat_tools(PROSE), text=PROSE[:4], partial=None),
]

ERRORS = [
    _broken("error", "openai", TOOLS, [*CHAT_CUT, chat_error()], match="overloaded", cause=openai.APIError),
    _broken(
        "named-error", "openai", TOOLS, [*CHAT_CUT, chat_error(named=True)], match="overloaded", cause=openai.APIError
    ),
    _broken("error", "openai", RESPONSES, [*RESPONSES_CUT, responses_error()], match="overloaded"),
    _broken("failed", "openai", RESPONSES, responses_tools(CUT, ending="failed"), match="the model failed"),
    _broken(
        "error",
        "anthropic",
        TOOLS,
        [*ANTHROPIC_CUT, anthropic_error()],
        match="Overloaded",
        usage=BEGAN,
        cause=anthropic.APIStatusError,
    ),
    _broken(
        "error", "genai", Mode.JSON, [*gemini_text(CUT, finish=None), gemini_error()], match="overloaded", usage=TOLD,
        cause=Exception,
    ),
    _broken(
        "MALFORMED_FUNCTION_CALL",
        "genai",
        TOOLS,
        sse(gemini_chunk([], finish="MALFORMED_FUNCTION_CALL"), newline="\r\n"),
        match="MALFORMED_FUNCTION_CALL",
        usage=TOLD,
        end="MALFORMED_FUNCTION_CALL",
        text="",
        partial=None,
    ),
]  # fmt: skip

TWICE = [("Answer", DOCUMENT), ("Answer", '{"name": "Bob", "n": 8}')]
OTHER_FIRST = [("Search", '{"name": "Sue", "n": 1}'), *TWICE]
THOUGHT = 'Let me see: {"name": 1} or {such} things.'
FINE = [
    _fine("whole", "openai", TOOLS, chat_tools(DOCUMENT, usage=True), usage=TOLD, end="tool_calls"),
    _fine("forced-tool-ends-in-stop", "openai", TOOLS, chat_tools(DOCUMENT, finish="stop"), end="stop"),
    _fine("no-end-signal", "openai", TOOLS, chat_tools(DOCUMENT, finish=None, done=False)),
    _fine("no-end-signal", "openai", Mode.JSON, chat_content(DOCUMENT, finish=None, done=False)),
    _fine("no-end-signal", "anthropic", TOOLS, anthropic_tools(DOCUMENT, stop=None, end=False), usage=BEGAN),
    _fine("no-end-signal", "openai", RESPONSES, responses_tools(DOCUMENT, ending=None)),
    _fine("no-end-signal", "genai", Mode.JSON, gemini_text(DOCUMENT, finish=None), usage=TOLD),
    _fine("whole", "genai", TOOLS, _gemini_tools(DOCUMENT), usage=TOLD, end="STOP"),
    _fine(
        "only-in-done", "openai", RESPONSES, responses_tools(DOCUMENT, only_in_done=True), usage=TOLD, end="completed"
    ),
    _fine(
        "trailing-text", "openai", Mode.JSON, chat_content(DOCUMENT + "\nDone!"), text=DOCUMENT + "\nDone!", end="stop"
    ),
    _fine("twice-in-json", "openai", Mode.JSON, chat_content(DOCUMENT * 2), text=DOCUMENT * 2, end="stop"),
    _fine("twice-in-a-call", "openai", TOOLS, chat_tools(DOCUMENT * 2), text=DOCUMENT * 2, end="tool_calls"),
    _fine("another-name", "openai", TOOLS, chat_tools(DOCUMENT, name="Other"), end="tool_calls"),
    _fine("calls-in-turn", "openai", TOOLS, chat_calls(TWICE), end="tool_calls"),
    _fine("calls-interleaved", "openai", TOOLS, chat_calls(TWICE, interleaved=True), end="tool_calls"),
    _fine("another-call-first", "openai", TOOLS, chat_calls(OTHER_FIRST), end="tool_calls"),
    _fine("another-call-between", "openai", TOOLS, chat_calls(OTHER_FIRST, interleaved=True), end="tool_calls"),
    _fine("n-2", "openai", TOOLS, chat_choices([text for _, text in TWICE], kind="tools"), end="tool_calls"),
    _fine("n-2", "openai", Mode.JSON, chat_choices([text for _, text in TWICE]), end="stop"),
    _fine(
        "prose-beside",
        "anthropic",
        TOOLS,
        anthropic_tools(DOCUMENT, text=PROSE),
        text=PROSE + DOCUMENT,
        usage=TOLD,
        end="tool_use",
    ),
    *(
        _fine(name, "openai", mode, chat_content(text), text=text, end="stop")
        for mode in (Mode.MD_JSON, Mode.JSON)
        for name, text in {
            "fenced": f"Here it is:\n```json\n{DOCUMENT}\n```\nEnjoy.",
            "thought": f"<think>{THOUGHT}</think>{DOCUMENT}",
            "braces-in-prose": f"For a {{such}} [1] thing: {DOCUMENT} is it.",
            "last-that-validates": f'Two: {{"x": 1}} or {{"y": 1, {DOCUMENT[1:]} but {{"z": 0}} not.',
        }.items()
    ),
]


def _text(name: str, client: str, script: Any, error: type[Exception] | None = None, **rest: Any) -> Case:
    mode = RESPONSES if client == "responses" else TOOLS
    client = "openai" if client == "responses" else client
    given = {"call": "text", "text": PROSE, "final": None if error else PROSE}
    return Case(name, client, mode, script, error, **(given | rest))


BEGUN_PROSE = {"text": PROSE, "partial": PROSE}
TEXTS = [
    _text("text", "openai", chat_content(PROSE), end="stop"),
    _text("text", "anthropic", anthropic_text(PROSE), end="end_turn", usage=TOLD),
    _text("text", "genai", gemini_text(PROSE), end="STOP", usage=TOLD),
    _text("text", "responses", responses_text(PROSE), end="completed", usage=TOLD),
    _text("text-length", "openai", chat_content(PROSE, finish="length"), OutputTruncated, end="length", **BEGUN_PROSE),
    _text("text-cut", "openai", chat_content(PROSE, finish=None, done=False), OutputTruncated, **BEGUN_PROSE),
    _text("text-done-only", "openai", chat_content(PROSE, finish=None), OutputTruncated, **BEGUN_PROSE),
    _text(
        "text-cut",
        "anthropic",
        anthropic_text(PROSE, stop=None, end=False),
        OutputTruncated,
        usage=BEGAN,
        **BEGUN_PROSE,
    ),
    _text("text-cut", "genai", gemini_text(PROSE, finish=None), OutputTruncated, usage=TOLD, **BEGUN_PROSE),
    _text("text-cut", "responses", responses_text(PROSE, ending=None), OutputTruncated, **BEGUN_PROSE),
    _text("text-refused", "openai", chat_refusal(NO), OutputRefused, end="stop", match=NO, text=NO, partial=NO),
    _text(
        "text-filtered",
        "openai",
        chat_content(PROSE, finish="content_filter"),
        OutputFiltered,
        end="content_filter",
        **BEGUN_PROSE,
    ),
    _text("text-empty", "openai", [ROLE, chat_chunk({}, finish="stop"), DONE], NoOutput, end="stop", text=""),
    _text("text-html", "openai", Whole(b"<html>", headers=HTML), NoOutput, match="text/html", text=""),
    _text(
        "text-error",
        "openai",
        [*chat_content(PROSE, finish=None, done=False), chat_error()],
        StreamInterrupted,
        match="overloaded",
        cause=openai.APIError,
        **BEGUN_PROSE,
    ),
]

ITEM = '{"name": "Ann", "n": 7}'
LIST = f'{{"tasks": [{ITEM}, {ITEM}]}}'
LIST_CUT = LIST[: LIST.rindex("Ann") + 2]
LIST_BEGUN = [WHOLE, {"name": "An"}]


def _list(chunks: Callable[..., list[bytes]], text: str = LIST, **rest: Any) -> Callable[[Request], Script]:
    """An answer for `create_iterable`, whose tool's name is instructor's own."""

    def script(request: Request) -> Script:
        tool = request.json["tools"][0]
        return sends(chunks(text, name=tool["function"]["name"] if "function" in tool else tool["name"], **rest))

    return script


def _items(name: str, client: str, script: Any, error: type[Exception] | None = None, **rest: Any) -> Case:
    given = {"call": "items", "text": LIST, "final": None if error else [FINAL, FINAL]}
    return Case(name, client, TOOLS, script, error, **(given | rest))


ITEMS = [
    _items("items", "openai", _list(chat_tools), end="tool_calls"),
    _items("items", "anthropic", _list(anthropic_tools), end="tool_use", usage=TOLD),
    _items("items-no-end-signal", "openai", _list(chat_tools, finish=None, done=False)),
    _items(
        "items-length", "openai", _list(chat_tools, LIST_CUT, finish="length"), OutputTruncated, end="length",
        text=LIST_CUT, partial=LIST_BEGUN,
    ),
    _items(
        "items-cut", "openai", _list(chat_tools, LIST_CUT, finish=None, done=False), OutputTruncated, text=LIST_CUT,
        partial=LIST_BEGUN,
    ),
    _items(
        "items-cut", "anthropic", _list(anthropic_tools, LIST_CUT, stop=None, end=False), OutputTruncated,
        text=LIST_CUT, partial=LIST_BEGUN, usage=BEGAN,
    ),
    _items("items-prose", "openai", chat_content(PROSE), NoOutput, end="stop", text=PROSE, reasked=True),
    _items("items-refused", "openai", chat_refusal(NO), OutputRefused, end="stop", match=NO, text=NO),
    _items(
        "items-filtered", "openai", _list(chat_tools, finish="content_filter"), OutputFiltered, end="content_filter",
        partial=[WHOLE, WHOLE],
    ),
    _items(
        "items-malformed", "openai", _list(chat_tools, LIST[:-1] + " oops}"), InvalidJSON, reasked=True,
        text=LIST[:-1] + " oop", partial=[WHOLE, WHOLE],
    ),
]  # fmt: skip

CASES = [*CUTS, *STOPPED_BY_THE_PROVIDER, *NOTHING, *INVALID, *ERRORS, *FINE, *TEXTS, *ITEMS]


def _ids(cases: list[Case]) -> list[str]:
    return [f"{case.client}-{case.mode.value}-{case.name}" for case in cases]


def _stream(client: Any, case: Case, **arguments: Any) -> Any:
    arguments |= arguments_for(case.client)
    if case.call == "text":
        return client.stream_text(**arguments)
    make = client.create_iterable if case.call == "items" else client.create_partial
    return make(Answer, **{"max_retries": 0, **arguments})


def _dumped(partial: Any) -> Any:
    if isinstance(partial, list):
        return [_dumped(item) for item in partial]
    return partial.model_dump(exclude_unset=True) if isinstance(partial, BaseModel) else partial


async def _both(server: ScriptedServer, case: Case, **arguments: Any) -> tuple[Played, Played]:
    """The case played sync and async; what is told to hooks must be what the events say."""
    runs = []
    for is_async in (False, True):
        errors: list[BaseException] = []
        ends: list[Any] = []
        client = client_for(
            server, case.client, case.mode, is_async=is_async, on_error=errors.append, on_end=ends.append
        )
        played = await play(_stream(client, case, **arguments))
        assert errors == ([] if played.error is None or not played.of(StreamFailed) else [played.error])
        assert len(ends) == 1
        runs.append(played)
    return runs[0], runs[1]


@pytest.mark.parametrize("case", CASES, ids=_ids(CASES))
async def test_an_answer_ends_as_it_must(server: ScriptedServer, case: Case) -> None:
    server.always(case.script)
    runs = await _both(server, case)
    for played in runs:
        played.check_the_end()
        assert played.stream.text == case.text
        assert played.stream.usage == case.usage
        assert played.stream.stats.end_signal == case.end
        assert played.stream.attempt == 1
        if case.error is None:
            assert _same(played.final, case.final)
            assert played.text == case.text
        else:
            _check_the_error(case, played)
    assert runs[0].comparable() == runs[1].comparable()


def _same(final: Any, wanted: Any) -> bool:
    return type(final) is type(wanted) and bool(final == wanted)


def _check_the_error(case: Case, played: Played) -> None:
    error = played.error
    assert type(error) is case.error
    assert isinstance(error, StreamError)
    for kind in case.also:
        assert isinstance(error, kind)
    assert case.match in str(error)
    assert error.__cause__ is None if case.cause is None else isinstance(error.__cause__, case.cause)
    assert error.text == case.text
    assert _dumped(error.partial) == case.partial
    assert error.usage == case.usage
    assert error.attempt == 1
    assert error.stats == played.stream.stats
    assert error.stats is not None
    assert error.stats.chars == len(case.text)
    assert played.text == case.text


ENDING_BADLY = [case for case in CASES if case.error is not None and case.call != "text"]


@pytest.mark.parametrize("case", ENDING_BADLY, ids=_ids(ENDING_BADLY))
async def test_only_what_another_attempt_may_mend_is_asked_again(server: ScriptedServer, case: Case) -> None:
    for is_async in (False, True):
        server.always(case.script)
        before = len(server.requests)
        client = client_for(server, case.client, case.mode, is_async=is_async)
        played = await play(_stream(client, case, max_retries=1))
        played.check_the_end()
        assert len(server.requests) - before == (2 if case.reasked else 1)
        if not case.reasked:
            assert type(played.error) is case.error
            continue
        error = played.error
        assert type(error) is RetriesExhausted
        assert isinstance(error, InstructorRetryException)
        assert type(error.__cause__) is case.error
        assert error.attempt == error.n_attempts == 2
        assert [type(failed.exception) for failed in error.failed_attempts or []] == [case.error] * 2
        assert [failed.attempt_number for failed in error.failed_attempts or []] == [1, 2]
        assert error.text == case.text
        (restarted,) = played.of(StreamRestarted)
        assert isinstance(restarted.error, StreamError)
        assert type(restarted.error) is case.error
        assert restarted.error.text == case.text
        assert restarted.error.attempt == 1
        assert _dumped(restarted.error.partial) == case.partial


# -- the connection breaks -----------------------------------------------------------------------------------------

BREAKING = [
    ("openai", TOOLS, CHAT_CUT),
    ("openai", Mode.JSON, chat_content(CUT, finish=None, done=False)),
    ("openai", RESPONSES, RESPONSES_CUT),
    ("anthropic", TOOLS, ANTHROPIC_CUT),
    ("genai", Mode.JSON, gemini_text(CUT, finish=None)),
    ("litellm", TOOLS, CHAT_CUT),
    ("litellm", Mode.JSON, chat_content(CUT, finish=None, done=False)),
]
SILENTLY, WITHOUT_THE_END, BY_RESET = "clean end", "FIN without the last chunk", "reset"


@pytest.mark.parametrize("how", [SILENTLY, WITHOUT_THE_END, BY_RESET])
@pytest.mark.parametrize(
    ("provider", "mode", "chunks"), BREAKING, ids=[f"{name}-{mode.value}" for name, mode, _ in BREAKING]
)
async def test_the_same_cut_gives_the_same_error_under_any_sdk(
    server: ScriptedServer, provider: str, mode: Mode, chunks: list[bytes], how: str
) -> None:
    for is_async in (False, True):
        all_came = Signal()
        seen: list[str] = []

        def hear(text: str, seen: list[str] = seen, all_came: Signal = all_came) -> None:
            seen.append(text)
            if "".join(seen) == CUT:
                all_came.set()

        end: dict[str, Script] = {SILENTLY: [], WITHOUT_THE_END: Cut(), BY_RESET: [Wait(all_came), Reset()]}
        server.add(sends(chunks), end[how])
        client = client_for(server, provider, mode, is_async=is_async, on_delta=hear)
        played = await play(client.create_partial(Answer, **arguments_for(provider)))
        played.check_the_end()
        error = played.error
        assert isinstance(error, StreamError)
        if how == SILENTLY:
            assert type(error) is OutputTruncated
            assert error.__cause__ is None
        else:
            assert type(error) is StreamInterrupted
            assert isinstance(error, ConnectionError)
            assert error.__cause__ is not None
            assert not isinstance(error.__cause__, StreamError)
        assert error.text == played.text == CUT
        assert _dumped(error.partial) == BEGUN
        assert error.stats is not None
        assert error.stats.end_signal is None
    assert len(server.requests) == 2


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("how", [SILENTLY, WITHOUT_THE_END])
async def test_litellm_does_not_make_up_an_end(server: ScriptedServer, how: str, *, is_async: bool) -> None:
    """litellm says "stop" when the provider just stopped; with closed JSON that is complete, as anywhere."""
    client = client_for(server, "litellm", TOOLS, is_async=is_async)
    script: list[Script] = [] if how == SILENTLY else [Cut()]
    server.add(sends(chat_content(PROSE, finish=None, done=False)), *script)
    played = await play(client.stream_text(**arguments_for("litellm")))
    assert isinstance(played.error, OutputTruncated if how == SILENTLY else StreamInterrupted)
    assert played.error.text == PROSE

    server.add(sends(chat_tools(DOCUMENT, finish=None, done=False)), *script)
    played = await play(client.create_partial(Answer, **arguments_for("litellm")))
    if how == SILENTLY:
        assert played.final == FINAL
        assert played.stream.stats.end_signal is None
    else:
        assert isinstance(played.error, StreamInterrupted)
        assert played.error.partial == FINAL

    server.add(sends(chat_tools(DOCUMENT)))
    played = await play(client.create_partial(Answer, **arguments_for("litellm")))
    assert played.final == FINAL
    assert played.stream.stats.end_signal == "tool_calls"


FAULTY = [
    ("openai", TOOLS, chat_tools(BROKEN)),
    ("openai", Mode.JSON, chat_content(BROKEN)),
    ("openai", RESPONSES, responses_tools(BROKEN)),
    ("anthropic", TOOLS, anthropic_tools(BROKEN)),
    ("genai", Mode.JSON, gemini_text(BROKEN)),
]


@pytest.mark.parametrize(
    ("provider", "mode", "chunks"), FAULTY, ids=[f"{name}-{mode.value}" for name, mode, _ in FAULTY]
)
async def test_malformed_json_ends_the_stream_at_once(
    server: ScriptedServer, provider: str, mode: Mode, chunks: list[bytes]
) -> None:
    never = Signal()
    so_far = _opened(chunks, BROKEN[:20])
    assert len(so_far) < len(chunks)
    server.always(sends(so_far), Wait(never), sends(chunks[len(so_far) :]))
    for is_async in (False, True):
        client = client_for(server, provider, mode, is_async=is_async)
        played = await play(client.create_partial(Answer, **arguments_for(provider), max_retries=0))
        error = played.error
        assert type(error) is InvalidJSON
        assert error.offset == BROKEN.index("oops")
        assert error.text == BROKEN[:20]
        exchange: Exchange = await server.exchange_async(int(is_async))
        await exchange.disconnected.wait_async()
        await exchange.finished.wait_async()
        assert not exchange.completed
        assert exchange.sent == len(so_far)


# -- before the first byte -----------------------------------------------------------------------------------------


def _own_error(provider: str, status: int) -> type[Exception]:
    """The SDK's own class for a status."""
    if provider == "genai":
        from google.genai import errors

        return errors.ServerError if status >= 500 else errors.ClientError
    name = {401: "AuthenticationError", 429: "RateLimitError", 500: "InternalServerError"}[status]
    return getattr(__import__(provider), name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("status", [401, 429, 500])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "genai", "litellm"])
async def test_a_refused_request_keeps_the_sdks_own_error(server: ScriptedServer, provider: str, status: int) -> None:
    server.always(Status(status))
    mode = Mode.JSON if provider == "genai" else TOOLS
    for is_async in (False, True):
        told: list[BaseException] = []
        client = client_for(server, provider, mode, is_async=is_async, on_error=told.append)
        for call in ("partial", "text"):
            make = client.create_partial if call == "partial" else client.stream_text
            before = len(server.requests)
            arguments = arguments_for(provider) | ({"response_model": Answer} if call == "partial" else {})
            played = await play(make(**arguments))
            played.check_the_end()
            assert type(played.error) is _own_error(provider, status)
            assert f"scripted status {status}" in str(played.error)
            assert told.pop() is played.error
            assert not told
            assert len(server.requests) - before == 1
            assert played.stream.text == ""


@pytest.mark.parametrize("provider", ["openai", "anthropic", "genai", "litellm"])
async def test_a_refused_connection_keeps_the_sdks_own_error(server: ScriptedServer, provider: str) -> None:
    mode = Mode.JSON if provider == "genai" else TOOLS
    with socket.socket() as bound:  # bound, but nobody listens
        bound.bind(("127.0.0.1", 0))
        server.port, port = bound.getsockname()[1], server.port
        for is_async in (False, True):
            client = client_for(server, provider, mode, is_async=is_async)
            played = await play(client.create_partial(Answer, **arguments_for(provider)))
            played.check_the_end()
            error = played.error
            assert error is not None
            assert not isinstance(error, StreamError)
            assert type(error).__module__.partition(".")[0] in {provider, "httpx2", "httpx", "aiohttp"}
        server.port = port
    assert not server.requests
