"""The transition log: which lines there are, what they carry, and what they never tell."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import loguru
import pytest
import structlog
from pydantic import BaseModel, Field, SecretStr

from instructor_stream_ext import (
    FieldTransition,
    ItemCompleted,
    RetriesExhausted,
    StreamMisuse,
    TransitionLog,
)
from instructor_stream_ext.testing.fakes import fake_client
from tests.playing import still
from tests.server import Cut, ScriptedServer, reply, sends
from tests.server.wire_format import chat_content
from tests.twins import StillClock, Twin, both

ASK: dict[str, Any] = {"messages": "go", "model": "m"}


class Tag(BaseModel):
    word: str


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)
    tags: list[Tag] = []


FORGED = "x\n2026-01-01 CRITICAL root: all is lost \x1b]0;title\x07 \x9b2J \u202e"


class Notes(BaseModel):
    notes: dict[str, str]


@pytest.mark.parametrize("values", [True, False])
def test_a_models_words_forge_no_line_and_drive_no_terminal(kept: Kept, values: bool) -> None:
    """The keys of a dict are the model's text as its values are, and a plain formatter writes them as they are."""
    log = TransitionLog(include_values=values, max_value=60)
    answer = json.dumps({"notes": {FORGED: FORGED, "k" * 500: "v"}})
    fake_client(answer, on_event=log).create_partial(Notes, **ASK).get_final_response()
    with pytest.raises(RetriesExhausted):
        bad = json.dumps({"notes": {FORGED: 1}})
        fake_client(bad, on_event=log).create_partial(Notes, **ASK, max_retries=0).get_final_response()
    assert kept.of("field_complete")
    assert kept.of("failed")
    for record in kept.records:
        told = [record.getMessage(), *(str(value) for value in record.__dict__.values())]
        assert not re.search("[\\x00-\\x1f\\x7f-\\x9f\u2028\u202e]", "".join(told))
    assert max(len(record.__dict__["path"]) for record in kept.of("field_complete")) <= 60


ADA = '{"name": "Ada", "age": 36, "tags": [{"word": "one"}, {"word": "two"}]}'


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, transition: str) -> list[Any]:
        return [record for record in self.records if record.__dict__["transition"] == transition]

    @property
    def kinds(self) -> list[tuple[Any, ...]]:
        """What each line is about: the transition, and the path if it has one."""
        return [
            tuple(record.__dict__[key] for key in ("transition", "path") if key in record.__dict__)
            for record in self.records
        ]

    @property
    def text(self) -> str:
        """All that was logged, messages and fields."""
        return "\n".join(str({**record.__dict__, "message": record.getMessage()}) for record in self.records)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """What is logged to the package's logger at any level, and nowhere else."""
    logger, handler = logging.getLogger("instructor_stream_ext"), Kept()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.level, logger.propagate = before


@both
@pytest.mark.parametrize("size", [1, 7, None])
async def test_the_lines_of_a_stream(server: ScriptedServer, twin: Twin, kept: Kept, size: int | None) -> None:
    server.add(reply(ADA, size))
    client = twin.client(server, log_transitions=True, clock=lambda: 0.0)  # no time has a 36 in it
    await twin.final(client.create_partial(Person, **ASK))
    assert kept.kinds == [
        ("attempt_started",),
        ("first_text",),
        ("field_complete", "name"),
        ("field_complete", "age"),
        ("field_complete", "tags[0].word"),
        ("item_complete", "tags[0]"),
        ("field_complete", "tags[1].word"),
        ("item_complete", "tags[1]"),
        ("field_complete", "tags"),
        ("gate_passed",),
        ("end",),
    ]
    assert {record.levelno for record in kept.records} == {logging.INFO}
    assert {record.__dict__["attempt"] for record in kept.records} == {1}
    assert len({record.__dict__["stream"] for record in kept.records}) == 1
    name, item, end = kept.of("field_complete")[0], kept.of("item_complete")[1], kept.of("end")[0]
    assert (name.before, name.after) == ("streaming", "complete")
    assert item.item == 1
    assert (end.outcome, end.attempts, end.chars, end.output_tokens) == ("completed", 1, len(ADA), 7)
    assert kept.of("attempt_started")[0].model == "m"
    assert kept.of("attempt_started")[0].provider == "openai"
    for secret in ("Ada", "one"):
        assert secret not in "".join(record.getMessage() for record in kept.records)
    assert "Ada" not in kept.text


