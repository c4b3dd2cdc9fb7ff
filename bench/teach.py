"""Teaching, measured: facts taught once each among other lessons, and what becomes of the rest.

    python -m bench.teach facts --base=LIFE --out=FILE.jsonl --arm=rehearsed --seed=0
    python -m bench.teach picks --base=LIFE --out=FILE.jsonl --arm=rehearsed --seed=0 --style=asks
    python -m bench.teach corrections --base=LIFE --out=FILE.jsonl --arm=rehearsed --seed=0

An arm is a recipe by name, with changes: `rehearsed,learning_rate=1e-3,own=0`. The base is a model
folder that has read and was not taught; it is copied, so that every run begins alike. Lessons go
through `train.lesson.give_lesson`, the conversation so far before each, as in the product.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from bench.teaching.correcting import teach_corrections
from bench.teaching.experiments import (
    STYLES,
    pick_replies,
    read_after_lessons,
    repeat_lesson,
    teach_facts,
)
from bench.teaching.in_context import tell_and_teach
from serve.session import Session
from train.recipe import RECIPES, Recipe

FIRST, LATER = 200, 300
MARK_EVERY = 50


def main() -> None:
    """Runs one arm with one seed and appends its measurements to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", choices=["facts", "corrections", "picks", "book", "context", "same"]
    )
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arm", default="rehearsed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--others", type=int, default=FIRST)
    parser.add_argument("--later", type=int, default=LATER)
    parser.add_argument("--marks", type=int, default=MARK_EVERY)
    parser.add_argument("--style", choices=sorted(STYLES), default="asks")
    parser.add_argument("--sleep", type=int, default=0, help="updates of rehearsal at the end")
    parser.add_argument("--rest", type=int, default=0, help="updates of rest after every lesson")
    parser.add_argument("--pause", type=int, default=0, help="updates of rest after the last one")
    parser.add_argument("--kind", choices=["teach", "pick"], default="teach")
    parser.add_argument(
        "--book", type=Path, action="append", default=[], help="is read after the lessons"
    )
    parser.add_argument("--rehearse_every", type=int, default=24, help="windows of that book")
    parser.add_argument("--keep", type=Path, help="a new folder for the life as it is in the end")
    parser.add_argument("--random", action="store_true", help="pick any reply, as a control")
    arguments = parser.parse_args()
    ways = {
        "facts": teach_facts,
        "corrections": teach_corrections,
        "picks": pick_replies,
        "book": read_after_lessons,
        "context": tell_and_teach,
        "same": repeat_lesson,
    }
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "life"
        shutil.copytree(arguments.base, workdir)
        with Session.open(workdir) as session:
            session.rest_updates = arguments.rest
            records = ways[arguments.what](session, read_arm(arguments.arm), arguments)
            for record in records:
                named = {name: getattr(arguments, name) for name in ("what", "arm", "seed", "rest")}
                with arguments.out.open("a") as file:
                    file.write(json.dumps({**named, **record}) + "\n")
                print(json.dumps({**named, **record}), flush=True)
            if arguments.keep is not None:
                session.save()
        if arguments.keep is not None:
            shutil.copytree(workdir, arguments.keep)


def read_arm(text: str) -> Recipe:
    """The recipe of that name with the changes after it."""
    name, *changes = text.split(",")
    fields = vars(RECIPES[name])
    changed = {}
    for change in changes:
        field, value = change.split("=")
        changed[field] = type(fields[field])(float(value))
    return Recipe(**{**fields, **changed})


if __name__ == "__main__":
    main()
