"""Results as lines of text, the same in the terminal and on the page."""

import unicodedata
from typing import Any

from train.lesson import Lesson
from train.memory import gigabytes
from train.probes import Surprise

# A typed answer with a token less likely than this is taught only after a question.
BIG_SURPRISE = 1e-6


def lesson_line(lesson: Lesson, held_out: tuple[float, float] | None) -> str:
    """What a lesson did, in one line."""
    parts = [
        f"lesson {lesson.number} {'picked' if lesson.kind == 'pick' else 'typed'}",
        f"loss {lesson.loss_before:.2f} → {lesson.loss_after:.2f}",
        f"p {lesson.p_before:.1e} → {lesson.p_after:.1e}",
    ]
    if lesson.rehearsed:
        parts.append(f"old lessons {lesson.known} of {lesson.rehearsed} known")
    if held_out is not None:
        before, after = held_out
        change = 100 * (after / before - 1)
        parts.append(f"held-out {before:.3f} → {after:.3f} b/B ({change:+.1f} %)")
    parts += [f"leak ×{lesson.leak:.2f}", f"{lesson.seconds:.2f} s"]
    if lesson.contradicts is not None:
        parts.append(
            f"instead of “{printable(lesson.contradicts)}”, which is not rehearsed any more"
        )
    return " | ".join(parts)


def surprise_warning(found: Surprise) -> str | None:
    """What the person should know before teaching an answer; None when it is no big surprise."""
    if found.p > BIG_SURPRISE:
        return None
    return (
        f"A big surprise: “{printable(found.token.strip())}” has a probability of {found.p:.0e} "
        "here, and may show up in other answers for a while."
    )


def growth_lines(record: dict[str, Any]) -> list[str]:
    """A growth, or the plan of one, in a few lines."""
    lines = [f"parameters {record['parameters_before']:,} → {record['parameters_after']:,}"]
    if record["event"] == "plan":
        sizes = record["sizes"].items()
        lines += [f"{name} {size['before']} → {size['after']}" for name, size in sizes]
        lines.append(f"weights and moments {record['state_bytes'] / 1e6:,.1f} MB")
        if record["seconds_per_step_before"] is not None:
            before, after = (record[f"seconds_per_step_{when}"] for when in ("before", "after"))
            lines.append(f"seconds per step {before:.3f} → about {after:.3f}")
        return lines
    same = "identical" if record["greedy_identical"] else "not identical"
    lines.append(
        f"greedy text {same} over {record['greedy_tokens_compared']} tokens (closest choice "
        f"{record['smallest_top2_gap']:.2g}), logits within {record['max_logit_difference']:.2g}, "
        f"{record['seconds']:.1f} s"
    )
    if "noise" in record:
        before, after = (figure(record["held_out_bits_per_byte"][w]) for w in ("before", "after"))
        lines.append(f"noise {record['noise']:g}: held-out {before} → {after} bits per byte")
    return lines


def printable(text: str) -> str:
    """The text without control characters: a book's escape sequences must not reach a terminal."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs") else "\ufffd"
        for char in text
    )


def figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def plan_lines(record: dict[str, Any]) -> list[str]:
    """What one model would take, a line for each part and each time."""
    ram, disk, times = record["ram"], record["disk"], record["times"]
    lines = [
        f"{record['parameters']:,} parameters, products in {record['dtype']}, "
        f"context {record['context']}: weights and moments "
        + ("in memory" if record["store"] == "ram" else "on the disk, a layer at a time"),
        f"{'':<14}{'memory':>12}{'disk':>12}",
    ]
    for part, count in ram.items():
        lines.append(f"{part:<14}{gigabytes(count):>12}{_some_gigabytes(disk.get(part)):>12}")
    lines += [
        f"{'at most':<14}{gigabytes(record['peak_bytes']):>12}   during {record['peak_activity']}; "
        f"{gigabytes(record['least_bytes'])} would do with the state on the disk",
        f"{'five replies':<14}{_seconds(times['replies_seconds']):>12}",
        f"{'a lesson':<14}{_seconds(times['lesson_seconds']):>12}   and "
        f"{_seconds(times['rehearsal_seconds'])} of rehearsals while you read on",
        f"{'a book':<14}{times['book_hours']:>10.2f} h   of 100,000 words",
        f"{'written':<14}{gigabytes(int(times['lesson_written_bytes'])):>12}   a lesson: a drive "
        f"rated for 600 TB lasts {times['drive_lessons']:,.0f} lessons",
    ]
    return lines


_PLAN_COLUMNS = ("memory", "at least", "disk", "replies", "lesson", "rehearsals", "book", "written")


def plan_heading() -> str:
    """The first line of a table of plans."""
    return f"{'size':<6}{'store':<6}" + "".join(f"{name:>12}" for name in _PLAN_COLUMNS)


def plan_row(record: dict[str, Any]) -> str:
    """One size in a table of plans; `written` is a lesson, `book` one of 100,000 words."""
    times = record["times"]
    cells = (
        gigabytes(record["peak_bytes"]),
        gigabytes(record["least_bytes"]),
        gigabytes(sum(record["disk"].values())),
        _seconds(times["replies_seconds"]),
        _seconds(times["lesson_seconds"]),
        _seconds(times["rehearsal_seconds"]),
        f"{times['book_hours']:.2f} h",
        gigabytes(int(times["lesson_written_bytes"])),
    )
    return f"{record['size']:<6}{record['store']:<6}" + "".join(f"{cell:>12}" for cell in cells)


def _some_gigabytes(count: int | None) -> str:
    return gigabytes(count) if count else "–"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"
