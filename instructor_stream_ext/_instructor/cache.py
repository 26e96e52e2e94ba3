"""instructor's answer cache: read before a request, filled after the gate."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from typing import Any, cast

from instructor.cache import BaseCache, load_cached_response, store_cached_response
from instructor.v2.core.hooks import Hooks as InstructorHooks
from instructor.v2.dsl.iterable import IterableBase
from instructor.v2.dsl.simple_type import AdapterBase
from pydantic import BaseModel, RootModel

from instructor_stream_ext._instructor.request import Request

__all__ = ["Lookup"]


class Lookup:
    """One request's place in the caller's cache.

    Args:
        create: instructor's own `create`, which works out the key.
        request: The call.

    Attributes:
        completion: The provider's answer, in whatever form instructor restores it; None until a document was found.
    """

    def __init__(self, create: Callable[..., Any], request: Request) -> None:
        self._request = request
        self._entry = _CacheEntry(cast("BaseCache", request.caching["cache"]))
        self.completion: Any = None
        hooks = InstructorHooks()
        hooks.on("completion:kwargs", _send_nothing)
        self._look_up = functools.partial(
            create,
            response_model=request.wire,
            messages=[dict(each) if isinstance(each, dict) else each for each in request.messages or ()],
            max_retries=0,
            context=request.context,
            strict=request.strict,
            hooks=hooks,
            **{**request.kwargs, **request.caching, "cache": self._entry},
        )

    @classmethod
    def made(cls, create: Callable[..., Any], request: Request) -> Lookup | None:
        """Look up a request; None where nothing is cached.

        instructor keeps models only: of a list or a scalar it would read its own wrapper back as the answer.
        """
        wire = request.wire
        is_cached = isinstance(request.caching.get("cache"), BaseCache)
        if not (is_cached and isinstance(wire, type)) or issubclass(wire, AdapterBase | IterableBase):
            return None
        return cls(create, request)

    def document(self) -> str | None:
        """Return the document that the cache holds."""
        with contextlib.suppress(_NothingSent):
            self._look_up()
        return self._found()

    async def adocument(self) -> str | None:
        """Await the document that the cache holds."""
        with contextlib.suppress(_NothingSent):
            await self._look_up()
        return self._found()

    def _found(self) -> str | None:
        document = self._entry.document()
        if document is not None:
            self.completion = self._entry.completion()
        return document

    def keep(self, result: object, completion: object) -> None:
        """Fill the cache with what plain instructor would have put there."""
        entry = self._entry
        if entry.key is None:
            return
        made: Any = result
        if not isinstance(result, BaseModel):  # a dataclass, which travels as a root model
            made = cast("Any", self._request.wire).model_construct(result)
        ttl = self._request.caching.get("cache_ttl")
        kept = cast("Any", _Kept(made, completion))
        store_cached_response(entry.cache, entry.key, kept, ttl if isinstance(ttl, int) else None)


class _NothingSent(BaseException):
    """Raised when instructor is about to send a request whose cache key is all that was wanted."""


def _send_nothing(*_: object, **__: object) -> None:
    raise _NothingSent


class _CacheEntry(BaseCache):
    """Stands in for the caller's cache while instructor computes the key, and notes the key and the entry under it.

    So the key is plain instructor's, whatever goes into it; instructor is told that nothing is there, since the gate
    is what validates here.
    """

    def __init__(self, cache: BaseCache) -> None:
        self.cache = cache
        self.key: str | None = None
        self._found: Any = None

    def get(self, key: str) -> None:
        self.key, self._found = key, self.cache.get(key)

    def set(self, key: str, value: object, ttl: int | None = None) -> None:
        """Do nothing: no request is sent while this is in place."""

    def document(self) -> str | None:
        """The answer's JSON. What instructor did not write is taken for the JSON itself, as instructor does."""
        if self._found is None:
            return None
        try:
            return str(json.loads(self._found)["model"])
        except (ValueError, TypeError, LookupError):
            return self._found if isinstance(self._found, str) else None

    def completion(self) -> Any:
        """The provider's answer, in whatever form instructor restores it."""
        stored = _Stored(self._found)
        restored = load_cached_response(stored, "", RootModel[Any])
        return getattr(restored, "_raw_response", None)


class _Stored(BaseCache):
    """A cache with one value under every key."""

    def __init__(self, value: object) -> None:
        self._value = value

    def get(self, key: str) -> Any:  # noqa: ARG002
        return self._value

    def set(self, key: str, value: object, ttl: int | None = None) -> None:
        """Do nothing."""


class _Kept:
    """A final with the provider's answer, as instructor's cache expects them; the final itself is unchanged."""

    def __init__(self, model: BaseModel, completion: object) -> None:
        self.model_dump_json = model.model_dump_json
        self._raw_response = completion
