"""The interface of all readers of provider chunks, and the state that they share.

A reader takes one provider's stream objects ("chunks") one at a time and says what each carried. It is sans-I/O: it
neither fetches chunks nor keeps them, so the same reader serves sync and async streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from instructor_stream_ext.core.events import EndKind, EndSignal
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.calls import Calls, Written
from instructor_stream_ext.providers.family import end_of
from instructor_stream_ext.providers.parallel_calls import ParallelCalls, Piece
from instructor_stream_ext.providers.usage import cached_tokens, tokens

__all__ = ["Reader", "Reading", "Switch"]


@dataclass(frozen=True, slots=True)
class Switch:
    """Another answer began in the middle of the stream.

    Args:
        from_model: The model whose text came so far, None if it was never named.
        to_model: The model whose text comes now, None if it is not named.
    """

    from_model: str | None
    to_model: str | None


class Reader(Protocol):
    """Reads one attempt's chunks.

    Attributes:
        aside: New prose beside the document, refusals included; the caller takes it out (it is answer text, but no
            document).
        alive: Whether the chunk read last carried text or reasoning of the model.
        end: How the provider said the answer ended, None until it did.
        refusal: The refusal so far.
        error: The message of an error that came inside a chunk, None if none did.
        model: The model that answers, as far as the provider named it.
        response_id: The provider's id of the answer.
        switched: Set when the chunk read last began another answer after text of this one had arrived; the text it
            returned belongs to the new one.
        reasoned: Whether any reasoning came.
        tells_reasoning: Whether somebody wants it piece by piece.
        thoughts: If so, the new pieces; the caller takes them out.
    """

    aside: list[str]
    alive: bool
    end: EndSignal | None
    refusal: str
    error: str | None
    model: str | None
    response_id: str | None
    switched: Switch | None
    reasoned: bool
    tells_reasoning: bool
    thoughts: list[str]

    @property
    def reasoning(self) -> str:
        """All reasoning so far that came outside the text."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The tokens that the provider counted; None if it has sent no count."""
        ...

    @property
    def cached(self) -> tuple[int, int]:
        """Input tokens read from the provider's cache, and written to it."""
        ...

    @property
    def chars(self) -> int:
        """Characters that the model has written: text, reasoning, tool calls and refusals."""
        ...

    def written(self) -> str:
        """All that the model has written."""
        ...

    def read(self, chunk: object) -> str:
        """Return the new text of the document in this chunk, "" if there is none."""
        ...

    def finish(self) -> str:
        """Return document text that is known only at the end of the stream, "" if there is none."""
        ...

    @property
    def strays(self) -> list[str]:
        """Return the names of called tools that the request does not have."""
        ...

    @property
    def has_called(self) -> bool:
        """True if the call that is to be the document has begun, with or without arguments."""
        ...

    def pieces(self) -> Sequence[Piece]:
        """Return, once, what came of the tool calls if each is a document; nothing otherwise."""
        ...

    def disbelieve_end(self) -> None:
        """Forget the end signal and the token counts: the SDK made them up when the stream just stopped."""
        ...

    def completion(self) -> Any:
        """Return the answer so far, in the type that the provider's SDK returns without streaming."""
        ...