@both
async def test_seconds_since_the_start_and_since_the_line_before(
    server: ScriptedServer, twin: Twin, kept: Kept
) -> None:
    clock = StillClock()
    server.add(reply('{"name": "Ada", "age": 36}', 10))

    def tick(text: str) -> None:
        clock.advance(1)

    client = twin.client(server, log_transitions=True, clock=clock, on_delta=tick)
    await twin.final(client.create_partial(Person, **ASK))
    times = [(record.__dict__["transition"], record.at, record.since_last) for record in kept.records]
    assert times == [
        ("attempt_started", 0, 0),
        ("first_text", 0, 0),
        ("field_complete", 1, 1),
        ("field_complete", 2, 1),
        ("gate_passed", 3, 1),
        ("end", 3, 0),
    ]
    assert kept.records[3].getMessage().endswith("age: streaming -> complete (at 2.000 s, +1.000 s)")


@both
async def test_a_restart_tells_what_was_wrong_but_not_what_was_said(
    server: ScriptedServer, twin: Twin, kept: Kept
) -> None:
    server.add(reply('{"name": "Ada", "age": -77}'))
    server.add(reply('{"name": "Ada", "age": -88}'))
    client = twin.client(server, log_transitions=True)
    with pytest.raises(RetriesExhausted):
        await twin.final(client.create_partial(Person, **ASK, max_retries=1))
    steps = [kind for kind, *_ in kept.kinds if kind != "field_complete"]
    assert steps == [
        "attempt_started",
        "first_text",
        "gate_failed",
        "restart",
        "attempt_started",
        "first_text",
        "failed",
        "end",
    ]
    for kind in ("gate_failed", "failed"):
        (failed,) = kept.of(kind)
        assert failed.faults == ["age: greater_than_equal"]
        assert failed.levelno == logging.WARNING
    assert kept.of("gate_failed")[0].error == "ValidationError"
    assert kept.of("failed")[0].error == "RetriesExhausted"
    (restart,) = kept.of("restart")
    assert (restart.reason, restart.attempt) == ("reask", 2)
    assert kept.of("end")[0].outcome == "failed"
    assert "-77" not in kept.text
    assert "-88" not in kept.text


