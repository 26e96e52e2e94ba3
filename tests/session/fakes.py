"""A session alone: fakes for what it stands on, and a driver that needs neither clock nor loop nor thread.

A chunk is a text, an exception (reading raises it), an `Aside`, or `TICK`; the fake reader hands texts on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel, TypeAdapter

from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.events import EndKind, EndSignal, Event
from instructor_stream_ext.core.gate import ModelGate
from instructor_stream_ext.core.machine import StreamMachine
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.core.types.response import Plan
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.reader import Reading, Switch
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.dispatch import Dispatch, HookErrors
from instructor_stream_ext.session.effects import END, LOOK, TICK, Call, Close, Departed, Open, Read, Told
from instructor_stream_ext.session.hooks import Hooks
from instructor_stream_ext.session.protocols import Recovery
from instructor_stream_ext.session.retries import Retries
from instructor_stream_ext.session.telling import Parts

STOP = EndSignal(EndKind.COMPLETE, "stop")


class Person(BaseModel):
    name: str
    age: int


class Aside(str):
    """Prose beside the document."""

    __slots__ = ()


class AnotherAnswer(str):
    """The first text of another answer."""

    __slots__ = ()


class FakeReader(Reading):
    """Hands texts on."""

    def __init__(self, end: EndSignal | None) -> None:
        super().__init__()
        self._end = end
        self._usage = {"prompt_tokens": 2, "completion_tokens": 3}

    def read(self, chunk: Any) -> str:
        if isinstance(chunk, Aside):
            self.aside.append(chunk)
            return ""
        if isinstance(chunk, ErrorInside):
            self.error = chunk.message
            return ""
        self.alive = True
        self.switched = Switch("m", "n") if isinstance(chunk, AnotherAnswer) else None
        return str(chunk)

    def finish(self) -> str:
        self.end = self._end
        return ""

    def completion(self) -> Any:
        return "the completion"


@dataclass
class ErrorInside:
    """A chunk that is the provider's error."""

    message: str


@dataclass
class FakeConnection:
    """An attempt's chunks."""

    chunks: list[Any]
    end: EndSignal | None = STOP
    model: str | None = "m"
    provider: str | None = "p"
    hidden: Exception | None = None
    closed: int = 0

    def __post_init__(self) -> None:
        self.reader = FakeReader(self.end)

    def flows(self) -> None:
        """Nothing to note."""

    def close(self) -> None:
        self.closed += 1

    def wake(self) -> bool:
        return False

    def detail(self) -> str:
        return ""

    def just_stopped(self, error: Exception) -> bool:
        return "just stopped" in str(error)

    def ended(self) -> Exception | None:
        return self.hidden


@dataclass
class FakeSource:
    """Attempts by a list: a connection, or what connecting raises."""

    attempts: list[FakeConnection | Exception]
    others: list[Recovery] = field(default_factory=list)
    recalled: str | None = None
    usage_total: Any = None
    failed_attempts: list[Any] = field(default_factory=list)
    for_create: bool = False
    told: list[str] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    opened: list[FakeConnection] = field(default_factory=list)
    recalled_completion: Any = None
    create_kwargs: dict[str, Any] = field(default_factory=dict)
    messages: Any = ()
    asked: tuple[str | None, str | None] = ("m", "p")

    def connect(self, within: float, *, hurried: bool) -> FakeConnection:
        self.told.append("connect in haste" if hurried else "connect")
        attempt = self.attempts.pop(0)
        if isinstance(attempt, Exception):
            raise attempt
        self.opened.append(attempt)
        return attempt

    def recall(self) -> str | None:
        return self.recalled

    def keep(self, result: Any, reader: Any) -> None:
        self.kept.append(result)

    def came_from_api(self, error: Exception) -> bool:
        return isinstance(error, ConnectionError)

    def unanswered(self, error: Exception, attempt: int) -> Exception:
        return error

    def owed(self) -> tuple[()]:
        return ()

    def answered(self, reader: Any) -> list[Call]:
        return [Call(self.told.append, ("answered",))]

    def as_created(self, error: Exception, reader: Any) -> Exception:
        return error

    def rejected(self, reader: Any, error: Exception, attempt: int) -> list[Call]:
        self.failed_attempts.append(SimpleNamespace(completion=reader.completion()))
        return [Call(self.told.append, (f"rejected {attempt}",))]

    def errored(self, error: Exception, attempt: int) -> list[Call]:
        return [Call(self.told.append, (f"errored {attempt}",))]

    def given_up(self, error: Exception, attempt: int) -> list[Call]:
        return [Call(self.told.append, (f"given up {attempt}",))]

    def reask(self, error: Exception, text: str) -> None:
        self.told.append(f"reask {text}")

    def go_on(self, text: str, reader: Any) -> None:
        self.told.append(f"go on {text}")

    def recover(self, error: Exception) -> Recovery | None:
        return self.others.pop(0) if self.others else None


