"""Typed call arguments: the clients' `**options: Unpack[...]`, for type checkers and editors.

A type checker refuses a misspelt hook, a hook with another signature and a `debounce` that is no policy. To make that
possible the dictionaries are closed: they list the arguments of this package, of instructor and of the SDKs behind it.
Pass an SDK's argument that is missing here as `**{"name": value}`, which checkers accept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypedDict

from instructor_stream_ext.core.document.reasoning import ReasoningTags
from instructor_stream_ext.core.events import T
from instructor_stream_ext.core.gate import OnBadItem
from instructor_stream_ext.core.options import Limits, LitellmReader, OnTruncated, Repair, Timeouts
from instructor_stream_ext.core.policy_argument import DebounceArgument
from instructor_stream_ext.session.hooks import HookArguments, Hooks

if TYPE_CHECKING:
    from instructor_stream_ext._instructor.facts import InstructorHooks
    from instructor_stream_ext.sinks.log import TransitionLog

__all__ = ["CallArguments", "ItemArguments", "Messages", "ProviderArguments", "RoutingArguments", "WrapArguments"]


Messages: TypeAlias = str | Iterable[Any] | None
"""The conversation: text for one user message, or the messages in the provider's form."""


class ProviderArguments(TypedDict, total=False):
    """The arguments of the SDKs' own calls, and what instructor adds to them."""

    input: Any
    contents: Any
    config: Any
    message: Any
    chat_history: Any
    # instructor
    autodetect_images: bool
    cache: Any
    cache_namespace: str | None
    cache_ttl: int | None
    token_budget: int | None
    # chat completions: OpenAI, the many that speak like it, and litellm
    api_base: str | None
    api_key: str | None
    api_version: str | None
    audio: Any
    base_url: Any
    caching: bool | None
    custom_llm_provider: str | None
    deployment_id: Any
    drop_params: bool | None
    enable_json_schema_validation: bool | None
    extra_body: Any
    extra_headers: Any
    extra_query: Any
    fallbacks: Any
    frequency_penalty: Any
    function_call: Any
    functions: Any
    logit_bias: Any
    logprobs: Any
    max_completion_tokens: Any
    max_tokens: Any
    metadata: Any
    mock_response: Any
    modalities: Any
    model_list: Any
    moderation: Any
    n: Any
    num_retries: int | None
    parallel_tool_calls: Any
    prediction: Any
    presence_penalty: Any
    prompt_cache_key: Any
    prompt_cache_options: Any
    prompt_cache_retention: Any
    reasoning_effort: Any
    response_format: Any
    safety_identifier: Any
    seed: Any
    service_tier: Any
    shared_session: Any
    stop: Any
    store: Any
    stream_options: Any
    temperature: Any
    timeout: Any
    tool_choice: Any
    tools: Any
    top_logprobs: Any
    top_p: Any
    user: Any
    verbosity: Any
    web_search_options: Any
    # OpenAI Responses
    background: Any
    context_management: Any
    conversation: Any
    include: Any
    instructions: Any
    max_output_tokens: Any
    max_tool_calls: Any
    previous_response_id: Any
    prompt: Any
    reasoning: Any
    text: Any
    truncation: Any
    # Anthropic
    cache_control: Any
    container: Any
    diagnostics: Any
    inference_geo: Any
    output_config: Any
    speed: Any
    stop_sequences: Any
    system: Any
    thinking: Any
    top_k: Any
    user_profile_id: Any
    workspace_id: Any
    # Google, Vertex AI
    cached_content: Any
    generation_config: Any
    safety_settings: Any
    tool_config: Any
    # Mistral, Cohere, xAI, Perplexity, OpenRouter and local servers
    citation_options: Any
    documents: Any
    guided_json: Any
    include_server_side_tool_invocations: bool | None
    k: Any
    min_p: Any
    options: Any
    p: Any
    plugins: Any
    preamble: Any
    prompt_mode: Any
    random_seed: Any
    repetition_penalty: Any
    safe_prompt: Any
    safety_mode: Any
    search_parameters: Any
    strict_tools: Any
    # Bedrock
    additionalModelRequestFields: Any
    guardrailConfig: Any
    inferenceConfig: Any
    modelId: str
    toolConfig: Any


class _StreamArguments(HookArguments[T], Generic[T], total=False):
    """The options of one stream, apart from the response model."""

    debounce: DebounceArgument
    hooks: Hooks | InstructorHooks | None
    timeouts: Timeouts | None
    limits: Limits | None
    reasoning_tags: ReasoningTags | None
    repair: Repair | None
    on_truncated: OnTruncated
    max_continuations: int
    stop_when: Callable[[T], object] | None
    final_checks: Callable[[T], object] | Iterable[Callable[[T], object]] | None


class CallArguments(_StreamArguments[T], ProviderArguments, Generic[T], total=False):
    """The options of a call whose final is a `T`."""

    model: str


class ItemArguments(CallArguments[list[T]], Generic[T], total=False):
    """The options of a call for a stream of items."""

    on_bad_item: OnBadItem


class WrapArguments(HookArguments[Any], total=False):
    """The arguments of `wrap`, apart from the client."""

    debounce: DebounceArgument
    hooks: Hooks | InstructorHooks | None
    hook_errors: Literal["warn", "raise"]
    timeouts: Timeouts | None
    limits: Limits | None
    usage: bool
    reasoning_tags: ReasoningTags | None
    repair: Repair | None
    on_truncated: OnTruncated
    max_continuations: int
    litellm_reader: LitellmReader
    clock: Callable[[], float] | None
    log_transitions: bool | TransitionLog


class RoutingArguments(WrapArguments, ProviderArguments, total=False):
    """The arguments of a routing client: those of `wrap`, and litellm's for each call."""
