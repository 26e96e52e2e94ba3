"""What is relied on of instructor and the SDKs beyond their public API, a test for each: its name says what has moved.

A new version that breaks many tests breaks one of these as well. It says which of our files stands on what has moved.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from dataclasses import dataclass
from typing import Any

import instructor
import openai
import pytest
from instructor import Mode, Provider
from pydantic import BaseModel


@dataclass(frozen=True)
class Seam:
    """A name that is not public.

    Attributes:
        module: Where it is imported from.
        name: What is imported, with dots for attributes.
        used_in: Our file.
        takes: Parameters that are given by name.
    """

    module: str
    name: str
    used_in: str
    takes: tuple[str, ...] = ()


V2 = "instructor.v2"
SEAMS = [
    Seam(f"{V2}.core.patch", "patch_v2", "_instructor/link.py"),
    Seam(f"{V2}.core.registry", "mode_registry.get_handlers", "_instructor/link.py"),
    Seam(f"{V2}.core.registry", "normalize_mode", "_instructor/link.py"),
    Seam(f"{V2}.core.messages", "extract_messages", "_instructor/source.py"),
    Seam(f"{V2}.core.retry", "_initialize_usage", "_instructor/source.py"),
    Seam(f"{V2}.core.usage", "has_compatible_usage", "_instructor/listening.py"),
    Seam(f"{V2}.core.usage", "update_total_usage", "_instructor/listening.py"),
    Seam(f"{V2}.core.response_model", "prepare_response_model", "_instructor/facts.py"),
    Seam(f"{V2}.core.function_calls", "ResponseSchema", "_instructor/facts.py"),
    Seam(f"{V2}.core.hooks", "HookName", "_instructor/facts.py"),
    Seam(f"{V2}.dsl.iterable", "IterableBase.tasks_from_chunks", "_instructor/links.py"),
    Seam(f"{V2}.dsl.iterable", "IterableBase.tasks_from_chunks_async", "_instructor/links.py"),
    Seam(f"{V2}.dsl.parallel", "handle_parallel_model", "_instructor/facts.py"),
    Seam(f"{V2}.dsl.partial", "PartialBase", "_instructor/facts.py"),
    Seam(f"{V2}.dsl.response_list", "ListResponse", "_instructor/created.py"),
    Seam(f"{V2}.dsl.simple_type", "AdapterBase", "_instructor/facts.py"),
    Seam(f"{V2}.validation.async_validators", "reject_async_validators", "_instructor/facts.py"),
    Seam("instructor.cache", "load_cached_response", "_instructor/cache.py"),
    Seam("instructor.cache", "store_cached_response", "_instructor/cache.py"),
    Seam(
        "instructor.core.exceptions",
        "InstructorRetryException.__init__",
        "_instructor/source.py",
        ("last_completion", "n_attempts", "total_usage", "messages", "create_kwargs", "failed_attempts"),
    ),
    Seam("instructor.core.exceptions", "FailedAttempt", "_instructor/listening.py"),
    Seam("openai", "Stream.__stream__", "providers/raw.py"),
    Seam("openai", "AsyncStream.__stream__", "providers/raw.py"),
    Seam("openai", "OpenAI._process_response_data", "_instructor/litellm_feed.py", ("data", "cast_to", "response")),
    Seam("anthropic", "Stream.__stream__", "providers/raw.py"),
    Seam("anthropic", "AsyncStream.__stream__", "providers/raw.py"),
    Seam("litellm", "CustomStreamWrapper.chunk_creator", "_instructor/litellm_chunks.py"),
    Seam("litellm", "CustomStreamWrapper.fetch_sync_stream", "_instructor/litellm_chunks.py"),
    Seam("litellm", "CustomStreamWrapper.fetch_stream", "_instructor/litellm_chunks.py"),
    Seam("litellm", "REPEATED_STREAMING_CHUNK_LIMIT", "_instructor/litellm_chunks.py"),
    Seam("litellm", "_async_success_callback", "_instructor/litellm_watch.py"),
    Seam("litellm", "post_call_rules", "_instructor/litellm_watch.py"),
    Seam("litellm.integrations.custom_logger", "CustomLogger.log_stream_event", "_instructor/litellm_watch.py"),
    Seam("litellm.integrations.custom_logger", "CustomLogger.async_log_stream_event", "_instructor/litellm_watch.py"),
    Seam("litellm.integrations.custom_logger", "CustomLogger.logging_hook", "_instructor/litellm_watch.py"),
    Seam("litellm.types.utils", "ModelResponseStream", "_instructor/litellm_chunks.py"),
    Seam("vcr.cassette", "Cassette._load", "testing/stream_cassette.py"),
    Seam("vcr.filters", "decode_response", "testing/yaml.py"),
    Seam("vcr.serializers.compat", "convert_body_to_bytes", "testing/yaml.py"),
    Seam("vcr.stubs.aiohttp_stubs", "_NoConnection", "testing/replay.py"),
]


class Person(BaseModel):
    name: str


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("seam", SEAMS, ids=lambda seam: f"{seam.module}.{seam.name}")
def test_it_is_where_it_was(seam: Seam) -> None:
    said = f"{seam.module}.{seam.name} has moved; instructor_stream_ext/{seam.used_in} stands on it"
    try:
        found: Any = functools.reduce(getattr, seam.name.split("."), importlib.import_module(seam.module))
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{said} ({error})")
    if seam.takes:
        taken = inspect.signature(found).parameters
        by_name = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
        missing = [] if by_name else [name for name in seam.takes if name not in taken]
        assert not missing, f"{said}: it takes no {', '.join(missing)}"


@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.JSON, Mode.JSON_SCHEMA, Mode.MD_JSON, Mode.RESPONSES_TOOLS])
def test_a_modes_handlers_are_known_by_these_names(mode: Mode) -> None:
    registry = importlib.import_module(f"{V2}.core.registry")
    handlers = registry.mode_registry.get_handlers(Provider.OPENAI, registry.normalize_mode(Provider.OPENAI, mode))
    for name in ("request_handler", "reask_handler", "response_parser", "stream_extractor"):
        assert callable(getattr(handlers, name)), f"handlers of {mode} have no {name}; _instructor/ stands on it"


def test_create_fn_wraps_the_sdks_function_and_keeps_the_model() -> None:
    client = instructor.from_openai(openai.OpenAI(api_key="k"), model="m")
    function = getattr(client.create_fn, "__wrapped__", None)
    assert function is not None, "create_fn no longer shows what it wraps; _instructor/link.py stands on it"
    assert type(function.__self__).__name__ == "Completions"
    nonlocals = inspect.getclosurevars(client.create_fn).nonlocals
    assert nonlocals.get("default_model") == "m" or client.kwargs.get("model") == "m"


def test_a_hook_sees_the_live_stream_and_may_throw_it_out() -> None:
    """The whole seam: `completion:response` comes before instructor looks at the answer, and a throw passes through."""

    class Thrown(BaseException):
        pass

    live = iter(())
    hooks: Any = importlib.import_module(f"{V2}.core.hooks").Hooks()
    told: list[dict[str, Any]] = []
    hooks.on("completion:kwargs", lambda **kwargs: told.append(kwargs))

    def throw(answer: Any) -> None:
        assert answer is live
        raise Thrown

    hooks.on("completion:response", throw)
    made: Any = instructor.from_litellm(lambda **_: live)
    with pytest.raises(Thrown):
        made.create_fn(
            response_model=Person, messages=[{"role": "user", "content": "go"}], model="m", stream=True, max_retries=0,
            hooks=hooks,
        )  # fmt: skip
    assert told[0]["tools"], "hooks no longer see the request as it is sent; _instructor/listening.py stands on it"


def test_handlers_of_hooks_can_be_read() -> None:
    hooks: Any = importlib.import_module(f"{V2}.core.hooks")
    made = hooks.Hooks()
    made.on("parse:error", print)
    assert made._handlers[hooks.HookName("parse:error")] == [print]


def test_a_stream_of_openais_is_made_of_these() -> None:
    stream = inspect.getsource(importlib.import_module("openai._streaming"))
    for name in ("_cast_to", "_client", "_decoder", "_iterator", "response"):
        assert f"self.{name}" in stream, f"openai.Stream has no {name}; providers/raw.py stands on it"


def test_a_wrapper_of_litellms_is_made_of_these() -> None:
    wrapper: Any = importlib.import_module("litellm").CustomStreamWrapper
    source = inspect.getsource(wrapper)
    for name in ("completion_stream", "make_call", "logging_obj", "custom_llm_provider", "received_finish_reason"):
        assert f"self.{name} = " in source or f"self.{name}: " in source, (
            f"CustomStreamWrapper has no {name}; _instructor/litellm_chunks.py stands on it"
        )
