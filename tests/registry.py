"""What instructor knows: each provider with each of its modes."""

from __future__ import annotations

import functools

from instructor.v2.core.mode import Mode
from instructor.v2.core.providers import Provider
from instructor.v2.core.registry import mode_registry

__all__ = ["combinations"]


@functools.cache
def combinations() -> frozenset[tuple[Provider, Mode]]:
    """Every (provider, mode), with those that a provider's handlers add only when they are loaded."""
    for provider, mode in mode_registry.list_modes():
        mode_registry.get_handlers(provider, mode)
    return frozenset(mode_registry.list_modes())
