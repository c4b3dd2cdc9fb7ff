"""Checkpoints are few, and any event is near one."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from train.effective import taken_back
from train.records import Event
from train.thinning import MOST, NEWEST, RATIO, YOUNG_SECONDS, ages, cost, thinned


def live(gaps: list[float]) -> dict[int, float]:
    """Ages of what is kept when a checkpoint is made after each of these stretches."""
    kept: dict[int, float] = {}
    for number, gap in enumerate(gaps):
        kept = {at: age + gap for at, age in kept.items()} | {number: 0.0}
        kept = {at: kept[at] for at in thinned(kept)}
    return kept


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.floats(0, 5000), min_size=1, max_size=120))
def test_few_are_kept_and_the_newest_always(gaps):
    kept = live(gaps)
    assert len(kept) <= MOST
    newest = range(max(0, len(gaps) - NEWEST), len(gaps))
    assert set(newest) <= set(kept)
    assert 0 in kept, "the oldest spares replaying from birth"


def test_a_steady_life_of_a_day_keeps_growing_distances():
    kept = live([20.0] * 3_000)
    aged = sorted(kept.values())
    assert 3 <= len(kept) <= MOST
    older = [age + YOUNG_SECONDS for age in aged]
    # From one kept checkpoint to the next but one the age grows by more than RATIO.
    assert all(c > RATIO * a for a, c in zip(older[1:], older[3:], strict=False))
    assert all(b <= 2 * RATIO * a for a, b in itertools.pairwise(older))


def test_the_age_is_what_would_have_to_be_replayed():
    events = [
        Event(2, "", "read", {"seconds": 5.0}),
        Event(3, "", "replies", {"seconds": 9.0}),
        Event(4, "", "lesson", {"seconds": 0.5}),
        Event(5, "", "lesson", {}),
    ]
    assert [cost(event) for event in events] == [5.0, 0.0, 0.5, 1.0]
    assert ages([1, 2, 4, 5], events) == {1: 6.5, 2: 1.5, 4: 1.0, 5: 0.0}


def test_an_undone_undo_does_nothing():
    assert taken_back([(5, [2, 3])]) == {2, 3}
    assert taken_back([(5, [2, 3]), (6, [5])]) == {5}
    assert taken_back([(5, [2, 3]), (6, [5]), (7, [6])]) == {6, 2, 3}
    assert taken_back([(5, [2]), (6, [3]), (7, [5])]) == {5, 3}
