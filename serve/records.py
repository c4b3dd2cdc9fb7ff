"""The JSON objects of scripts: one shape for each event."""

import dataclasses
from typing import Any

from grow.plan import Plan
from grow.target import GROWABLE
from model.axes import count_parameters
from serve.session import Session
from serve.turn import Turn
from train.durable import disk_use
from train.evaluate import forgetting_report
from train.flat_tree import tree_digest
from train.growth import GrowthReport
from train.lesson import Lesson
from train.probes import retention
from train.reading import BookReport, Progress, Report
from train.reading_plan import books_read
from train.verify import damage


def reading_record(report: Report) -> dict[str, Any]:
    """The object of a stretch of reading or of a finished book."""
    if isinstance(report, Progress):
        return {
            "event": "read",
            "book": report.book,
            "step": report.step,
            "tokens": report.tokens,
            "loss_bits_per_byte": report.loss_bits_per_byte,
            "tokens_per_second": report.tokens_per_second,
        }
    assert isinstance(report, BookReport)
    return {"event": "book", **report._asdict()}


def replies_record(turn: Turn) -> dict[str, Any]:
    """The object of the replies to one thing said."""
    replies = [
        {"text": reply.text, "log_prob": reply.log_prob, "remembered": reply.remembered}
        for reply in turn.replies
    ]
    return {"event": "replies", "say": turn.question.say, "replies": replies}


def lesson_record(lesson: Lesson) -> dict[str, Any]:
    """The object of one lesson."""
    values = dataclasses.asdict(lesson)
    return {"event": "lesson", "id": values.pop("event"), **values}


def report_record(session: Session, held_out_windows: int | None) -> dict[str, Any]:
    """The object of a whole model: size, life so far, digest, held-out figures of every book."""
    state = session.state
    model = state.config.model
    damaged, bits = list(damage(session.life)), _held_out(session, held_out_windows)
    return {
        "event": "report",
        "size": size_name(count_parameters(model)),
        "parameters": count_parameters(model),
        "lessons": state.lessons,
        "steps": state.steps,
        "sha256": tree_digest(state.train),
        "disk": disk_use(session.life.workdir),
        "damage": damaged,
        "checkpoints": [row.event for row in reversed(session.life.journal.checkpoints())],
        "books": [{"book": name, "held_out_bits_per_byte": value} for name, value in bits.items()],
        "retention": [row._asdict() for row in retention(session.life, state)],
    }


def _held_out(session: Session, held_out_windows: int | None) -> dict[str, float | None]:
    """Held-out bits per byte by name; None for books whose copy is damaged."""
    readable, lost = [], []
    for sha256 in books_read(session.life):
        try:
            session.life.library.get([sha256])
            readable.append(sha256)
        except ValueError:
            lost.append(sha256)
    bits = forgetting_report(session.life, session.state, readable, held_out_windows)
    return bits | {sha256[:12]: None for sha256 in lost}


def growth_record(
    report: GrowthReport, before: float | None, after: float | None
) -> dict[str, Any]:
    """The object of a growth; with noise, also what it cost on held-out text of the books read."""
    proof = report.proof
    record = {
        "event": "grow",
        "parameters_before": report.parameters_before,
        "parameters_after": report.parameters_after,
        "max_logit_difference": proof.max_logit_difference,
        "greedy_tokens_compared": proof.greedy_tokens_compared,
        "greedy_identical": proof.greedy_identical,
        "smallest_top2_gap": proof.smallest_top2_gap,
        "seconds": report.seconds,
        "peak_bytes": report.peak_bytes,
    }
    if report.noise:
        held_out = {"before": before, "after": after}
        record |= {"noise": report.noise, "held_out_bits_per_byte": held_out}
    return record


def plan_record(plan: Plan, seconds: float | None) -> dict[str, Any]:
    """The object of a growth that was only planned; seconds are of a reading step, if known."""
    return {
        "event": "plan",
        "parameters_before": plan.parameters_before,
        "parameters_after": plan.parameters_after,
        "sizes": {
            name: {"before": getattr(plan.old, name), "after": getattr(plan.new, name)}
            for name in GROWABLE
        },
        "state_bytes": plan.state_bytes,
        "memory_bytes": plan.extra_bytes,
        "seconds_per_step_before": seconds,
        "seconds_per_step_after": None if seconds is None else seconds * plan.step_ratio,
    }


def size_name(parameters: int) -> str:
    """A number of parameters as people say it: 176k, 10m, 1.3b."""
    if parameters >= 999_500_000:
        return f"{parameters / 1e9:.2g}b"
    if parameters >= 999_500:
        return f"{parameters / 1e6:.0f}m"
    return f"{parameters / 1e3:.0f}k"
