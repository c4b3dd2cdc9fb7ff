"""Memory stays as it is over 500 lessons and a book, with the state in memory and on the disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LESSONS = int(os.environ.get("APPRENTICE_MEMORY_LESSONS", "500"))
# By then every function was compiled once, for prompts of every length.
WARM = LESSONS // 4
PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
from lives import READING, new_life, open_session, tiny_config, write_book
from serve.allocator import keep_freed_memory
from train.memory import resident_bytes
from train.residency import least_bytes
from train.state import abstract_state
from train.store import StoreConfig

keep_freed_memory()
folder, kind, lessons = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
text = sys.stdin.read()
new_life(folder / "life", text)
words = ["tea", "rain", "a hat", "the cat", "mice", "clocks", "soup"]
config = tiny_config()
least = least_bytes(abstract_state(config.model, config.optimizer))
store = StoreConfig(kind=kind, memory=least if kind == "disk" else None)
with open_session(folder / "life", store=store) as session:
    for number in range(lessons):
        if number % (lessons // 10) == 0:
            steps = READING.batch_size * (number // (lessons // 10) + 1) * 12
            book = write_book(folder, text, start=2000)
            list(session.read([book], dataclasses.replace(READING, epochs=None, steps=steps)))
        turn = session.say(f"What do I like on day {number}?")
        turn.pick(1) if number % 3 == 0 else turn.teach(f"You like {words[number % 7]}.")
        session.settle()
        if number % 10 == 9:
            print(json.dumps({"lessons": number + 1, "bytes": resident_bytes()}), flush=True)
"""


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_memory_is_flat(tmp_path, alice_text, kind):
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), kind, str(LESSONS)],
        input=alice_text,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"PYTHONPATH": f"{here.parent}{os.pathsep}{here}"},
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    later = [row["bytes"] for row in rows if row["lessons"] > WARM]
    print(f"{kind}: {[round(row['bytes'] / 1e6, 1) for row in rows]} MB")
    assert max(later) <= 1.02 * min(later)
