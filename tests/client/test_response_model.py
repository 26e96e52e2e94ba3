"""What becomes of a response model on its way to the model and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from instructor_stream_ext.client.response_model import UnsupportedResponseModel, item_shape, shape_of
from instructor_stream_ext.core.errors import StreamMisuse


class City(BaseModel):
    name: str


@dataclass
class Place:
    name: str


def test_a_model_is_sent_as_it_is() -> None:
    shape = shape_of(City)
    assert shape.wire.model_json_schema()["properties"].keys() == {"name"}
    assert shape.plan.envelope is None
    assert shape.adapter.validate_json('{"name": "Oslo"}') == City(name="Oslo")
    assert shape.item is None


@pytest.mark.parametrize("model", [list[City], str, int, City | Place], ids=str)
def test_what_is_no_object_gets_one_around_it(model: Any) -> None:
    assert shape_of(model).wire.model_json_schema()["type"] == "object"


def test_a_dataclass_is_validated_as_one() -> None:
    assert shape_of(Place).adapter.validate_json('{"name": "Oslo"}') == Place(name="Oslo")


@pytest.mark.parametrize("item", [City, Iterable[City]])
def test_items_are_validated_one_by_one(item: Any) -> None:
    shape = item_shape(item)
    assert shape.item is not None
    assert shape.item.validate_json('{"name": "Oslo"}') == City(name="Oslo")
    assert shape.plan.envelope is not None
    assert shape.plan.envelope.is_list


def test_a_shape_is_worked_out_once() -> None:
    assert shape_of(City) is shape_of(City)


@pytest.mark.parametrize("model", [7, "City"], ids=str)
def test_what_cannot_be_one_names_itself(model: Any) -> None:
    with pytest.raises(UnsupportedResponseModel, match=r"cannot be a response model") as caught:
        shape_of(model)
    assert isinstance(caught.value, StreamMisuse)
    assert isinstance(caught.value, TypeError)
