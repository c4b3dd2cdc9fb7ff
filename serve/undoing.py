"""Undo as the person sees it: what goes and how long it takes, the bar, and what is left."""

import time
from collections import Counter
from typing import Any

from serve.output import Output
from serve.session import Session
from train.flat_tree import tree_digest
from train.replay import Watch
from train.undo import UndoPlan


def plan_named(session: Session, lessons: int | None, event: int | None) -> UndoPlan:
    """The undo that the flags name; the last lesson when they name nothing."""
    if lessons is not None and event is not None:
        raise ValueError(
            f"undo takes back lessons or one event, got --lessons={lessons} and --event={event}; "
            "leave one out."
        )
    return session.plan_undo(
        lessons=1 if lessons is None and event is None else lessons, event=event
    )


def plan_typed(session: Session, words: str) -> UndoPlan:
    """The undo that `/undo` with these words means: nothing, a number, or event and a number."""
    kind, _, number = words.removesuffix("yes").strip().rpartition(" ")
    if not (number or "1").isdigit() or kind not in ("", "event"):
        raise ValueError(
            f"/undo wants a number of lessons or an event, got {words!r}; try /undo 2."
        )
    if kind:
        return session.plan_undo(event=int(number))
    return session.plan_undo(lessons=int(number or "1"))


def take_back(
    session: Session, output: Output, plan: UndoPlan, agreed: bool, how: str = "add --yes"
) -> None:
    """The undo is done and shown, unless more would go than was named and nobody agreed to that.

    Raises:
      ValueError: more would go; says what, and `how` to agree.
    """
    require_agreed(plan, agreed, how)
    output.say(undo_sentence(plan))
    record = undo_record(session, plan, output.replaying)
    output.close()
    output.undo(record)


def require_agreed(plan: UndoPlan, agreed: bool, how: str) -> None:
    """Nothing; refuses an undo that takes back more than was named.

    Raises:
      ValueError: says what, and `how` to agree.
    """
    if plan.also and not agreed:
        raise ValueError(
            f"event {plan.asked[0]} is what later ones stand on: {_summary(plan)} would be taken "
            f"back with it; {how} to agree."
        )


def undo_sentence(plan: UndoPlan) -> str:
    """What an undo is about to do, and how long it takes."""
    return (
        f"Taking back {_events(plan.asked)}; {plan.replayed} events are replayed, about "
        f"{plan.seconds:.0f} s."
    )


def undo_record(session: Session, plan: UndoPlan, watch: Watch = lambda _: None) -> dict[str, Any]:
    """The undo is done; the object of it."""
    started = time.monotonic()
    event = session.undo(plan, watch)
    return {
        "event": "undo",
        "id": event.id,
        "undone": list(plan.events),
        "replayed": plan.replayed,
        "expected_seconds": plan.seconds,
        "seconds": time.monotonic() - started,
        "lessons": session.state.lessons,
        "steps": session.state.steps,
        "sha256": tree_digest(session.state.train),
    }


def _summary(plan: UndoPlan) -> str:
    kinds = Counter(event.kind for event in plan.also)
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))


def _events(ids: tuple[int, ...]) -> str:
    return f"event{'s' * (len(ids) > 1)} {', '.join(map(str, ids))}"
