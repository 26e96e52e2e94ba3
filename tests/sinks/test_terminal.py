"""What a terminal shows while a stream runs, and what is left at the end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import sys
import threading
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, SecretStr
from rich.console import Console

from instructor_stream_ext import (
    Limits,
    OutputTruncated,
    PartialEmitted,
    ReasoningReceived,
    RetriesExhausted,
    StreamMisuse,
    StreamRestarted,
    WithState,
)
from instructor_stream_ext.core.events import RestartReason
from instructor_stream_ext.sinks.board import Board
from instructor_stream_ext.sinks.terminal import alive, live
from instructor_stream_ext.testing.fake_answers import FakeAnswer
from instructor_stream_ext.testing.fakes import fake_client
from tests.twins import Twin, both, settled

ASK: dict[str, Any] = {"messages": "go", "model": "m"}


class Tag(BaseModel):
    word: str
    weight: float


class Post(BaseModel):
    title: str
    secret: SecretStr
    note: Annotated[str, WithState()] = ""
    tags: list[Tag] = []
    extra: dict[str, int] = {}


POST = {
    "title": "A [red]title[/]",
    "secret": "hunter2",
    "note": "é" * 10,
    "tags": [{"word": "one", "weight": 1.5}, {"word": "two", "weight": 2}],
    "extra": {"a": 1},
}
SHOWN = json.loads(json.dumps(POST)) | {"secret": "**********"}


@dataclass
class Watched:
    """A terminal's board, as it stands after each event, with rich's own refreshing switched off."""

    width: int = 60
    height: int = 12

    def boards(self, stream: Any, view: Any = "tree", total: int | None = None) -> list[list[str]]:
        """The lines on the screen after each event."""
        board = Board(view, stream.limits.max_items if total is None else total)
        seen = []
        for event in stream.events():
            board.take(event)
            seen.append(self.lines(board))
        return seen

    def lines(self, board: Any) -> list[str]:
        out = io.StringIO()
        console = Console(file=out, width=self.width, height=self.height, force_terminal=True, color_system=None)
        console.print(board)
        return [line.rstrip() for line in out.getvalue().splitlines()]


def show(twin: Twin, stream: Any, **options: Any) -> Any:
    """`live` or a coroutine of `alive`."""
    return alive(stream, **options) if twin.is_async else live(stream, **options)


async def shown(twin: Twin, stream: Any, **options: Any) -> Any:
    final = show(twin, stream, **options)
    return await final if twin.is_async else final


def client(twin: Twin, answers: Any, **options: Any) -> Any:
    return fake_client(answers, async_client=twin.is_async, **options)


@both
async def test_where_nobody_looks_the_final_is_printed_once_and_plainly(
    twin: Twin, capsys: pytest.CaptureFixture[str]
) -> None:
    final = await shown(twin, client(twin, [POST]).create_partial(Post, **ASK))
    assert isinstance(final, Post)
    assert final.secret.get_secret_value() == "hunter2"
    out, err = capsys.readouterr()
    assert json.loads(out) == SHOWN
    assert err == ""
    assert "\x1b" not in out


@both
async def test_text_is_printed_as_it_is(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    text = "some [bold]words[/] " * 30
    assert await shown(twin, client(twin, [text]).stream_text(**ASK)) == text
    assert capsys.readouterr().out == text + "\n"


@both
async def test_items_and_their_list(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    stream = client(twin, [{"tasks": POST["tags"]}]).create_iterable(Tag, **ASK)
    assert await shown(twin, stream) == [Tag(word="one", weight=1.5), Tag(word="two", weight=2)]
    assert json.loads(capsys.readouterr().out) == POST["tags"]


@both
async def test_in_a_terminal_it_moves_and_then_stands_in_full(twin: Twin) -> None:
    out = io.StringIO()
    console = Console(file=out, width=60, height=10, force_terminal=True, color_system=None, _environ={"TERM": "xterm"})
    long = {**POST, "tags": [{"word": f"word {number}", "weight": number} for number in range(30)]}
    final = await shown(twin, client(twin, [long]).create_partial(Post, **ASK), console=console)
    assert len(final.tags) == 30
    written = out.getvalue()
    moving, _, still = written.rpartition("\x1b[?25h")
    assert "\x1b[?25l" in moving
    assert "waiting" in moving
    for number in range(30):
        assert f'"word {number}"' in still
    assert written.rindex("\x1b[2K") > written.rindex("✔ extra")  # what moved is wiped away
    assert "✔ first partial" in still
    assert " s in all" in still


@both
async def test_an_error_leaves_what_had_come_on_the_screen(twin: Twin) -> None:
    out = io.StringIO()
    console = Console(file=out, width=60, height=20, force_terminal=True, color_system=None, _environ={"TERM": "xterm"})
    cut = FakeAnswer(answer=json.dumps(POST)[:40], finish_reason="length")
    with pytest.raises(OutputTruncated):
        await shown(twin, client(twin, [cut]).create_partial(Post, **ASK), console=console)
    assert "✔ title: A [red]title[/]" in out.getvalue().rpartition("\x1b[2K")[2]
    assert "\x1b[?25h" in out.getvalue()


def test_the_tree_has_a_mark_for_each_field() -> None:
    boards = Watched(height=30).boards(fake_client([POST], 1).create_partial(Post, **ASK))
    in_the_midst = next(board for board in boards if any("one" in line for line in board))
    assert in_the_midst[1:] == [
        "✔ title: A [red]title[/]",
        "✔ secret: **********",
        "✔ note: éééééééééé",
        "▸ tags",
        "  ▸ 0",
        "    ▸ word: one",
        "    · weight:",
        "· extra",
    ]
    assert boards[0][1:] == ["waiting …"]
    assert boards[-1][-2:] == ["✔ extra", "  ✔ a: 1"]
    assert "hunter" not in str(boards)


def test_it_never_grows_beyond_the_terminal_and_shows_the_newest_part() -> None:
    long = {"title": "t", "secret": "s", "tags": [{"word": f"w{number}", "weight": 1} for number in range(40)]}
    boards = Watched(height=8).boards(fake_client([long], 6).create_partial(Post, **ASK))
    assert max(map(len, boards)) <= 8
    filling = [board for board in boards if any("▸" in line for line in board)]
    assert any("w39" in line for line in filling[-1])
    assert "… all of it is shown at the end" in filling[-1]


def test_a_long_text_shows_its_end() -> None:
    boards = Watched(width=20, height=6).boards(fake_client(["word " * 200 + "end"], 5).stream_text(**ASK))
    assert max(map(len, boards)) <= 6
    assert boards[-1][-1].endswith("end")
    assert all(len(line) <= 20 for board in boards for line in board)


def test_the_table_has_a_row_for_each_item() -> None:
    items = {"tasks": [{"word": f"w{number}", "weight": number} for number in range(3)]}
    *_, last = Watched().boards(fake_client([items], 3).create_iterable(Tag, **ASK), "table")
    assert [line.split() for line in last[1:]] == [
        ["word", "weight"],
        ["✔", "w0", "0.0"],
        ["✔", "w1", "1.0"],
        ["✔", "w2", "2.0"],
    ]
    *_, last = Watched().boards(fake_client([POST], 3).create_partial(Post, **ASK), "table")
    assert [line.split() for line in last[1:]][1] == ["✔", "one", "1.5"]


def test_the_json_view_is_the_object_so_far() -> None:
    *_, last = Watched(height=40).boards(fake_client([POST], 3).create_partial(Post, **ASK), "json")
    assert json.loads("\n".join(last[1:])) == SHOWN


def test_there_is_a_progress_bar_when_the_number_of_items_is_known() -> None:
    items = {"tasks": [{"word": f"w{number}", "weight": number} for number in range(4)]}
    stream = fake_client([items], 3).create_iterable(Tag, **ASK, limits=Limits(max_items=4))
    counts = [board[1].rsplit(" ", 1)[-1] for board in Watched().boards(stream)]
    assert list(dict.fromkeys(counts)) == ["0/4", "1/4", "2/4", "3/4", "4/4"]
    other = fake_client([POST], 3).create_partial(Post, **ASK)
    assert Watched().boards(other, total=2)[-1][1].endswith("2/2")
    assert "/2" not in str(Watched().boards(fake_client([POST], 3).create_partial(Post, **ASK)))


class Positive(BaseModel):
    number: int = Field(ge=0)


def test_a_restart_is_told() -> None:
    stream = fake_client(['{"number": -1}', '{"number": 1}'], 3).create_partial(Positive, **ASK)
    boards = Watched(width=120).boards(stream)
    told = [board[0] for board in boards if "attempt" in board[0]]
    assert told
    assert all(line.endswith("attempt 2 after a reask (ValidationError)") for line in told)
    restarted = next(board for board in boards if "attempt" in board[0])
    assert restarted[1:] == ["waiting …"]


@both
async def test_it_ends_with_the_streams_own_error(twin: Twin) -> None:
    stream = client(twin, ['{"number": -1}']).create_partial(Positive, **ASK, max_retries=0)
    with pytest.raises(RetriesExhausted):
        await shown(twin, stream)


async def test_a_stream_of_the_other_kind_is_refused_before_anything_is_sent() -> None:
    sync, not_sync = fake_client([POST]), fake_client([POST], async_client=True)
    wrong: Any = not_sync.create_partial(Post, **ASK)
    with pytest.raises(StreamMisuse, match=r"for alive\(\)"):
        live(wrong)
    await wrong.close()
    wrong = sync.create_partial(Post, **ASK)
    with pytest.raises(StreamMisuse, match=r"for live\(\)"):
        await alive(wrong)
    wrong.close()


@both
async def test_an_unknown_view_is_refused_before_anything_is_sent(twin: Twin) -> None:
    made = client(twin, [POST])
    stream = made.create_partial(Post, **ASK)
    with pytest.raises(StreamMisuse, match="tree, table, json"):
        await shown(twin, stream, view="graph")
    await settled(stream.close())
    assert not made.requests


def test_it_is_drawn_at_its_own_pace_and_not_for_each_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0
    draw = Board.__rich_console__

    def counted(self: Any, *arguments: Any) -> Any:
        nonlocal drawn
        drawn += 1
        return draw(self, *arguments)

    monkeypatch.setattr(Board, "__rich_console__", counted)
    console = Console(file=io.StringIO(), width=60, height=10, force_terminal=True, _environ={"TERM": "xterm"})
    stream = fake_client([{**POST, "note": "x" * 2000}], 1).create_partial(Post, **ASK)
    live(stream, console=console)
    assert stream.stats.partials_yielded > 2000
    assert 0 < drawn < stream.stats.partials_yielded / 10


def test_in_a_real_terminal_what_moves_goes_to_stderr_and_the_final_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    read: list[bytes] = []

    def look() -> None:
        with contextlib.suppress(OSError):  # how a terminal says that it is closed
            while data := os.read(ours, 4096):
                read.append(data)

    looking = threading.Thread(target=look)
    looking.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as tty:
        monkeypatch.setattr(sys, "stderr", tty)
        live(fake_client([POST], 3).create_partial(Post, **ASK))
        monkeypatch.undo()
    looking.join()
    os.close(ours)
    seen = b"".join(read).decode()
    assert "\x1b[?25l" in seen
    assert "\x1b[?25h" in seen
    assert "✔" in seen
    assert json.loads(capfd.readouterr().out) == SHOWN


HOSTILE = "\x1b]52;c;c3RlYWw=\x07\x1b[2J\x9b2J\x1b]0;owned\x07\r\x08\x7f\u202egnp"


class Told(BaseModel):
    text: str
    rows: list[dict[str, str]] = []


@both
@pytest.mark.parametrize("view", ["tree", "table", "json", "text"])
@pytest.mark.parametrize("is_terminal", [True, False])
async def test_a_models_words_never_drive_the_terminal(twin: Twin, view: Any, is_terminal: bool) -> None:
    """OSC 52 writes the clipboard, OSC 0 the title, CSI 2 J clears the screen; 0x9b is a CSI of one character."""
    answer = HOSTILE if view == "text" else json.dumps({"text": HOSTILE, "rows": [{HOSTILE: HOSTILE}]})
    asked = client(twin, [answer], chunk_size=3)
    stream: Any = asked.stream_text(**ASK) if view == "text" else asked.create_partial(Told, **ASK)
    out = io.StringIO()
    console = Console(file=out, width=200, height=40, force_terminal=is_terminal, color_system=None)
    options = {} if view == "text" else {"view": view}
    final = await shown(twin, stream, console=console, **options)
    said = re.sub("\x1b\\[\\??[0-9;]*[A-Zhl]|\r", "", out.getvalue())  # the cursor's moves, which are rich's own
    assert not re.search("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\u202e]", said)
    assert "\\x1b" in said or "\\u001b" in said
    assert "\\x9b" in said
    assert "\x1b" in (final if isinstance(final, str) else final.text), "the object itself is as the model wrote it"


def test_what_a_model_thinks_is_folded_when_the_answer_begins() -> None:
    board = Board("tree", None)
    board.take(ReasoningReceived(at=1.0, attempt=1, text="hm, "))
    board.take(ReasoningReceived(at=3.5, attempt=1, text="\x1b[1mwell"))
    assert board.status(4.0) == "4.0 s · thinking: hm, \\x1b[1mwell"
    board.take(PartialEmitted(at=5.0, attempt=1, partial={"a": 1}, sequence=1))
    assert board.status(6.0) == "6.0 s · first partial 5.00 s · thought for 2.5 s"
    board.take(StreamRestarted(at=7.0, attempt=2, reason=RestartReason.REASK, error=None))
    assert "thought" not in board.status(8.0)
