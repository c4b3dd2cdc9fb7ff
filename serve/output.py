"""What a person or a script is shown; the only file that writes to standard output."""

import json
import sys
import unicodedata
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from serve.records import lesson_record, reading_record, replies_record
from serve.turn import Turn
from train.lesson import Lesson
from train.probes import Surprise
from train.reading import BookReport, Report
from train.replay import Replayed

# A typed answer with a token less likely than this is taught only after a question.
BIG_SURPRISE = 1e-6

HeldOut = tuple[float, float] | None


class Output(Protocol):
    """Where results go."""

    def say(self, sentence: str) -> None: ...
    def reading(self, report: Report) -> None: ...
    def replies(self, turn: Turn) -> None: ...
    def lesson(self, lesson: Lesson, held_out: HeldOut) -> None: ...
    def report(self, record: dict[str, Any]) -> None: ...
    def growth(self, record: dict[str, Any]) -> None: ...
    def done(self, record: dict[str, Any], sentence: str) -> None: ...
    def undo(self, record: dict[str, Any]) -> None: ...
    def replaying(self, replayed: Replayed) -> None: ...
    def replayed(self, record: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


class JsonOutput:
    """One JSON object a line on standard output; sentences go to standard error."""

    def say(self, sentence: str) -> None:
        sys.stderr.write(sentence + "\n")

    def reading(self, report: Report) -> None:
        self._write(reading_record(report))

    def replies(self, turn: Turn) -> None:
        self._write(replies_record(turn))

    def lesson(self, lesson: Lesson, held_out: HeldOut) -> None:
        del held_out
        self._write(lesson_record(lesson))

    def report(self, record: dict[str, Any]) -> None:
        self._write(record)

    def growth(self, record: dict[str, Any]) -> None:
        self._write(record)

    def done(self, record: dict[str, Any], sentence: str) -> None:
        del sentence
        self._write(record)

    def undo(self, record: dict[str, Any]) -> None:
        self._write(record)

    def replaying(self, replayed: Replayed) -> None:
        del replayed

    def replayed(self, record: dict[str, Any]) -> None:
        self._write(record)

    def close(self) -> None:
        sys.stdout.flush()

    def _write(self, record: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        sys.stdout.flush()


class TextOutput:
    """Plain sentences, and on a terminal a bar while reading."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._book = ""

    def say(self, sentence: str) -> None:
        self.console.print(Text(sentence))

    def reading(self, report: Report) -> None:
        if isinstance(report, BookReport):
            self.close()
            self._book_table(report)
            return
        figures = f"{report.tokens_per_second:,.0f} tokens/s, {report.loss_bits_per_byte:.3f} b/B"
        if not self.console.is_terminal:
            self.say(
                f"{report.book}: window {report.windows_read} of {report.windows_wanted}, {figures}"
            )
            return
        if self._bar is None or self._book != report.book:
            self.close()
            self._bar, self._book = _reading_bar(self.console), report.book
            self._bar.start()
            self._task = self._bar.add_task(printable(report.book), total=None, figures="")
        assert self._task is not None
        self._bar.update(
            self._task,
            completed=report.windows_read,
            total=report.windows_wanted,
            figures=figures,
        )

    def _book_table(self, report: BookReport) -> None:
        title = f"{printable(report.book)}: {report.windows} windows, {report.seconds:.0f} s"
        table = Table("held-out bits per byte", "before", "after", title=title)
        for name, values in report.held_out.items():
            cells = [_number(values["before"]), _number(values["after"])]
            table.add_row(Text(printable(name)), *cells)
        self.console.print(table)

    def replies(self, turn: Turn) -> None:
        for number, reply in enumerate(turn.replies, start=1):
            self.console.print(Text(f"{number}  {printable(reply.text)}"))

    def lesson(self, lesson: Lesson, held_out: HeldOut) -> None:
        self.console.print(Text(lesson_line(lesson, held_out), style="dim"))

    def report(self, record: dict[str, Any]) -> None:
        for name in ("size", "parameters", "lessons", "steps", "sha256"):
            self.say(f"{name:<12}{record[name]}")
        count = len(record["checkpoints"])
        self.say(f"{'disk':<12}{record['disk'] / 1e6:.1f} MB, {count} checkpoints")
        for sentence in record["damage"] or ["no file is damaged"]:
            self.say(f"{'check':<12}{sentence}")
        table = Table("book", "held-out bits per byte")
        for row in record["books"]:
            table.add_row(Text(printable(row["book"])), _number(row["held_out_bits_per_byte"]))
        self.console.print(table)
        if record["retention"]:
            table = Table("lessons since", "lessons", "known word for word")
            for row in record["retention"]:
                share = f"{row['known']} ({100 * row['known'] / row['lessons']:.0f} %)"
                table.add_row(f"{row['since']} or more", str(row["lessons"]), share)
            self.console.print(table)

    def growth(self, record: dict[str, Any]) -> None:
        for sentence in growth_lines(record):
            self.say(sentence)

    def done(self, record: dict[str, Any], sentence: str) -> None:
        del record
        self.say(sentence)

    def undo(self, record: dict[str, Any]) -> None:
        self.say(
            f"Undone as event {record['id']} in {record['seconds']:.1f} s: {record['lessons']} "
            f"lessons and {record['steps']} reading steps are left. /redo or "
            f"--mode=undo --event={record['id']} brings it back."
        )

    def replaying(self, replayed: Replayed) -> None:
        if not self.console.is_terminal:
            return
        if self._bar is None:
            self._bar, self._book = _replay_bar(self.console), ""
            self._bar.start()
            self._task = self._bar.add_task("replaying", total=None)
        assert self._task is not None
        self._bar.update(self._task, completed=replayed.seconds, total=replayed.of_seconds)

    def replayed(self, record: dict[str, Any]) -> None:
        equal = "equal" if record["equal"] else "NOT equal"
        difference = record["largest_difference"]
        figures = "" if not difference else f", largest difference {difference:.1e}"
        if record["event"] == "replay":
            where = f"event {record['event_id']} ({record['done']} of {record['of']} lived)"
            self.say(f"{where}: {equal}{figures}")
            return
        self.say(
            f"{record['checkpoints']} checkpoints: {equal}{figures}; {record['seconds']:.0f} s."
        )
        for name, (born, now) in record["changed_versions"].items():
            self.say(f"{name} was {born} at birth and is {now}.")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def lesson_line(lesson: Lesson, held_out: HeldOut) -> str:
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
        before, after = (_number(record["held_out_bits_per_byte"][w]) for w in ("before", "after"))
        lines.append(f"noise {record['noise']:g}: held-out {before} → {after} bits per byte")
    return lines


def printable(text: str) -> str:
    """The text without control characters: a book's escape sequences must not reach a terminal."""
    return "".join(
        char if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs") else "\ufffd"
        for char in text
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _replay_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console
    )


def _reading_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} windows"),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
    )
