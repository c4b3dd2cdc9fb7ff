"""/why as the person sees it: what a reply may come from, and the life without one event."""

import math
import re
import time
from typing import Any

from serve.lines import printable
from serve.output import Output
from serve.session import Session
from serve.turn import Turn
from train.why import Why, plan_without, why, without

_TYPED = re.compile(r"/why(?: +(\d+))?(?: +(?:--)?without[ =]+(\d+))?")


def explain(session: Session, output: Output, turn: Turn | None, typed: str) -> None:
    """What was typed, such as `/why 3 without 17`, is answered about the turn's replies.

    Raises:
      ValueError: no turn yet, no such reply or event, or other words.
    """
    found = _TYPED.fullmatch(typed)
    if found is None:
        raise ValueError(f"/why wants a reply and an event, got {typed!r}; try /why 1 without 17.")
    if turn is None:
        raise ValueError("/why tells about a reply, and there is none yet; say something first.")
    number, event = int(found[1] or 1), found[2]
    if event is None:
        explain_reply(session, output, turn, number)
    else:
        explain_without(session, output, turn, number, int(event))


def explain_reply(session: Session, output: Output, turn: Turn, number: int) -> None:
    """What is near to reply `number` in words, and which lessons pulled towards it, is shown."""
    output.done(*explanation(session, turn, number))


def explanation(session: Session, turn: Turn, number: int) -> tuple[dict[str, Any], str]:
    """What reply `number` may come from, as an object and as lines of text."""
    started = time.monotonic()
    text, ids = _reply(session, turn, number)
    say = turn.question.say
    found = why(session.life, session.state, f"{say} {text}", turn.question.prompt, ids)
    record = {
        "event": "why",
        "reply": number,
        "text": text,
        "lessons": [{"id": h.event, "say": h.say, "answer": h.answer} for h in found.lessons],
        "passages": [passage._asdict() for passage in found.passages],
        "pulls": [
            {"id": p.event, "say": p.say, "answer": p.answer, "pull": p.pull} for p in found.pulls
        ],
        "compared": found.compared,
        "seconds": time.monotonic() - started,
    }
    return record, "\n".join(_lines(found, text))


def explain_without(session: Session, output: Output, turn: Turn, number: int, event: int) -> None:
    """The probability of reply `number` with and without the event is shown; nothing is changed."""
    started = time.monotonic()
    text, ids = _reply(session, turn, number)
    plan = plan_without(session.life, event)
    output.say(
        f"Living aside without event {event}; {plan.replayed} events are replayed, about "
        f"{plan.seconds:.0f} s."
    )
    room = turn.question.room
    assert room is not None
    try:
        found = without(
            session.life, session.state, plan, turn.messages, room, ids, output.replaying
        )
    finally:
        output.close()
    record: dict[str, Any] = {
        "event": "without",
        "reply": number,
        "text": text,
        "without": list(plan.events),
        "log_prob": found.log_prob,
        "log_prob_without": found.log_prob_without,
        "replayed": plan.replayed,
        "seconds": time.monotonic() - started,
    }
    times = math.exp(min(found.log_prob - found.log_prob_without, 700))
    output.done(
        record,
        f"Reply {number} has p {math.exp(found.log_prob):.1e}, and without event {event} it would "
        f"have {math.exp(found.log_prob_without):.1e}: the event made it {times:.3g} times as "
        "likely.",
    )


def _reply(session: Session, turn: Turn, number: int) -> tuple[str, list[int]]:
    if not 1 <= number <= len(turn.replies):
        raise ValueError(
            f"/why knows the replies 1 to {len(turn.replies)}, got {number}; name one of those."
        )
    reply = turn.replies[number - 1]
    ids = [*reply.ids, *([session.life.tokenizer.turn_end] if reply.ended else [])]
    return reply.text, ids


def _lines(found: Why, text: str) -> list[str]:
    lines = [f"Near in words to {_short(text)!r}:"]
    lines += [f"  lesson {hit.event}: {_talk(hit.say, hit.answer)}" for hit in found.lessons]
    lines += [f"  {printable(near.book)}: {_short(near.text)}" for near in found.passages]
    if len(lines) == 1:
        lines.append("  nothing")
    lines.append(f"Strongest pulls of {found.compared} lessons (gradient · gradient):")
    lines += [f"  {p.pull:+9.3g}  lesson {p.event}: {_talk(p.say, p.answer)}" for p in found.pulls]
    if not found.pulls:
        lines.append("  none yet")
    return lines


def _talk(say: str, answer: str) -> str:
    return f"{_short(say)} → {_short(answer)}"


def _short(text: str, most: int = 72) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
