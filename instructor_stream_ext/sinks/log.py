"""A log of what matters in a stream: a line when a field is complete, none for a delta.

Each line is an ordinary record of `logging` with its facts as `extra=` fields, so that formatters and other loggers
that read them get structure: `transition` (what happened), `stream` (a number per stream), `attempt`, `at` (seconds
since the stream began), `since_last` (seconds since the line before), and what else belongs to the kind of line.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Collection
from typing import Any, TypeAlias, assert_never

from pydantic import ValidationError

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import (
    EVENTS,
    DeltaReceived,
    FieldState,
    FieldTransition,
    ItemCompleted,
    Outcome,
    PartialEmitted,
    Path,
    ReasoningReceived,
    StreamCancelled,
    StreamCompleted,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamRestarted,
    StreamStarted,
)
from instructor_stream_ext.core.redacted import HIDDEN, redacted
from instructor_stream_ext.core.text import visible

__all__ = ["TransitionLog"]

Change: TypeAlias = FieldTransition | ItemCompleted
"""What `when` is asked about."""

_numbers = itertools.count(1)


class TransitionLog:
    """Logs attempts, the first text, complete fields and items, restarts, the gate, and the end.

    Give it to `wrap(..., log_transitions=...)`, to a call as `on_event=`, or call it with the events of one stream
    after the other.

    Args:
        logger: Its name, or the logger itself.
        level: Of the lines, as a number or a name; failures are one level up from it, but not below WARNING.
        include_values: Whether lines tell what the fields hold; a `SecretStr` is never told.
        when: Asked about each complete field and item; no line where it says no.
        max_lines: Lines about fields and items per stream; a last one says that there were more.
        redact: Names of fields whose values are never told, wherever they stand.
        max_value: Characters of a value that are told.

    Raises:
        StreamMisuse: An argument that cannot work.
    """

    takes = EVENTS - {PartialEmitted, StreamCancelled}

    def __init__(
        self,
        logger: str | logging.Logger = "instructor_stream_ext",
        *,
        level: int | str = logging.INFO,
        include_values: bool = False,
        when: Callable[[Change], bool] | None = None,
        max_lines: int | None = 200,
        redact: Collection[str] = (),
        max_value: int = 200,
    ) -> None:
        number = logging.getLevelNamesMapping().get(level.upper()) if isinstance(level, str) else level
        if not isinstance(number, int):
            raise StreamMisuse(
                f"TransitionLog(level={level!r}): must be a number, or a name of logging's such as 'INFO'"
            )
        if when is not None and not callable(when):
            raise StreamMisuse(f"TransitionLog(when={when!r}): must be callable")
        if not isinstance(logger, (str, logging.Logger, logging.LoggerAdapter)):
            raise StreamMisuse(f"TransitionLog(logger={logger!r}): must be a logger of logging's, or the name of one")
        for name, most, least in (("max_lines", 0 if max_lines is None else max_lines, 0), ("max_value", max_value, 1)):
            if isinstance(most, bool) or not isinstance(most, int) or most < least:  # type: ignore[redundant-expr]
                raise StreamMisuse(f"TransitionLog({name}={most!r}): must be a number from {least}")
        if isinstance(redact, str):
            raise StreamMisuse(f"TransitionLog(redact={redact!r}): must be a collection of names")
        self.logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self.level = number
        self.include_values = include_values
        self.when = when
        self.max_lines = max_lines
        self.redact = frozenset(redact)
        self.max_value = max_value
        self._reading: _StreamLog | None = None

    def for_stream(self) -> Callable[[StreamEvent], None]:
        """Return a consumer of one stream's events."""
        return _StreamLog(self).take

    def __call__(self, event: StreamEvent) -> None:
        """Log an event of streams that are read one after the other; each begins after the previous one's end."""
        if self._reading is None:
            self._reading = _StreamLog(self)
        reading = self._reading
        if isinstance(event, StreamEnded):
            self._reading = None
        reading.take(event)

    def shown(self, path: Path, value: object) -> str:
        """Return a value as a line may show it."""
        if self.redact.intersection(path):
            return HIDDEN
        return self.cut(json.dumps(redacted(value, self.redact), ensure_ascii=False, default=str))

    def cut(self, text: str) -> str:
        """Return a model's or a provider's words as a line may show them: short, without control characters."""
        text = visible(text, lines=False)
        return text if len(text) <= self.max_value else text[: self.max_value - 1] + "…"


