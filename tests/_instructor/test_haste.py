"""_instructor/haste.py: a request's own timeout, shortened for its headers and given back for its body."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from instructor_stream_ext._instructor.haste import HASTE, Haste, genai_hastened, hastened


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Haste:
    """Two seconds, on a clock that stands still."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    return Haste(2.0)


def test_what_is_left_is_never_nothing(hasty: Haste, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hasty.left == 2.0
    monkeypatch.setattr(time, "monotonic", lambda: 200.0)
    assert hasty.left == 0.001  # some take 0 for no bound at all


@pytest.mark.parametrize(("given", "shortened"), [(None, 2.0), (600, 2.0), (0.5, 0.5)])
def test_a_number_of_seconds(hasty: Haste, given: float | None, shortened: float) -> None:
    assert hasty.shorten(given) == shortened


def test_each_phase_of_a_timeout(hasty: Haste) -> None:
    given = httpx.Timeout(connect=1.0, read=600.0, write=None, pool=5.0)
    assert hasty.shorten(given) == httpx.Timeout(connect=1.0, read=2.0, write=2.0, pool=2.0)


def test_the_callers_own_holds_for_the_body(hasty: Haste) -> None:
    shortened = hasty.shorten(httpx.Timeout(600.0, connect=1.0))
    request = httpx.Request("POST", "http://127.0.0.1", extensions={"timeout": shortened.as_dict()})
    hasty.lift([httpx.Response(200, request=request), object()])
    assert request.extensions["timeout"]["read"] == 600.0


class Client:
    """What is seen of google-genai's client."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.models = Models(Api(self))
        self.closed = False


class Api:
    def __init__(self, client: Client) -> None:
        self._httpx_client: Any = Sender(client)
        self.client = client

    def __del__(self) -> None:
        self.client.closed = True


class Sender:
    timeout = 5

    def __init__(self, client: Client) -> None:
        self._client = client

    def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        self._client.sent.append(dict(request.extensions["timeout"]))
        return httpx.Response(200, request=request)


class Models:
    def __init__(self, api: Any) -> None:
        self._api_client = api

    def generate_content_stream(self, *, model: str) -> Any:
        assert self._api_client._httpx_client.timeout == 5
        request = httpx.Request("POST", f"http://127.0.0.1/{model}", extensions={"timeout": {"read": None}})
        return self._api_client._httpx_client.send(request)

    def generate_content(self, *, model: str) -> str:
        return f"whole of {model}"


def test_genais_request_is_shortened_where_it_is_sent(hasty: Haste) -> None:
    client = Client()
    token = HASTE.set(hasty)
    try:
        response = genai_hastened(client)(model="m")
    finally:
        HASTE.reset(token)
    assert client.sent == [{"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 2.0}]
    assert response.request.extensions["timeout"]["read"] is None
    assert isinstance(client.models._api_client._httpx_client, Sender)
    assert not client.closed  # by the copy, which only borrows


def test_genais_whole_answers_are_left_alone() -> None:
    assert genai_hastened(Client())(model="m", stream=False) == "whole of m"


def test_a_functions_timeout_is_shortened_only_in_haste(hasty: Haste) -> None:
    asked: list[Any] = []
    function = hastened(lambda **kwargs: asked.append(kwargs.get("timeout")), 600.0)
    function()
    token = HASTE.set(hasty)
    try:
        function()
        function(timeout=0.25)
        function(timeout=object())  # no timeout that anybody knows, such as an SDK's mark for none given
    finally:
        HASTE.reset(token)
    assert asked == [None, 2.0, 0.25, 2.0]
