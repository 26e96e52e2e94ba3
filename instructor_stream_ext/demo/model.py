"""The answer that the demo's cassette holds: a short trip, planned day by day."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

__all__ = ["PROMPT", "Day", "Stop", "Trip"]

PROMPT = "Plan three unhurried days in Lisbon for two friends on a budget of 150 euros."


class Stop(BaseModel):
    """One place on the way."""

    time: Annotated[str, Field(pattern=r"^\d\d:\d\d$")]
    place: str
    kind: Literal["food", "museum", "music", "view", "walk"]
    note: str
    euros: Annotated[int, Field(ge=0)]


class Day(BaseModel):
    """One day of the trip."""

    number: int
    theme: str
    stops: list[Stop]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [stop.time for stop in self.stops]
        if times != sorted(times):
            raise ValueError(f"the stops of day {self.number} are out of order")
        return self


class Trip(BaseModel):
    """The whole trip. Its numbers have to add up, which can be checked only at the end."""

    title: str
    city: str
    budget: int
    days: list[Day]
    packing: list[str]
    advice: str

    @property
    def euros(self) -> int:
        """The cost of all stops together."""
        return sum(stop.euros for day in self.days for stop in day.stops)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if [day.number for day in self.days] != list(range(1, len(self.days) + 1)):
            raise ValueError("the days are not numbered from 1 without a gap")
        if self.euros > self.budget:
            raise ValueError(f"the stops cost {self.euros} euros, more than the budget of {self.budget}")
        return self