class _StreamLog:
    """The lines of one stream."""

    def __init__(self, log: TransitionLog) -> None:
        self._log = log
        self._number = next(_numbers)
        self._last_at = 0.0
        self._has_text = False
        self._reasoning_since: float | None = None
        self._reasoned = 0
        self._lines = 0

    def take(self, event: StreamEvent) -> None:  # noqa: C901, PLR0912  one case per event
        """Log an event if it matters."""
        match event:
            case DeltaReceived():
                if not self._has_text:
                    self._has_text = True
                    self._end_reasoning(event)
                    self._line(event, "first_text", "first text")
            case FieldTransition():
                if event.after is FieldState.COMPLETE and event.path and not isinstance(event.path[-1], int):
                    self._change(event, "field_complete", event.value)
            case ItemCompleted():
                self._change(event, "item_complete", event.item)
            case StreamStarted(model=model, provider=provider):
                self._has_text = False
                self._reasoning_since, self._reasoned = None, 0
                self._line(event, "attempt_started", f"attempt {event.attempt} started", model=model, provider=provider)
            case StreamRestarted(error=error):
                if error is not None:
                    self._failure(event, "gate_failed", "gate failed", error)
                self._line(
                    event,
                    "restart",
                    f"restart ({event.reason.value}): attempt {event.attempt} begins",
                    reason=event.reason.value,
                    from_model=event.from_model,
                    to_model=event.to_model,
                )
            case ReasoningReceived(text=text):
                self._reason(event, text)
            case StreamCompleted():
                self._line(event, "gate_passed", "gate passed")
            case StreamFailed(error=error):
                self._failure(event, "failed", "failed", error)
            case StreamEnded(outcome=outcome):
                self._end(event, outcome)
            case PartialEmitted() | StreamCancelled():
                pass
            case _:
                assert_never(event)

    def _reason(self, event: ReasoningReceived, text: str) -> None:
        """Report once that the model reasons, but not what."""
        if self._reasoning_since is None:
            self._reasoning_since = event.at
            self._line(event, "reasoning_began", "reasoning")
        self._reasoned += len(text)

    def _end_reasoning(self, event: DeltaReceived) -> None:
        if self._reasoning_since is None:
            return
        seconds = event.at - self._reasoning_since
        said = f"reasoned for {seconds:.1f} s, {self._reasoned} characters"
        self._line(event, "reasoning_ended", said, seconds=seconds, chars=self._reasoned)

    def _change(self, event: Change, kind: str, value: object) -> None:
        log = self._log
        if log.max_lines is not None and self._lines > log.max_lines:
            return
        if not log.logger.isEnabledFor(log.level):
            return
        if log.when is not None and not log.when(event):
            return
        self._lines += 1
        if log.max_lines is not None and self._lines > log.max_lines:
            self._line(event, "lines_left_out", f"more than {log.max_lines} fields and items: no further lines")
            return
        facts: dict[str, Any] = {"path": log.cut(_dotted(event.path))}  # the keys of a dict are the model's words
        if isinstance(event, FieldTransition):
            facts |= {"before": event.before.value, "after": event.after.value}
            said = f"{event.before.value} -> {event.after.value}"
        else:
            facts |= {"item": event.path[-1]}
            said = f"item {event.path[-1]} complete"
        if log.include_values:
            facts["value"] = log.shown(event.path, value)
            said += f" = {facts['value']}"
        self._line(event, kind, f"{facts['path']}: {said}", **facts)

    def _failure(self, event: StreamEvent, kind: str, said: str, error: BaseException) -> None:
        faults = self._faults(error)
        named = f"{said}: {type(error).__name__}" + (f" ({'; '.join(faults)})" if faults else "")
        level = max(self._log.level + 10, logging.WARNING)
        self._line(event, kind, named, level=level, error=type(error).__name__, faults=faults)

    def _faults(self, error: BaseException) -> list[str]:
        """Describe an error without the model's words, which its message may repeat."""
        cause = error if isinstance(error, ValidationError) else error.__cause__
        if isinstance(cause, ValidationError):
            return [self._fault(dict(fault)) for fault in cause.errors(include_url=False, include_context=False)]
        return [self._log.cut(str(error))] if self._log.include_values and not self._log.redact else []

    def _fault(self, fault: dict[str, Any]) -> str:
        place = self._log.cut(_dotted(fault["loc"])) or "document"
        if self._log.include_values and not self._log.redact:
            return self._log.cut(f"{place}: {fault['msg']}")
        return f"{place}: {fault['type']}"

    def _end(self, event: StreamEnded, outcome: Outcome) -> None:
        stats = event.stats
        usage = stats.usage
        self._line(
            event,
            "end",
            f"{outcome.value} after {event.at:.3f} s: {stats.attempts} attempt{'s' if stats.attempts > 1 else ''}, "
            f"{stats.deltas} deltas, {stats.chars} characters, {stats.partials_yielded} partials"
            + (", repaired" if stats.repaired else "")
            + (f", {stats.continuations} continued" if stats.continuations else ""),
            outcome=outcome.value,
            attempts=stats.attempts,
            deltas=stats.deltas,
            chars=stats.chars,
            partials=stats.partials_yielded,
            first_delta_at=stats.first_delta_at,
            first_partial_at=stats.first_partial_at,
            end_signal=stats.end_signal,
            repaired=stats.repaired,
            continuations=stats.continuations,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
        )

    def _line(self, event: StreamEvent, kind: str, said: str, *, level: int | None = None, **facts: object) -> None:
        since_last = event.at - self._last_at
        self._last_at = event.at
        extra = {
            "transition": kind,
            "stream": self._number,
            "attempt": event.attempt,
            "at": event.at,
            "since_last": since_last,
            **facts,
        }
        self._log.logger.log(
            self._log.level if level is None else level,
            "stream %d: %s (at %.3f s, +%.3f s)",
            self._number,
            visible(said, lines=False),
            event.at,
            since_last,
            extra=extra,
        )


def _dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
