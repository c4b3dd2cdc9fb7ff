"""A contestant that fails when it is told to: python -m tests.contestant TASK (test_contest.py)."""

from bench.worker import serve


def set_up(task):
    turns = 0

    def measure():
        nonlocal turns
        turns += 1
        if task["fails"] == turns:
            raise ValueError(f"turn {turns} is one too many")
        print("libraries print what they like")
        return {"seconds": task["seconds"] * turns}

    if task["fails"] == 0:
        raise ValueError("no such model")
    return measure, {"said": "ready"}


if __name__ == "__main__":
    serve(set_up)
