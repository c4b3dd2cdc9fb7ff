"""What a person or a script is shown; the only file that writes to standard output."""

import json
import sys
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from serve.lines import figure, growth_lines, lesson_line, printable
from serve.records import lesson_record, reading_record, replies_record
from serve.turn import Turn
from train.lesson import Lesson
from train.reading import BookReport, Report
from train.replay import Replayed

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
            cells = [figure(values["before"]), figure(values["after"])]
            table.add_row(Text(printable(name)), *cells)
        self.console.print(table)
        before, after = report.lessons["before"], report.lessons["after"]
        if before is not None and after is not None:
            self.say(f"Old lessons known word for word: {before:.0%} before, {after:.0%} after.")

    def replies(self, turn: Turn) -> None:
        for number, reply in enumerate(turn.replies, start=1):
            mark = " (remembered)" * reply.remembered
            self.console.print(Text(f"{number}  {printable(reply.text)}{mark}"))

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
            table.add_row(Text(printable(row["book"])), figure(row["held_out_bits_per_byte"]))
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
        # As it stands: tables are not wrapped.
        self.console.print(Text(sentence), soft_wrap=True)

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
