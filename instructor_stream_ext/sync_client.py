"""The sync client: instructor's methods, with streams that stream."""

from __future__ import annotations

from typing import Any, TypeVar, get_args, overload

from instructor_stream_ext.calls import CallMaker, as_created, stream_kind
from instructor_stream_ext.core.pieces import By, Pieces
from instructor_stream_ext.streams import ItemStream, PartialStream, TextStream

__all__ = ["Responses", "StreamClient"]

T = TypeVar("T")


class StreamClient(CallMaker):
    """instructor's sync client with streams that stream. Made by `wrap`."""

    @property
    def responses(self) -> Responses:
        """The same methods with `messages` first, as instructor has them there."""
        return Responses(self)

    @overload
    def create_partial(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> PartialStream[T]: ...

    @overload
    def create_partial(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> PartialStream[Any]: ...

    def create_partial(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> PartialStream[Any]:
        """Stream partials of a response model and, last, the validated object.

        Args:
            response_model: What the answer is to be.
            messages: The conversation, or text for one user message; `input=` is taken for it.
            max_retries: Attempts after the first, or a tenacity `Retrying`.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: For this call: `debounce`, `on_...`, `hooks`, `timeouts`, `limits`, `stop_when`, `final_checks`,
                `token_budget`; all others go to the provider's SDK.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return PartialStream(*self.partial_script(response_model, messages, kwargs))

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
    ) -> ItemStream[T]: ...

    @overload
    def create_iterable(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> ItemStream[Any]: ...

    def create_iterable(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> ItemStream[Any]:
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
        return ItemStream(*self.item_script(response_model, messages, kwargs))

    def stream_text(self, messages: Any = None, *, by: By = "delta", buffer: int = 1, **kwargs: Any) -> TextStream:
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
        return TextStream(*self.text_script(messages, kwargs), None if plain else pieces)

    @overload
    def create(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> T: ...

    @overload
    def create(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> Any: ...

    def create(
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
            kwargs: As in `create_partial`. With `stream=True`, `Partial[M]` gives a `PartialStream`, `Iterable[M]` an
                `ItemStream`, None the SDK's stream.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return (self._create(response_model, messages, kwargs))[0]

    def create_with_completion(
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
        return self._create(response_model, messages, kwargs)

    def _create(self, response_model: Any, messages: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if kwargs.get("stream"):
            kind = stream_kind(response_model)
            if kind == "sdk":
                return self.sdk_call(messages, kwargs)(), None
            if kind == "items":
                return self.create_iterable(get_args(response_model)[0], messages, **kwargs), None
            stream = self.create_partial(response_model, messages, **kwargs)
            return (stream, None) if kind == "partial" else (stream.get_final_response(), stream.completion)
        if not self.streams_create(kwargs):
            call = self.plain_call(response_model, messages, kwargs)
            answer = call.result(call.create(**call.kwargs))
            return answer, answer if response_model is None else call.completion
        if response_model is None:
            text = self.stream_text(messages, **kwargs)
            text.get_final_response()
            answer = text.completion
            return answer, answer
        script, conversation = self.partial_script(response_model, messages, kwargs, for_create=True)
        result: PartialStream[Any] = PartialStream(script, conversation)
        final = result.get_final_response()
        completion = result.completion
        return as_created(final, completion, script.usage_total), completion


class Responses:
    """A client's methods with `messages` first, as `client.responses` of instructor has them."""

    def __init__(self, client: StreamClient) -> None:
        self._client = client

    @overload
    def create_partial(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> PartialStream[T]: ...

    @overload
    def create_partial(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> PartialStream[Any]: ...

    def create_partial(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> PartialStream[Any]:
        """As the client's `create_partial`."""
        return self._client.create_partial(response_model, messages, max_retries, **kwargs)

    stream = create_partial

    @overload
    def create_iterable(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> ItemStream[T]: ...

    @overload
    def create_iterable(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> ItemStream[Any]: ...

    def create_iterable(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> ItemStream[Any]:
        """As the client's `create_iterable`."""
        return self._client.create_iterable(response_model, messages, max_retries, **kwargs)

    def stream_text(self, messages: Any = None, **kwargs: Any) -> TextStream:
        """As the client's `stream_text`."""
        return self._client.stream_text(messages, **kwargs)

    @overload
    def create(self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any) -> T: ...

    @overload
    def create(self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any) -> Any: ...

    def create(self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any) -> Any:
        """As the client's `create`."""
        return self._client.create(response_model, messages, max_retries, **kwargs)

    def create_with_completion(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> tuple[Any, Any]:
        """As the client's `create_with_completion`."""
        return self._client.create_with_completion(response_model, messages, max_retries, **kwargs)
