"""A sample of all that can happen to an answer on its way; `make chaos` does all of it."""

from __future__ import annotations

import random

import pytest

from tests.chaos import Found, Subject, run, sample_of, subjects

SUBJECTS = [each for each in subjects() if len(each.body) < 40_000]
SEED = 2026
CASES = 5


@pytest.mark.parametrize("subject", SUBJECTS, ids=[each.name for each in SUBJECTS])
@pytest.mark.filterwarnings("ignore:code property is deprecated:DeprecationWarning")  # google-genai of aiohttp
def test_a_damaged_answer_ends_once_and_says_how(subject: Subject) -> None:
    found = Found()
    run(subject, sample_of(subject, count=CASES, rng=random.Random(f"{SEED} {subject.name}")), found)
    assert sum(found.outcomes.values()) == CASES
    assert found.table().endswith(f"{CASES} cases")
