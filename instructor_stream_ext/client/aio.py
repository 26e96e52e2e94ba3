"""The async client: instructor's methods, with streams that stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack, get_args, overload

from instructor_stream_ext._instructor.created import as_created
from instructor_stream_ext.client.arguments import CallArguments, ItemArguments, Messages
from instructor_stream_ext.client.async_streams import AsyncItemStream, AsyncPartialStream, AsyncTextStream
from instructor_stream_ext.client.checks import model_of, stream_kind
from instructor_stream_ext.client.client import Client
from instructor_stream_ext.core.text_splitter import By, Pieces

if TYPE_CHECKING:
    from tenacity import AsyncRetrying
    from typing_extensions import TypeForm

__all__ = ["AsyncResponses", "AsyncStreamClient"]

T = TypeVar("T")


class AsyncStreamClient(Client):
    """instructor's async client with streams that stream. Made by `wrap`."""

    @property
    def responses(self) -> AsyncResponses:
        """The same methods with `messages` first, as instructor has them there."""
        return AsyncResponses(self)

    def create_partial(
        self,
        response_model: TypeForm[T],
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[T]],
    ) -> AsyncPartialStream[T]:
        """Stream partials of a response model and, last, the validated object.

        Args:
            response_model: The type of the answer.
            messages: The conversation, or text for one user message; `input=` is taken for it.
            max_retries: Attempts after the first, or a tenacity `AsyncRetrying`.
            context: For validators and templating.
            strict: As in pydantic.
            options: For this call: `debounce`, `on_...`, `hooks`, `timeouts`, `limits`, `stop_when`, `final_checks`,
                `repair`, `on_truncated`, `max_continuations`, `token_budget`; all others are passed to the provider's
                SDK.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.

        Example:
            ```python
            async for city in client.create_partial(City, "Describe Lisbon.", model="gpt-4o-mini"):
                await send(city)
            ```
        """
        call = {**options, "max_retries": max_retries, "context": context, "strict": strict}
        return AsyncPartialStream(*self._calls.partial_session(response_model, messages, call))

    stream = create_partial

    def create_iterable(
        self,
        response_model: TypeForm[T],
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[ItemArguments[T]],
    ) -> AsyncItemStream[T]:
        """Stream a list of items, each validated once, as soon as it is closed.

        Args:
            response_model: The type of one item.
            messages: As in `create_partial`; so are all others.
            max_retries: As in `create_partial`; a re-ask begins the items anew.
            context: For validators and templating.
            strict: As in pydantic.
            options: As in `create_partial`. `on_bad_item` decides what happens to an item that does not validate:
                "reask" starts over, "raise" ends the stream, "skip" leaves the item out and adds it to the stream's
                `skipped`. `limits=Limits(max_items=N)` ends the stream after N valid items and closes the connection.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.

        Example:
            ```python
            async for city in client.create_iterable(City, "Three cities by the sea.", model="gpt-4o-mini"):
                await save(city)
            ```
        """
        call = {**options, "max_retries": max_retries, "context": context, "strict": strict}
        return AsyncItemStream(*self._calls.item_session(response_model, messages, call))

    def stream_text(
        self, messages: Messages = None, *, by: By = "delta", buffer: int = 1, **options: Unpack[CallArguments[str]]
    ) -> AsyncTextStream:
        """Stream a plain text answer, with the same hooks.

        Args:
            messages: As in `create_partial`.
            by: The unit in which text is yielded: each "delta" as it arrives, or whole "word"s, "sentence"s or "line"s.
            buffer: How many units are yielded at a time.
            options: As in `create_partial`.

        Raises:
            StreamMisuse: `by`, `buffer` or a hook cannot work; nothing has been sent.

        Example:
            ```python
            async for sentence in client.stream_text("Tell me of Lisbon.", by="sentence", model="gpt-4o-mini"):
                await speak(sentence)
            ```
        """
        pieces = Pieces(by, buffer)
        plain = by == "delta" and buffer == 1
        return AsyncTextStream(*self._calls.text_session(messages, {**options}), None if plain else pieces)

    @overload
    async def create(
        self,
        response_model: TypeForm[T],
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[T]],
    ) -> T: ...

    @overload
    async def create(
        self,
        response_model: None = None,
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[str]],
    ) -> Any: ...

    @overload
    async def create(
        self,
        response_model: Any = None,
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        *,
        stream: bool,
        **options: Unpack[CallArguments[Any]],
    ) -> Any: ...

    async def create(
        self,
        response_model: Any = None,
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Any,
    ) -> Any:
        """Return the validated object; streams underneath if hooks listen, else uses instructor's `create`.

        Args:
            response_model: The type of the answer; None for the SDK's own answer.
            messages: As in `create_partial`; so are all others.
            max_retries: As in `create_partial`.
            context: For validators and templating.
            strict: As in pydantic.
            options: As in `create_partial`. With `stream=True`, `Partial[M]` gives an `AsyncPartialStream`,
                `Iterable[M]` an `AsyncItemStream`, None the SDK's stream.
        """
        options.update(max_retries=max_retries, context=context, strict=strict)
        return (await self._create(response_model, messages, options))[0]

    @overload
    async def create_with_completion(
        self,
        response_model: TypeForm[T],
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[T]],
    ) -> tuple[T, Any]: ...

    @overload
    async def create_with_completion(
        self,
        response_model: None = None,
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[str]],
    ) -> tuple[Any, Any]: ...

    async def create_with_completion(
        self,
        response_model: Any = None,
        messages: Messages = None,
        max_retries: int | AsyncRetrying = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Return the validated object and the provider's answer."""
        options.update(max_retries=max_retries, context=context, strict=strict)
        return await self._create(response_model, messages, options)

    async def _create(self, response_model: Any, messages: Messages, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if kwargs.get("stream"):
            kind = stream_kind(response_model)
            if kind == "sdk":
                return await self._calls.sdk_call(messages, kwargs)(), None
            if kind == "items":
                return self.create_iterable(get_args(response_model)[0], messages, **kwargs), None
            asked: AsyncPartialStream[Any] = self.create_partial(response_model, messages, **kwargs)
            return (asked, None) if kind == "partial" else (await asked.get_final_response(), asked.completion)
        if not self._calls.streams_create(kwargs):
            call = self._calls.plain_call(response_model, messages, kwargs)
            answer = call.result(await call.create(**call.kwargs))
            return answer, answer if response_model is None else call.completion
        if response_model is None:
            text = self.stream_text(messages, **kwargs)
            await text.get_final_response()
            answer = text.completion
            return answer, answer
        session, conversation = self._calls.partial_session(response_model, messages, kwargs, for_create=True)
        result: AsyncPartialStream[Any] = AsyncPartialStream(session, conversation)
        final = await result.get_final_response()
        completion = result.completion
        return as_created(final, completion, session.usage_total), completion


class AsyncResponses:
    """A client's methods with `messages` first, as `client.responses` of instructor has them."""

    def __init__(self, client: AsyncStreamClient) -> None:
        self._client = client

    def create_partial(
        self,
        messages: Messages = None,
        response_model: TypeForm[T] | None = None,
        max_retries: int | AsyncRetrying = 3,
        *,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[T]],
    ) -> AsyncPartialStream[T]:
        """As the client's `create_partial`."""
        model = model_of(response_model)
        return self._client.create_partial(model, messages, max_retries, context, strict, **options)

    stream = create_partial

    def create_iterable(
        self,
        messages: Messages = None,
        response_model: TypeForm[T] | None = None,
        max_retries: int | AsyncRetrying = 3,
        *,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[ItemArguments[T]],
    ) -> AsyncItemStream[T]:
        """As the client's `create_iterable`."""
        model = model_of(response_model)
        return self._client.create_iterable(model, messages, max_retries, context, strict, **options)

    def stream_text(
        self, messages: Messages = None, *, by: By = "delta", buffer: int = 1, **options: Unpack[CallArguments[str]]
    ) -> AsyncTextStream:
        """As the client's `stream_text`."""
        return self._client.stream_text(messages, by=by, buffer=buffer, **options)

    @overload
    async def create(
        self,
        messages: Messages = None,
        response_model: TypeForm[T] = ...,
        max_retries: int | AsyncRetrying = 3,
        *,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[T]],
    ) -> T: ...

    @overload
    async def create(
        self,
        messages: Messages = None,
        response_model: None = None,
        max_retries: int | AsyncRetrying = 3,
        *,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[str]],
    ) -> Any: ...

    @overload
    async def create(
        self,
        messages: Messages = None,
        response_model: Any = None,
        max_retries: int | AsyncRetrying = 3,
        *,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        stream: bool,
        **options: Unpack[CallArguments[Any]],
    ) -> Any: ...

    async def create(
        self,
        messages: Messages = None,
        response_model: Any = None,
        max_retries: int | AsyncRetrying = 3,
        **options: Any,
    ) -> Any:
        """As the client's `create`."""
        return await self._client.create(response_model, messages, max_retries, **options)

    @overload
    async def create_with_completion(
        self,
        messages: Messages = None,
        response_model: TypeForm[T] = ...,
        max_retries: int | AsyncRetrying = 3,
        *,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[T]],
    ) -> tuple[T, Any]: ...

    @overload
    async def create_with_completion(
        self,
        messages: Messages = None,
        response_model: None = None,
        max_retries: int | AsyncRetrying = 3,
        *,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **options: Unpack[CallArguments[str]],
    ) -> tuple[Any, Any]: ...

    async def create_with_completion(
        self,
        messages: Messages = None,
        response_model: Any = None,
        max_retries: int | AsyncRetrying = 3,
        **options: Any,
    ) -> tuple[Any, Any]:
        """As the client's `create_with_completion`."""
        return await self._client.create_with_completion(response_model, messages, max_retries, **options)
