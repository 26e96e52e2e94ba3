"""What type checkers refuse. Nothing here runs: each line has to be an error in mypy and in pyright.

Both complain of an ignore comment that is not needed, so a line that is no longer refused fails the check.
"""

from __future__ import annotations

import instructor
import openai
from pydantic import BaseModel

from instructor_stream_ext import AsyncStreamClient, Hooks, StreamClient, StreamEnded, wrap


class Report(BaseModel):
    title: str


class Other(BaseModel):
    name: str


def show(partial: Report) -> None: ...


def show_other(partial: Other) -> None: ...


def two(partial: Report, more: int) -> None: ...


def ended(event: StreamEnded) -> None: ...


def refused(client: StreamClient, aclient: AsyncStreamClient) -> None:
    client.create_partial(Report, "x", on_partail=show)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.create_partial(Report, "x", debounce="fast")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_partial(Report, "x", on_partial=show_other)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_partial(Report, "x", on_partial=[show_other])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    client.create_partial(Report, "x", on_final=two)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_partial(Report, "x", on_delta=ended)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_partial(Report, "x", final_checks=show_other)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_iterable(Report, "x", on_bad_item="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_partial(Report, "x", on_truncated="again")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_iterable(Report, "x", on_partial=show)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.stream_text("x", on_partial=show)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create(Report, "x", on_partail=show)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.create(Report, "x", on_partial=show_other)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.responses.stream("x", Report, on_partail=show)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    aclient.create_partial(Report, "x", on_partail=show)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    aclient.create_partial(Report, "x", on_partial=show_other)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wrap(instructor.from_openai(openai.OpenAI()), on_partail=show)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    wrap(client, hook_errors="ignore")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    wrap(client, litellm_reader="raw")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Hooks(on_partail=show)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Hooks(on_end=show)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
