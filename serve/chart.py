"""The picture of a life: what was kept of the lessons, and of the books."""

from collections import defaultdict
from pathlib import Path

from train.effective import effective_events
from train.life import Life
from train.probes import Retention

# Lessons whose rehearsals make one point of the curve.
LESSONS_PER_POINT = 10


def draw_life(life: Life, table: list[Retention], path: Path) -> None:
    """A PNG: old lessons still known, lesson by lesson and by age; each book's held-out figure.

    Args:
      table: of `train.probes.retention`.
      path: written anew.
    """
    # Costs half a second, which only this picture is worth.
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (known, ages, books) = plt.subplots(1, 3, figsize=(13, 3.6), constrained_layout=True)
    known.plot(*_known_curve(life))
    known.set(title="old lessons known when they came back", xlabel="lesson", ylim=(0, 1.05))
    ages.bar([f"{row.since}+" for row in table], [row.known / row.lessons for row in table])
    ages.set(title="known word for word now", xlabel="lessons since", ylim=(0, 1.05))
    for name, points in _book_curves(life).items():
        books.plot(*zip(*points, strict=True), marker="o", label=name)
    books.set(title="held-out text of books read", xlabel="event", ylabel="bits per byte")
    if 0 < len(books.lines) <= 8:
        books.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _known_curve(life: Life) -> tuple[list[int], list[float]]:
    lessons = [event.data for event in effective_events(life.journal, kinds=("lesson",))]
    places, shares = [], []
    for first in range(0, len(lessons), LESSONS_PER_POINT):
        part = lessons[first : first + LESSONS_PER_POINT]
        rehearsed = sum(data["rehearsed"] for data in part)
        if rehearsed:
            places.append(first + len(part))
            shares.append(sum(data["known"] for data in part) / rehearsed)
    return places, shares


def _book_curves(life: Life) -> dict[str, list[tuple[int, float]]]:
    """{book: (event, bits per byte) at the end of every book}."""
    curves = defaultdict(list)
    for event in effective_events(life.journal, kinds=("book",)):
        for name, values in event.data["held_out"].items():
            if values["after"] is not None:
                curves[name].append((event.id, values["after"]))
    return curves
