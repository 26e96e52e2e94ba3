"""What the answers on the project's own cassettes are to be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

__all__ = ["Card", "Catalogue", "Part"]


class Card(BaseModel):
    """A visiting card: one small object."""

    name: str
    city: str
    languages: list[str]
    since: Annotated[int, Field(ge=1900)]
    active: bool


class Part(BaseModel):
    """One entry of a catalogue."""

    number: Annotated[int, Field(ge=1)]
    title: str
    kind: Literal["bolt", "gear", "spring"]
    note: str
    grams: float


class Catalogue(BaseModel):
    """A long list."""

    name: str
    parts: list[Part]
