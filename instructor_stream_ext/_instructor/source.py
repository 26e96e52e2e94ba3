"""The attempts of one stream, through one instructor client.

instructor prepares a request (schema, messages, templating, default model, hooks), sends it, and tells a
`completion:response` hook before it looks at the answer. A hook of ours, given to the client's own `create_fn` with
`stream=True, max_retries=0`, takes the live stream from there; that is the whole seam, and nothing is patched. A re-ask
goes to the function below `create_fn`, with the request as instructor's re-ask handler made it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from instructor import Mode, Provider
from instructor.core.exceptions import InstructorRetryException, TokenBudgetExceeded, TokenUsageUnavailableError
from instructor.v2.core.messages import extract_messages
from instructor.v2.core.retry import _initialize_usage

from instructor_stream_ext._instructor.cache import Lookup
from instructor_stream_ext._instructor.connection import InstructorConnection, connection_of
from instructor_stream_ext._instructor.created import error_as_created
from instructor_stream_ext._instructor.facts import InstructorHooks
from instructor_stream_ext._instructor.haste import HASTE, Haste
from instructor_stream_ext._instructor.link import Link
from instructor_stream_ext._instructor.listening import Listening, copied, total_tokens
from instructor_stream_ext._instructor.refusals import cause_of, is_opaque, names_usage
from instructor_stream_ext._instructor.request import Caught, Live, Next, Request
from instructor_stream_ext.core.errors import ClientNotSupported
from instructor_stream_ext.core.seam import request_for_rest
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.session.protocols import Recovery

__all__ = ["InstructorSource"]


class InstructorSource(Listening):
    """The attempts of one stream; `session.protocols.Source` describes it.

    Args:
        link: The client.
        request: The call.
        hooks: instructor's own hooks.
        max_attempts: For the hooks' metadata; None if unknown.
    """

    def __init__(self, link: Link, request: Request, hooks: InstructorHooks, max_attempts: int | None) -> None:
        super().__init__(link, request, hooks, max_attempts)
        self.for_create = request.for_create
        self._next = Next()
        self._raised: Exception | None = None
        self._lookup: Lookup | None = None

    # ------------------------------------------------------------------ the request

    @property
    def asks_in_words(self) -> bool:
        """True if only the prompt asks for JSON, so that instructor's `create` looks for it in the text, too."""
        return self.mode is Mode.MD_JSON or (self._link.provider is Provider.ANTHROPIC and self.mode is Mode.JSON)

    @property
    def create_kwargs(self) -> dict[str, Any]:
        """The request as last sent."""
        return self._sent or {}

    @property
    def messages(self) -> Any:
        """The conversation as last sent."""
        return extract_messages(self.create_kwargs)

    @property
    def asked(self) -> tuple[str | None, str | None]:
        """The model and the provider that the request goes to, as far as known."""
        return self._link.asked(self._sent or self._request.kwargs)

    def connect(self, within: float = math.inf, *, hurried: bool) -> Any:
        """Send the request; returns a coroutine if the client is async.

        Args:
            within: Seconds in which a sync call has to have the headers; `math.inf` for no bound of ours.
            hurried: There is a bound in time, so the SDK must not try again by itself.
        """
        return self._aconnect() if self._link.is_async else self._connect(within, hurried=hurried)

    def _connect(self, within: float, *, hurried: bool, refusal: Exception | None = None) -> InstructorConnection:
        haste = Haste(within) if within < math.inf else None
        token = HASTE.set(haste)
        try:
            answer = self._send(hurried=hurried)()
        except Caught as caught:
            answer = caught.live
        except Exception as error:
            left = within if haste is None else haste.left
            return self._connect(left, hurried=hurried, refusal=self._refusal_of_usage(error, refusal))
        finally:
            HASTE.reset(token)
        connection = self._connected(answer)
        if haste is not None:
            connection.hasten(haste)
        return connection

    async def _aconnect(self, refusal: Exception | None = None) -> InstructorConnection:
        try:
            answer = await self._send(hurried=False)()
        except Caught as caught:
            answer = caught.live
        except Exception as error:
            return await self._aconnect(self._refusal_of_usage(error, refusal))
        return self._connected(answer)

    def _api_error(self, error: Exception) -> Exception:
        """Return the SDK's own exception, and note that it came from the API."""
        cause = cause_of(error)
        # instructor wraps what the SDK's function raises, but not where it is called for text or by a re-ask
        below = self._next.arguments or self._next.rest or self._request.wire is None
        self._raised = cause if cause is not error or below else None
        return cause

    def came_from_api(self, error: Exception) -> bool:
        """Return whether the SDK raised the error. Errors in instructor's preparation of a request are not retried."""
        return error is self._raised

    def unanswered(self, error: Exception, attempt: int) -> Exception:
        """Return the error to raise for an unanswered request: the SDK's, or instructor's for `create`."""
        if not self._request.for_create or self._request.wire is None:
            return error
        return InstructorRetryException(
            str(error),
            last_completion=self.failed_attempts[-1].completion if self.failed_attempts else None,
            n_attempts=attempt,
            total_usage=_initialize_usage(self._link.provider) if self.usage_total is None else self.usage_total,
            messages=self.messages,
            create_kwargs=self.create_kwargs,
            failed_attempts=self.failed_attempts,
        )

    # ------------------------------------------------------------------ instructor's cache

    @property
    def recalled_completion(self) -> Any:
        """The provider's answer from the cache; None unless `recall` found a document."""
        return None if self._lookup is None else self._lookup.completion

    def recall(self) -> Any:
        """Look up the request in the caller's cache; returns a coroutine if the client is async."""
        link = self._link
        if link.function is None:
            return None
        lookup = self._lookup = Lookup.made(link.client.create_fn, self._request)
        if lookup is None:
            return None
        return lookup.adocument() if link.is_async else lookup.document()

    def keep(self, result: object, reader: Reader) -> None:
        """Store in the cache what plain instructor would store."""
        if self._lookup is not None:
            self._lookup.keep(result, reader.completion())

    # ------------------------------------------------------------------ sending

    @property
    def _wants_usage(self) -> bool:
        link = self._link
        is_ours = self._request.usage and link.takes_usage_option and "stream_options" not in self._request.kwargs
        return is_ours and not (link.usage_refused or self._next.usage_left_out)

    def _refusal_of_usage(self, error: Exception, refusal: Exception | None) -> Exception:
        """Return the error after which the request is repeated once without `stream_options`; raise all others.

        A server may name the option or, as Xiaomi's MiMo does, say only that something is wrong. Whether that was it
        only the repetition tells, so it is remembered for the client when an answer has come (`_connected`).

        Args:
            error: From the request.
            refusal: The error that had it repeated, None if this was the first.

        Raises:
            Exception: It was not the option; the first error if the repetition has failed, too.
        """
        cause = self._api_error(error)
        if refusal is not None:
            self._next = replace(self._next, usage_left_out=False)
            told = cause if names_usage(refusal) else refusal
            self._raised = self._raised and told
            raise told from told.__cause__
        if not self._wants_usage or not (names_usage(cause) or is_opaque(cause, self.create_kwargs)):
            raise cause from cause.__cause__
        self._next = replace(self._next, usage_left_out=True)
        self._link.usage_refused = names_usage(cause)
        return cause

    def _send(self, *, hurried: bool) -> Callable[[], Any]:
        """Return the call that sends the request: through instructor the first time, below it for a re-ask."""
        link, request = self._link, self._request
        create_fn, function = link.functions(hurried=hurried)
        options = {"stream_options": {"include_usage": True}} if self._wants_usage else {}
        arguments = self._next.arguments
        if arguments is not None and function is not None:
            kwargs = dict(arguments)
            if (link.usage_refused or self._next.usage_left_out) and "stream_options" not in request.kwargs:
                kwargs.pop("stream_options", None)
            self._opening_hooks().emit_completion_arguments(**kwargs)
            return functools.partial(function, **kwargs)
        kwargs = {**options, **request.kwargs}
        if request.wire is None or self._next.rest:
            return functools.partial(
                link.text_function(hurried=hurried),
                None,
                messages=self._conversation,
                stream=True,
                max_retries=0,
                hooks=self._opening_hooks(),
                **kwargs,
            )
        return functools.partial(
            create_fn,
            response_model=link.sent_class(request.wire),
            messages=self._conversation,
            max_retries=0,
            context=request.context,
            strict=request.strict,
            hooks=self._opening_hooks(),
            **link.stream_argument,
            **kwargs,
        )

    @property
    def _conversation(self) -> Any:
        """The messages of a request that instructor prepares."""
        following = [*self._next.turns, *self._next.rest]
        messages = self._request.messages
        return self._link.said([*messages, *following] if following else messages)

    def _connected(self, answer: object) -> InstructorConnection:
        is_text = self._request.wire is None or bool(self._next.rest)
        self._link.usage_refused = self._link.usage_refused or self._next.usage_left_out
        if self._sent is None:
            self._sent = {**self._request.kwargs, "messages": self._conversation}
        if not (is_text or self._next.arguments or isinstance(answer, Live)):
            raise ClientNotSupported(
                f"{self._link.provider.value} in mode {self._link.mode.name} returned {type(answer).__name__}, "
                f"not a stream"
            )
        stream = answer.completion if isinstance(answer, Live) else answer
        return connection_of(
            self._link, stream, self._sent, is_text=is_text, through_wrapper=self._request.through_wrapper
        )

    def as_created(self, error: Exception, reader: Reader) -> Exception:
        """Return the error that instructor's `create` raises for an answer that the gate refused."""
        link = self._link
        return error_as_created(error, reader, self._request, link.handlers.response_parser, is_async=link.is_async)

    # ------------------------------------------------------------------ the next request

    def reask(self, error: Exception, text: str) -> None:
        """Make the next request from the failed one, including the model's invalid answer."""
        last = self.failed_attempts[-1].completion
        self._check_budget(last)
        told = f"That answer is not valid:\n{error}\nAnswer again and correct these errors."
        turns = (*self._next.turns, *_turn(text, told))
        if self._link.function is None or self._next.rest:
            self._next = replace(self._next, arguments=None, turns=turns, rest=())
            return
        kwargs = dict(self.create_kwargs)
        for key in ("messages", "contents", "chat_history"):
            if isinstance(kwargs.get(key), list):
                kwargs[key] = list(kwargs[key])
        arguments = self._link.handlers.reask_handler(kwargs=kwargs, response=last, exception=error)
        self._sent = arguments
        self._next = replace(self._next, arguments=arguments, turns=turns)

    def go_on(self, text: str, reader: Reader) -> None:
        """Make the next request ask for the rest of an answer that was cut off: as plain text, in any mode."""
        self._add_usage(reader, reader.completion())
        wire = self._request.wire
        schema = None if wire is None else wire.model_json_schema()
        self._next = replace(self._next, arguments=None, rest=_turn(text, request_for_rest(text, schema)))
        self._sent = None

    def recover(self, error: Exception) -> Recovery | None:  # noqa: ARG002
        """Return None: a single model has nothing to fall back to."""
        return None

    def _begin_anew(self, link: Link, request: Request) -> None:
        """Let another client make the next attempt, without any state of earlier ones."""
        self._link, self._request = link, request
        self._lookup = None  # its key is that of a request to the model before
        self._sent = None
        self._next = Next()
        self.failed_attempts = list(self.failed_attempts)  # an error may hold the list as it is now

    def _check_budget(self, last: object) -> None:
        budget = self._request.token_budget
        if budget is None:
            return
        known = self._usage_known and self.usage_total is not None
        used = total_tokens(self.usage_total) if known else None
        details: dict[str, Any] = {
            "budget": budget,
            "last_completion": last,
            "messages": self.messages,
            "n_attempts": len(self.failed_attempts),
            "total_usage": copied(self.usage_total),
            "create_kwargs": self.create_kwargs,
            "failed_attempts": self.failed_attempts,
        }
        if used is None:
            raise TokenUsageUnavailableError(
                "the token budget cannot be enforced: the provider sent no usage on the stream", **details
            )
        if used >= budget:
            raise TokenBudgetExceeded(f"the token budget of {budget} is used up: {used} tokens so far", **details)


def _turn(answer: str, said: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the model's answer and the reply to it as messages."""
    return {"role": "assistant", "content": answer}, {"role": "user", "content": said}
