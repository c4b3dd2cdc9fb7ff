import json

import numpy as np

from train.schedule import (
    KNOWN_NATS,
    MAX_INTERVAL,
    Exchange,
    Memory,
    after_reading,
    choose,
    read_memory,
    rehearsed,
    taught,
    write_memory,
)

CAT = Exchange("What is my cat called?", "Pickle.")


def draws():
    return np.random.Generator(np.random.Philox(key=0))


def some_items(count):
    items = ()
    for number in range(count):
        items, _ = taught(
            items, number + 2, Exchange(f"Question {number}?", "Yes."), number, pick=False
        )
    return items


def test_the_newer_of_two_answers_wins():
    items, contradicts = taught((), 2, CAT, 0, pick=False)
    assert contradicts is None
    items, contradicts = taught(
        items, 4, Exchange("what is MY cat called", "Waffles."), 1, pick=False
    )
    assert contradicts == "Pickle."
    assert [(item.event, item.said.answer) for item in items] == [(4, "Waffles.")]


def test_the_same_lesson_again_is_one_more_exposure_of_one_item():
    items = ()
    for number in range(100):
        items, contradicts = taught(items, number + 2, CAT, number, pick=False)
        assert contradicts is None
    assert [(item.event, item.exposures) for item in items] == [(101, 100)]


def test_half_of_the_places_are_for_the_least_exposed():
    items = some_items(6)
    items = rehearsed(items, dict.fromkeys((0, 1, 2, 4), 3.0), 6)
    assert set(choose(items, 7, 4, draws())[:2]) == {3, 5}


def test_new_lessons_do_not_starve_the_old_ones():
    items, now, last = (), 0, {}
    for now in range(300):
        items, _ = taught(items, now + 2, Exchange(f"Question {now}?", "Yes."), now, pick=False)
        for _ in range(3):
            for index in choose(items, now + 1, 20, draws()):
                items = rehearsed(items, {index: 3.0}, now + 1)
                last[index] = now
    assert min(last.values()) > 300 - 20


def test_all_that_is_known_comes_back_early_and_no_pick_before_its_time():
    items = tuple(item._replace(exposures=99, due=9 + item.event) for item in some_items(30))
    items = (items[0]._replace(pick=True), *items[1:])
    numbers = draws()
    for early, count in ((True, 10), (False, 20)):
        chosen = [choose(items, 5, count, numbers, early=early) for _ in range(20)]
        assert {len(each) for each in chosen} == {10}
        assert set().union(*chosen) == set(range(1, 30))


def test_a_known_lesson_comes_back_at_growing_distances_and_a_lost_one_at_once():
    items = some_items(1)
    now, distances = 1, []
    for _ in range(8):
        items = rehearsed(items, {0: KNOWN_NATS / 2}, now)
        distances.append(items[0].due - now)
        now = items[0].due
    assert distances == [3, 7, 15, 31, 63, 63, 63, 63]
    assert max(distances) == MAX_INTERVAL
    lost = rehearsed(items, {0: 2 * KNOWN_NATS}, now)
    assert lost[0].due == now


def test_items_that_are_not_due_wait_for_those_that_are():
    items = rehearsed(some_items(4), {0: 0.0, 1: 0.0}, 4)
    assert set(choose(items, 5, 2, draws())) == {2, 3}
    assert set(choose(items, 5, 3, draws())) == {2, 3}
    assert set(choose(items, 5, 6, draws())) == {0, 1, 2, 3}
    assert set(choose(items, 5, 4, draws(), early=True)) == {0, 1, 2, 3}
    assert rehearsed(items, {0: 0.0}, 5)[0].due == items[0].due


def test_a_picked_reply_that_is_not_due_stays_away():
    items, _ = taught((), 2, CAT, 0, pick=True)
    items = rehearsed(items, {0: 0.0}, 1)
    assert choose(items, 2, 10, draws()) == []
    assert choose(items, items[0].due, 10, draws()) == [0]


def test_a_picked_reply_is_known_long_before_it_is_known_by_heart():
    typed, _ = taught((), 2, CAT, 0, pick=False)
    picked, _ = taught((), 2, CAT, 0, pick=True)
    assert rehearsed(typed, {0: 0.4}, 1)[0].due == 1
    assert rehearsed(picked, {0: 0.4}, 1)[0].due == 4


def test_reading_lets_the_own_replies_be_taken_anew():
    memory = Memory(some_items(1), (CAT,), (CAT, CAT), ("a",))
    assert after_reading(memory, ["b", "a"]) == memory._replace(books=("a", "b"), stale=True)
    assert not after_reading(Memory(some_items(1)), ["a"]).stale


def test_a_memory_survives_json():
    items, _ = taught(some_items(3), 9, CAT, 3, pick=True)
    items = rehearsed(items, {1: 0.0}, 5)
    memory = Memory(items, (CAT,), (CAT, CAT), ("a", "b"), stale=True)
    words = {
        item.event: {
            "say": item.said.say,
            "answer": item.said.answer,
            "kind": "pick" if item.pick else "teach",
        }
        for item in items
    }
    written = json.loads(json.dumps(write_memory(memory)))
    assert read_memory(written, words.__getitem__) == memory