class Reading:
    """The state that all readers share.

    Args:
        tools: Names of the tools in the request; None when the document is plain text.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        self._tools = tools
        self.aside: list[str] = []
        self.alive = False
        self.end: EndSignal | None = None
        self.refusal = ""
        self.error: str | None = None
        self.model: str | None = None
        self.response_id: str | None = None
        self.switched: Switch | None = None
        self.reasoned = False
        self.tells_reasoning = False
        self.thoughts: list[str] = []
        self._began = False
        self._usage: Any = None
        self._content = Written()
        self._thought = Written()
        self._calls: Calls = Calls(tools)

    def read_all_calls(self) -> None:
        """Make each tool call a document of its own. Call it before the first chunk."""
        self._calls = ParallelCalls(self._tools)

    def pieces(self) -> Sequence[Piece]:
        """Return, once, what came of the tool calls if each is a document; nothing otherwise."""
        calls = self._calls
        if not isinstance(calls, ParallelCalls):
            return ()
        pieces, calls.pieces = calls.pieces, []
        return pieces

    @property
    def strays(self) -> list[str]:
        """Return the names of called tools that the request does not have."""
        return self._calls.strays

    @property
    def usage(self) -> Usage | None:
        """The tokens that the provider counted; None if it has sent no count."""
        return None if self._usage is None else tokens(self._usage)

    @property
    def cached(self) -> tuple[int, int]:
        """Input tokens read from the provider's cache, and written to it."""
        return (0, 0) if self._usage is None else cached_tokens(self._usage)

    @property
    def chars(self) -> int:
        """Characters that the model has written: text, reasoning, tool calls and refusals."""
        called = sum(call.size for call in self._calls.all)
        return self._content.tell() + self._thought.tell() + called + len(self.refusal)

    def written(self) -> str:
        """All that the model has written."""
        called = "".join(call.args for call in self._calls.all)
        return self._thought.getvalue() + self._content.getvalue() + called + self.refusal

    @property
    def reasoning(self) -> str:
        """All reasoning so far that came outside the text."""
        return self._thought.getvalue()

    @property
    def has_ended(self) -> bool:
        """True if the provider said that the answer has ended, and ended well."""
        return self.end is not None and self.end.kind in (EndKind.COMPLETE, EndKind.UNKNOWN)

    @property
    def has_called(self) -> bool:
        """True if the call that is to be the document has begun, with or without arguments."""
        return self._calls.document is not None or any(call.tool for call in self._calls.all)

    def finish(self) -> str:
        """Return document text that is known only at the end of the stream; see `Calls.settle`."""
        is_whole = self.has_ended
        text = self._calls.settle(is_whole=is_whole)
        if text:
            self.alive = self._began = True
        return text

    def disbelieve_end(self) -> None:
        """Forget the end signal and the token counts: the SDK made them up when the stream just stopped."""
        self.end = None
        self._usage = None

    def _identify(self, response_id: Any, model: Any) -> None:
        """Note who answers, as a chunk reports it; reports before the first text were preliminary.

        One HTTP answer is one answer: Groq's compound models, SGLang, LMDeploy and Foundry Local give each chunk
        another id, and others change the model's name after the first.

        Args:
            response_id: The chunk's id, or something empty.
            model: The chunk's model, or something empty.
        """
        if not self._began:
            self.response_id, self.model = response_id or self.response_id, model or self.model

    def _start_over(self, response_id: object, model: object) -> None:
        """Take the event that begins an answer. After text, another id or model means another answer.

        Args:
            response_id: The answer's id, or something empty.
            model: The answer's model, or something empty.
        """
        is_other = (self.response_id and response_id and response_id != self.response_id) or (
            self.model and model and model != self.model
        )
        if is_other and self._began:
            self._switch(model)
        self._identify(response_id, model)

    def _switch(self, model: Any) -> None:
        """Start another answer.

        Args:
            model: Its model, or something empty.
        """
        self.switched = Switch(self.model, model or self.model)
        self._forget()

    def _forget(self) -> None:
        """Drop everything about the previous answer."""
        self.end = None
        self.refusal = ""
        self.error = None
        self._began = False
        self._content = Written()
        self._thought = Written()
        self._calls = type(self._calls)(self._tools)

    def _text(self, text: str) -> str:
        """Take text of the answer's prose channel: the document if there are no tools, an aside otherwise."""
        self.alive = self._began = True
        self._content.write(text)
        if self._tools is None:
            return text
        self.aside.append(text)
        return ""

    def _reason(self, text: str) -> None:
        """Take reasoning. It shows that the model is alive, and is never text of the answer."""
        self.alive = self.reasoned = True
        self._thought.write(text)
        if self.tells_reasoning and text:
            self.thoughts.append(text)

    def _refuse(self, text: str) -> None:
        """Take a piece of a refusal: text of the answer, but not of the document."""
        self.alive = True
        self.refusal += text
        self.aside.append(text)

    def _fail(self, word: str, message: str) -> None:
        """Note an error that came inside a chunk."""
        self.error = message or word
        self.end = EndSignal(EndKind.FAILED, word, self.error)

    def _close(self, word: object, message: str = "") -> None:
        """Note the provider's end signal. After a refusal or an error it adds nothing."""
        if self.error is not None:
            return
        end = end_of(word, message)
        if self.refusal and end.kind in (EndKind.COMPLETE, EndKind.UNKNOWN):
            end = EndSignal(EndKind.REFUSED, end.word, self.refusal)
        self.end = end