def session_of(
    *attempts: FakeConnection | Exception,
    model: type[BaseModel] = Person,
    max_retries: int = 3,
    source: FakeSource | None = None,
    hook_errors: Any = "raise",
    final_checks: list[Callable[..., object]] | None = None,
    machine: dict[str, Any] | None = None,
    hooks: dict[str, Any] | None = None,
    plan: Plan | None = None,
    gate: Any = None,
    **given: Any,
) -> tuple[Session, FakeSource]:
    """A session over fakes, and its source."""
    plan = plan or compile_plan(model)
    source = source or FakeSource(list(attempts))
    dispatch = Dispatch(Hooks(**(hooks or {})), HookErrors(hook_errors))
    instants = iter(range(1, 100_000))
    parts = Parts(
        machine=StreamMachine(
            parser=lambda: PartialParser(plan),
            deltas=dispatch.deltas,
            transitions=dispatch.transitions or "items" in given,
            **(machine or {}),
        ),
        source=source,
        gate=gate or ModelGate(TypeAdapter(model), read=lambda _: None, kind="object", checks=final_checks or ()),
        dispatch=dispatch,
        retries=Retries(max_retries, is_async=False),
        clock=lambda: float(next(instants)),
        **given,
    )
    return Session(parts), source


@dataclass
class Ran:
    """What came of a session."""

    seen: list[Any] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def events(self) -> list[Event]:
        return [one for one in self.seen if isinstance(one, Event)]

    @property
    def names(self) -> list[str]:
        """The events by name, a partial that came without one as `partial`."""
        return [type(one).__name__ if isinstance(one, Event) else "partial" for one in self.seen]


class _Driver:
    """Carries effects out, one after the other."""

    def __init__(self, session: Session, ran: Ran) -> None:
        self._session = session
        self._ran = ran
        self._chunks: Iterator[Any] = iter(())

    def answer(self, effect: Read | Open | Close | Call) -> Any:
        """Do what is wished for; what that gives."""
        self._ran.effects.append(type(effect).__name__)
        match effect:
            case Read():
                return self._read()
            case Open():
                connection = effect.connect(effect.deadline)
                self._chunks = iter(connection.chunks)
                return connection
            case Close():
                return effect.fn()
            case Call():
                return effect.fn(*effect.args, **effect.kwargs)

    def _read(self) -> Any:
        for chunk in self._chunks:
            if chunk is TICK:
                return TICK
            if isinstance(chunk, Exception):
                raise chunk
            answer = self._session.step(chunk)
            if answer is LOOK:
                return LOOK
            if answer is not None:
                self._ran.seen.append(answer)
        return END


def run(session: Session, *, leave_after: int | None = None) -> Ran:
    """Carry a session out to its end, or leave after so many things seen."""
    ran = Ran()
    driver, steps = _Driver(session, ran), session.run()
    answer: Any = None
    raised: BaseException | None = None
    try:
        while True:
            effect = steps.send(answer) if raised is None else steps.throw(raised)
            answer, raised = None, None
            if isinstance(effect, Event | Told):
                for event in effect.events if isinstance(effect, Told) else (effect,):
                    ran.seen.append(event)
                    if len(ran.seen) == leave_after:
                        raised = Departed()
                        break
                continue
            try:
                answer = driver.answer(effect)
            except Exception as error:  # noqa: BLE001  whatever it is, it is the session's
                raised = error
    except StopIteration:
        pass
    except BaseException as error:  # noqa: BLE001  for the test to look at
        ran.error = error
    return ran


def usage_of(ran: Ran) -> Usage | None:
    """The usage that the last event tells."""
    usage: Usage | None = ran.seen[-1].stats.usage
    return usage
