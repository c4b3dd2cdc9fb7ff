"""One line for every event of a life, as a person reads it."""

from typing import Any

from serve.lines import printable
from serve.web.books import Shelf
from train.records import Event


def event_line(event: Event, shelf: Shelf) -> str:
    """What happened, in a line; figures as they were written then."""
    data = event.data
    if event.kind == "birth":
        return f"Born with seed {data['seed']}"
    if event.kind == "replies":
        return f"Asked “{_short(data['say'])}”, {len(data['replies'])} replies"
    if event.kind == "lesson":
        did = "Picked" if data["kind"] == "pick" else "Taught"
        losses = f"loss {data['loss_before']:.2f} → {data['loss_after']:.2f}"
        return f"“{_short(data['say'])}” {did} “{_short(data['answer'])}” ({losses})"
    if event.kind == "open":
        return f"Began {_pass(data, shelf)}"
    if event.kind == "read":
        bits = data["loss_bits_per_byte"]
        return f"Read {data['windows']} windows of {_pass(data, shelf)} ({bits:.3f} b/B)"
    if event.kind == "book":
        return f"Finished {_pass(data, shelf)} in {data['seconds']:.0f} s"
    if event.kind == "sleep":
        return f"Slept: {data['updates']} updates, {data['known']} of {data['rehearsed']} known"
    if event.kind == "rest":
        return f"Rested after event {data['lesson']}: {data['updates']} updates of rehearsal"
    if event.kind == "grow":
        return "Grew, and says the same as before" if not data["noise"] else "Grew, with noise"
    if event.kind == "undo":
        named = ", ".join(map(str, data.get("asked", data["events"])))
        return f"Took back event {named}"
    return {"forget": "Forgot the conversation"}.get(event.kind, event.kind)


def _pass(data: dict[str, Any], shelf: Shelf) -> str:
    number = f", pass {data['pass'] + 1}" if data["pass"] else ""
    return f"{printable(shelf.name(data['books']))}{number}"


def _short(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= 80 else f"{line[:79]}…"
