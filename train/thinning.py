"""Which checkpoints to keep, and what a replay costs: pure functions of recorded seconds."""

from collections.abc import Iterable, Sequence

from train.records import Event

TRAINING = frozenset({"read", "lesson", "sleep", "rest", "grow"})
# Always kept, so that one damaged checkpoint costs little.
NEWEST = 2
# A replay from a kept checkpoint is at most about so many times as long as from the best one.
RATIO = 8.0
# Younger ones than this are as good as new.
YOUNG_SECONDS = 10.0
# The disk never holds more.
MOST = 12


def cost(event: Event) -> float:
    """Seconds that applying the event again takes, about; what it took when it was recorded."""
    if event.kind not in TRAINING:
        return 0.0
    seconds = event.data.get("seconds", 1.0)
    # A lesson's rehearsals take about as long as itself, each.
    times = 1 + event.data.get("recipe", {}).get("rehearsals", 0) * (event.kind == "lesson")
    return times * seconds if isinstance(seconds, int | float) and seconds >= 0 else 1.0


def ages(checkpoints: Sequence[int], events: Iterable[Event]) -> dict[int, float]:
    """{checkpoint: seconds of training after it}, from the effective training events."""
    costs = [(event.id, cost(event)) for event in events]
    return {at: sum(seconds for id, seconds in costs if id > at) for at in checkpoints}


def thinned(age: dict[int, float]) -> list[int]:
    """The checkpoints to keep, ascending: the newest, and older ones at growing distances.

    Of three neighbours the middle one goes when the oldest is at most RATIO times as old as the
    youngest. What is kept once is spaced well for ever, so the number grows with the logarithm of
    the life's length, and is at most MOST.

    Args:
      age: {checkpoint: seconds}, growing with the distance from the newest.
    """
    kept = sorted(age)

    def spread(n: int) -> float:
        return (age[kept[n - 1]] + YOUNG_SECONDS) / (age[kept[n + 1]] + YOUNG_SECONDS)

    while inner := range(1, len(kept) - NEWEST):
        closest = min(inner, key=spread)
        if spread(closest) > RATIO and len(kept) <= MOST:
            break
        del kept[closest]
    return kept
