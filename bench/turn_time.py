"""Times of one turn on a model folder: five replies of 40 tokens, and the lesson after them.

    python -m bench.turn_time --workdir=LIFE

Works on the folder given: it teaches the model, so give a copy. Prints medians as JSON.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from serve.compile_cache import use_compile_cache
from serve.session import Session

TURNS = 12
WARM_UP = 3


def main() -> None:
    """Says the same thing several times and teaches the first reply."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    use_compile_cache()
    replies, tokens, lessons, checks = [], [], [], []
    with Session.open(parser.parse_args().workdir) as session:
        for _ in range(TURNS):
            session.forget_context()
            started = time.monotonic()
            turn = session.say("Tell me the story of the old man and the sea from the beginning.")
            replies.append(time.monotonic() - started)
            tokens.append(max(len(reply.ids) for reply in turn.replies))
            lessons.append(turn.teach("It is a long story, and it begins at sea.").seconds)
            started = time.monotonic()
            session.held_out_change()
            checks.append(time.monotonic() - started)
    found = {
        "five_replies_seconds": replies,
        "longest_reply_tokens": tokens,
        "lesson_seconds": lessons,
        "held_out_check_seconds": checks,
    }
    medians = {name: statistics.median(values[WARM_UP:]) for name, values in found.items()}
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