@both
async def test_a_broken_stream_and_one_that_was_left(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    server.add([sends(chat_content("secret text", finish=None, done=False)), Cut()])
    client = twin.client(server, log_transitions=TransitionLog())
    with pytest.raises(ConnectionError):
        await twin.final(client.stream_text(**ASK))
    assert [kind for (kind,) in kept.kinds] == ["attempt_started", "first_text", "failed", "end"]
    assert "secret" not in kept.text
    kept.records.clear()
    server.add(reply("some text"))
    await twin.first(client.stream_text(**ASK), 1)
    assert [kind for (kind,) in kept.kinds] == ["attempt_started", "first_text", "end"]
    assert kept.of("end")[0].outcome == "cancelled"


class Secrets(BaseModel):
    """Whose values must not be told."""

    name: str
    password: SecretStr
    token: str
    inner: dict[str, str] = {}
    list_of: list[dict[str, str]] = []
    pin: SecretStr | None = None


SECRETS = {
    "name": "n" * 500,
    "password": "hunter2",
    "token": "abracadabra",
    "inner": {"token": "abracadabra", "open": "sesame"},
    "list_of": [{"token": "abracadabra"}],
}


@both
async def test_values_are_told_only_if_asked_for_and_never_the_secret_ones(
    server: ScriptedServer, twin: Twin, kept: Kept
) -> None:
    server.add(reply(json.dumps(SECRETS), 5))
    log = TransitionLog(include_values=True, redact=["token"], max_value=40)
    await twin.final(twin.client(server).create_partial(Secrets, **ASK, on_event=log))
    told = {record.path: record.value for record in kept.records if "value" in record.__dict__}
    hidden = "**********"
    assert told["name"] == '"' + "n" * 38 + "…"
    assert told["password"] == f'"{hidden}"'
    assert told["token"] == told["inner.token"] == hidden
    assert told["inner"].startswith(f'{{"token": "{hidden}"')
    assert json.loads(told["list_of[0]"]) == {"token": hidden}
    for secret in ("hunter2", "abracadabra", "nnnnn" * 10):
        assert secret not in kept.text


@both
async def test_a_secret_of_the_wrong_type_is_not_told_either(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    server.add(reply(json.dumps({**SECRETS, "pin": 90125}), 5))
    log = TransitionLog(include_values=True)
    stream = twin.client(server).create_partial(Secrets, **ASK, on_event=log, max_retries=0)
    with pytest.raises(RetriesExhausted) as raised:
        await twin.final(stream)
    assert next(record.value for record in kept.records if record.__dict__.get("path") == "pin") == '"**********"'
    assert "90125" not in kept.text
    assert "90125" not in repr(raised.value.partial)


@both
async def test_what_is_redacted_is_so_within_lists_and_dataclasses_too(
    server: ScriptedServer, twin: Twin, kept: Kept
) -> None:
    @dataclass
    class Account:
        user: str
        key: str

    class Holder(BaseModel):
        secrets: list[Secrets]
        account: Account

    document = {"secrets": [SECRETS], "account": {"user": "ada", "key": "abracadabra"}}
    server.add(reply(json.dumps(document)))
    log = TransitionLog(include_values=True, redact={"token", "name", "key"}, max_value=10_000)
    await twin.final(twin.client(server).create_partial(Holder, **ASK, on_event=log))
    told = {record.path: record.value for record in kept.records if "value" in record.__dict__}
    assert json.loads(told["secrets[0]"])["password"] == "**********"
    assert json.loads(told["account"]) == {"user": "ada", "key": "**********"}
    for secret in ("hunter2", "abracadabra", "nnnn"):
        assert secret not in kept.text


@both
async def test_errors_say_more_only_where_values_may_be_told(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    server.always(reply('{"name": "Ada", "age": -1}'))
    for log in (TransitionLog(include_values=True), TransitionLog(include_values=True, redact=["age"])):
        with pytest.raises(RetriesExhausted):
            await twin.final(twin.client(server).create_partial(Person, **ASK, max_retries=0, on_event=log))
    open_, closed = (failed.faults for failed in kept.of("failed"))
    assert open_ == ["age: Input should be greater than or equal to 0"]
    assert closed == ["age: greater_than_equal"]


@both
async def test_when_chooses_the_fields_and_items(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    asked: list[Any] = []

    def when(transition: FieldTransition | ItemCompleted) -> bool:
        asked.append(transition)
        return transition.path[-1] == "name" or isinstance(transition, ItemCompleted)

    server.add(reply(ADA))
    await twin.final(twin.client(server, log_transitions=TransitionLog(when=when)).create_partial(Person, **ASK))
    assert [path for _, *path in kept.kinds if path] == [["name"], ["tags[0]"], ["tags[1]"]]
    assert {type(transition) for transition in asked} == {FieldTransition, ItemCompleted}
    assert len(asked) == 7


@both
async def test_a_when_that_raises_does_not_hurt_the_stream(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    def when(transition: object) -> bool:
        raise RuntimeError("no idea")

    server.add(reply(ADA))
    client = twin.client(server, log_transitions=TransitionLog(when=when))
    with pytest.warns(RuntimeWarning, match="no idea") as warned:
        final = await twin.final(client.create_partial(Person, **ASK))
    assert final.age == 36
    assert len(warned) == 1
    lines = [record for record in kept.records if "transition" in record.__dict__]
    assert [line.__dict__["transition"] for line in lines] == ["attempt_started", "first_text", "gate_passed", "end"]
    assert len([record for record in kept.records if record.exc_info]) == 1, "once, and counted after that"
    assert any("raised 6 more times" in record.getMessage() for record in kept.records)


def test_a_long_stream_logs_as_many_lines_as_it_has_fields(kept: Kept) -> None:
    class Wide(BaseModel):
        model_config = {"extra": "allow"}

    document = {f"field_{number}": "x" * 320 for number in range(30)}
    stream = fake_client([document], chunk_size=1, log_transitions=True).create_partial(Wide, **ASK)
    stream.get_final_response()
    assert stream.stats.deltas > 10_000
    assert len(kept.of("field_complete")) == 30
    assert len(kept.records) == 34


@both
async def test_no_more_lines_than_allowed_but_always_the_end(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    people = [json.loads(ADA)] * 20
    server.always(reply(json.dumps({"tasks": people})))
    client = twin.client(server)
    await twin.final(client.create_iterable(Person, **ASK, on_event=TransitionLog(max_lines=5)))
    assert len(kept.of("field_complete")) + len(kept.of("item_complete")) == 5
    assert [kind for kind, *_ in kept.kinds[-3:]] == ["lines_left_out", "gate_passed", "end"]
    kept.records.clear()
    await twin.final(client.create_iterable(Person, **ASK, on_event=TransitionLog(max_lines=None)))
    assert len(kept.of("item_complete")) == 60


@both
async def test_another_logger_and_level(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    server.always(reply(ADA))
    client = twin.client(server)
    named, given = logging.getLogger("tests.named"), logging.Logger("given", logging.INFO)  # noqa: LOG001
    for logger in (named, given):
        logger.addHandler(kept)
    named.setLevel(logging.DEBUG)
    named.propagate = False
    try:
        await twin.final(client.create_partial(Person, **ASK, on_event=TransitionLog("tests.named", level="debug")))
        assert {record.levelno for record in kept.records} == {logging.DEBUG}
        assert len(kept.records) == 11
        kept.records.clear()
        await twin.final(client.create_partial(Person, **ASK, on_event=TransitionLog(given, level=logging.DEBUG)))
        assert kept.records == []
    finally:
        named.removeHandler(kept)


async def test_streams_at_the_same_time_are_told_apart(server: ScriptedServer, kept: Kept) -> None:
    twin = Twin(is_async=True)
    server.always(reply(ADA))
    client = twin.client(server, on_event=TransitionLog())
    await asyncio.gather(*[twin.final(client.create_partial(Person, **ASK)) for _ in range(4)])
    lines: dict[int, list[str]] = {}
    for record in kept.records:
        lines.setdefault(record.__dict__["stream"], []).append(record.__dict__["transition"])
    first, *others = lines.values()
    assert len(others) == 3
    assert all(other == first for other in others)


@both
async def test_it_may_be_called_with_the_events_of_a_loop(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    server.always(reply(ADA))
    log = TransitionLog(include_values=True)
    client = twin.client(server, clock=still)
    for _ in range(2):
        for event in await twin.events(client.create_partial(Person, **ASK)):
            log(event)
    half = len(kept.records) // 2
    assert half == 11
    assert kept.kinds[:half] == kept.kinds[half:]
    assert kept.of("field_complete")[0].value == '"Ada"'
    assert kept.records[0].__dict__["stream"] != kept.records[-1].__dict__["stream"]


@both
async def test_settings_are_inherited_and_the_newer_one_counts(server: ScriptedServer, twin: Twin, kept: Kept) -> None:
    from instructor_stream_ext import wrap

    server.always(reply(ADA))
    outer = wrap(twin.client(server, log_transitions=True), debounce=1.0)
    await twin.final(outer.create_partial(Person, **ASK))
    assert len(kept.records) == 11
    kept.records.clear()
    newer = wrap(outer, log_transitions=TransitionLog(when=lambda _: False))
    await twin.final(newer.create_partial(Person, **ASK))
    assert len(kept.records) == 4


@both
async def test_create_streams_underneath_so_that_there_is_something_to_log(
    server: ScriptedServer, twin: Twin, kept: Kept
) -> None:
    from tests.twins import settled

    server.add(reply(ADA))
    client = twin.client(server, log_transitions=True)
    assert (await settled(client.create(response_model=Person, **ASK))).name == "Ada"
    assert server.requests[0].json["stream"] is True
    assert len(kept.records) == 11


NUMBERS: list[dict[str, Any]] = [{"max_lines": "3"}, {"max_lines": -1}, {"max_value": 0}, {"logger": None}]


@pytest.mark.parametrize(
    "wrong", [{"level": "LOUD"}, {"when": "always"}, {"redact": "token"}, {"level": 1.5}, *NUMBERS], ids=str
)
def test_wrong_settings_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(StreamMisuse):
        TransitionLog(**wrong)


# ---------------------------------------------------------------------- recipes of docs/logging.md


async def logged(server: ScriptedServer, logger: logging.Logger) -> None:
    twin = Twin(is_async=False)
    server.add(reply(ADA))
    await twin.final(twin.client(server, log_transitions=TransitionLog(logger)).create_partial(Person, **ASK))


@pytest.fixture
def logger() -> logging.Logger:
    return logging.Logger("recipe", logging.DEBUG)  # noqa: LOG001  one that nobody else has


async def test_with_a_json_formatter(server: ScriptedServer, logger: logging.Logger) -> None:
    class JSONFormatter(logging.Formatter):
        STANDARD = frozenset(logging.makeLogRecord({}).__dict__)

        def format(self, record: logging.LogRecord) -> str:
            facts = {name: value for name, value in record.__dict__.items() if name not in self.STANDARD}
            return json.dumps({"message": record.getMessage(), **facts}, default=str)

    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JSONFormatter())
    logger.addHandler(handler)
    await logged(server, logger)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == 11
    assert lines[2]["path"] == "name"
    assert lines[-1]["outcome"] == "completed"


async def test_with_structlog(server: ScriptedServer, logger: logging.Logger) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), structlog.stdlib.add_log_level],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logger.addHandler(handler)
    await logged(server, logger)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == 11
    assert (lines[2]["path"], lines[2]["after"], lines[2]["level"]) == ("name", "complete", "info")
    assert lines[2]["event"].startswith("stream ")


async def test_with_loguru(server: ScriptedServer, logger: logging.Logger) -> None:
    lines: list[dict[str, Any]] = []
    sink = loguru.logger.add(lambda message: lines.append(dict(message.record)), format="{message}", level=0)
    standard = frozenset(logging.makeLogRecord({}).__dict__)

    class ToLoguru(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            facts = {name: value for name, value in record.__dict__.items() if name not in standard}
            loguru.logger.bind(**facts).log(record.levelname, "{}", record.getMessage())

    logger.addHandler(ToLoguru())
    try:
        await logged(server, logger)
    finally:
        loguru.logger.remove(sink)
    assert len(lines) == 11
    assert lines[2]["extra"]["path"] == "name"
    assert lines[2]["level"].name == "INFO"
    assert lines[2]["message"].endswith("s)")
