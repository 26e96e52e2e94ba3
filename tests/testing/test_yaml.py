"""testing/yaml.py: cassettes that lose no byte, are read with pleasure, and are played by plain vcrpy."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from vcr.serializers import yamlserializer

from instructor_stream_ext.testing import yaml as ours

SSE = 'event: message\ndata: {"text": "Grüße aus 東京 🎉"}\n\n: keep-alive\n\ndata: [DONE]\n\n'


def cassette(body: Any, **headers: str) -> dict[str, Any]:
    request = {"method": "POST", "uri": "http://127.0.0.1/x", "body": '{"a":1}', "headers": {"b": ["2"], "A": ["1"]}}
    response = {
        "headers": {name: [value] for name, value in headers.items()},
        "body": {"string": body},
        "status": {"message": "OK", "code": 200},
    }
    return {"version": 1, "interactions": [{"request": request, "response": response}]}


def body_in(content: Any) -> Any:
    return content["interactions"][0]["response"]["body"]["string"]


def as_bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def test_server_sent_events_stand_as_they_came() -> None:
    text = ours.serialize(cassette(SSE))
    assert "string: |+\n" in text
    for line in SSE.splitlines():
        assert f"        {line}\n" in text or not line
    assert body_in(ours.deserialize(text)) == SSE


def test_crlf_is_a_block_too_and_comes_back() -> None:
    body = SSE.replace("\n", "\r\n")
    text = ours.serialize(cassette(body))
    assert "string: |+\n" in text
    assert "\\r" not in text
    assert body_in(ours.deserialize(text)) == body


def test_plain_vcrpy_plays_the_events_of_a_crlf_cassette_with_plain_line_ends() -> None:
    text = ours.serialize(cassette(SSE.replace("\n", "\r\n")))
    assert body_in(yamlserializer.deserialize(text)) == SSE


@pytest.mark.parametrize(
    "body",
    [
        "",
        "\n",
        "x",
        "x\n",
        "\n\nabc\n",
        "  lead\nx\n",
        " \n x\n\n\n",
        "\t\nx\n",
        "data: x \n\n",
        "one\rtwo\n",
        "a\r\nb\n",
        "\r\n",
        "\u2028\na\n\n",
        "a\x85b\n",
        "\ufeffdata: x\n\n",
        "a\x00b\nc\n",
        "#c\n- x: y\n---\n...\n",
        "\ue0000\ue000",
        "\ue0000\ue000\nx\n",
        b"\xff\xfe\n\n",
    ],
)
def test_odd_bodies_come_back(body: str | bytes) -> None:
    text = ours.serialize(cassette(body))
    assert as_bytes(body_in(ours.deserialize(text))) == as_bytes(body)
    played = as_bytes(body) if "newline: crlf" not in text else as_bytes(body).replace(b"\r\n", b"\n")
    assert as_bytes(body_in(yamlserializer.deserialize(text))) == played


@given(st.text(st.sampled_from("\n\r\t aé:#-\"'|>\u2028\x85\x07🎉\ufeff\ue000"), max_size=14) | st.binary(max_size=20))
def test_any_body_comes_back(body: str | bytes) -> None:
    assert as_bytes(body_in(ours.deserialize(ours.serialize(cassette(body))))) == as_bytes(body)


def test_binary_event_streams_are_base64() -> None:
    body = b"\x00\x00\x00\x10\x00\x00\x00\x00\x01\x02\x03\x04plain\x00"
    text = ours.serialize(cassette(body, **{"content-type": "application/vnd.amazon.eventstream"}))
    assert "!!binary |" in text
    assert base64.b64encode(body).decode() in text
    assert body_in(yaml.safe_load(text)) == body


def test_the_order_is_stable_and_does_not_depend_on_the_order_of_headers() -> None:
    one, two = cassette(SSE, b="2", a="1"), cassette(SSE, a="1", b="2")
    assert ours.serialize(one) == ours.serialize(two)
    keys = [line.strip().partition(":")[0] for line in ours.serialize(one).splitlines() if line.startswith("    ")]
    assert keys[:3] == ["method", "uri", "headers"]
    again = ours.serialize(ours.deserialize(ours.serialize(one)))
    assert again == ours.serialize(one)


def test_what_occurs_twice_is_written_twice() -> None:
    content = cassette(SSE, a="1")
    content["interactions"] *= 2
    text = ours.serialize(content)
    assert "&id" not in text
    assert text.count("keep-alive") == 2


def test_cassettes_of_vcrpy_are_read() -> None:
    text = yamlserializer.serialize(cassette(SSE.replace("\n", "\r\n")))
    assert body_in(ours.deserialize(text)) == SSE.replace("\n", "\r\n")
