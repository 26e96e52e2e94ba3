"""The async client: instructor's methods, with streams that stream."""

from __future__ import annotations

from typing import Any, TypeVar, get_args, overload

from instructor_stream_ext.calls import CallMaker, as_created, stream_kind
from instructor_stream_ext.core.pieces import By, Pieces
from instructor_stream_ext.streams import AsyncItemStream, AsyncPartialStream, AsyncTextStream

__all__ = ["AsyncResponses", "AsyncStreamClient"]

T = TypeVar("T")


class AsyncStreamClient(CallMaker):
    """instructor's async client with streams that stream. Made by `wrap`."""

    @property
    def responses(self) -> AsyncResponses:
        """The same methods with `messages` first, as instructor has them there."""
        return AsyncResponses(self)

    @overload
    def create_partial(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncPartialStream[T]: ...

    @overload
    def create_partial(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncPartialStream[Any]: ...

    def create_partial(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncPartialStream[Any]:
        """Stream partials of a response model and, last, the validated object.

        Args:
            response_model: What the answer is to be.
            messages: The conversation, or text for one user message; `input=` is taken for it.
            max_retries: Attempts after the first, or a tenacity `AsyncRetrying`.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: For this call: `debounce`, `on_...`, `hooks`, `timeouts`, `limits`, `stop_when`, `final_checks`,
                `token_budget`; all others go to the provider's SDK.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return AsyncPartialStream(*self.partial_script(response_model, messages, kwargs))

    stream = create_partial

    @overload
    def create_iterable(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncItemStream[T]: ...

    @overload
    def create_iterable(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncItemStream[Any]: ...

    def create_iterable(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncItemStream[Any]:
        """Stream a list of items, each validated once, as soon as it is closed.

        Args:
            response_model: What one item is.
            messages: As in `create_partial`; so are all others.
            max_retries: As in `create_partial`; a re-ask begins the items anew.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: As in `create_partial`. `on_bad_item` says what an item that does not validate does: "reask" begins
                all items anew, "raise" ends the stream, "skip" leaves it out and notes it in the stream's `skipped`.
                `limits=Limits(max_items=N)` ends the stream well after N valid items, and closes the connection.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return AsyncItemStream(*self.item_script(response_model, messages, kwargs))

    def stream_text(self, messages: Any = None, *, by: By = "delta", buffer: int = 1, **kwargs: Any) -> AsyncTextStream:
        """Stream a plain text answer, with the same hooks.

        Args:
            messages: As in `create_partial`.
            by: What the text is given by: "delta" as it comes, or whole "word"s, "sentence"s or "line"s.
            buffer: How many of them are given at a time.
            kwargs: As in `create_partial`.

        Raises:
            StreamMisuse: `by`, `buffer` or a hook cannot work; nothing has been sent.
        """
        pieces = Pieces(by, buffer)
        plain = by == "delta" and buffer == 1
        return AsyncTextStream(*self.text_script(messages, kwargs), None if plain else pieces)

    @overload
    async def create(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> T: ...

    @overload
    async def create(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> Any: ...

    async def create(
        self,
        response_model: Any = None,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> Any:
        """The validated object; streams underneath when somebody listens, else it is instructor's own `create`.

        Args:
            response_model: What the answer is to be; None for the SDK's own answer.
            messages: As in `create_partial`; so are all others.
            max_retries: As in `create_partial`.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: As in `create_partial`. With `stream=True`, `Partial[M]` gives an `AsyncPartialStream`,
                `Iterable[M]` an `AsyncItemStream`, None the SDK's stream.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return (await self._create(response_model, messages, kwargs))[0]

    async def create_with_completion(
        self,
        response_model: Any = None,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """As `create`, with the provider's answer beside the object."""
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return await self._create(response_model, messages, kwargs)

    async def _create(self, response_model: Any, messages: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if kwargs.get("stream"):
            kind = stream_kind(response_model)
            if kind == "sdk":
                return await self.sdk_call(messages, kwargs)(), None
            if kind == "items":
                return self.create_iterable(get_args(response_model)[0], messages, **kwargs), None
            stream = self.create_partial(response_model, messages, **kwargs)
            return (stream, None) if kind == "partial" else (await stream.get_final_response(), stream.completion)
        if not self.streams_create(kwargs):
            call = self.plain_call(response_model, messages, kwargs)
            answer = call.result(await call.create(**call.kwargs))
            return answer, answer if response_model is None else call.completion
        if response_model is None:
            text = self.stream_text(messages, **kwargs)
            await text.get_final_response()
            answer = text.completion
            return answer, answer
        script, conversation = self.partial_script(response_model, messages, kwargs, for_create=True)
        result: AsyncPartialStream[Any] = AsyncPartialStream(script, conversation)
        final = await result.get_final_response()
        completion = result.completion
        return as_created(final, completion, script.usage_total), completion


class AsyncResponses:
    """A client's methods with `messages` first, as `client.responses` of instructor has them."""

    def __init__(self, client: AsyncStreamClient) -> None:
        self._client = client

    @overload
    def create_partial(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> AsyncPartialStream[T]: ...

    @overload
    def create_partial(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> AsyncPartialStream[Any]: ...

    def create_partial(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> AsyncPartialStream[Any]:
        """As the client's `create_partial`."""
        return self._client.create_partial(response_model, messages, max_retries, **kwargs)

    stream = create_partial

    @overload
    def create_iterable(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> AsyncItemStream[T]: ...

    @overload
    def create_iterable(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> AsyncItemStream[Any]: ...

    def create_iterable(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> AsyncItemStream[Any]:
        """As the client's `create_iterable`."""
        return self._client.create_iterable(response_model, messages, max_retries, **kwargs)

    def stream_text(self, messages: Any = None, **kwargs: Any) -> AsyncTextStream:
        """As the client's `stream_text`."""
        return self._client.stream_text(messages, **kwargs)

    @overload
    async def create(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> T: ...

    @overload
    async def create(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> Any: ...

    async def create(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> Any:
        """As the client's `create`."""
        return await self._client.create(response_model, messages, max_retries, **kwargs)

    async def create_with_completion(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> tuple[Any, Any]:
        """As the client's `create_with_completion`."""
        return await self._client.create_with_completion(response_model, messages, max_retries, **kwargs)
