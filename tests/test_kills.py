"""A living model that is killed at random moments loses nothing.

Ten kills here and twenty of the journal alone in test_journal_safety.py; a growth, which takes long
to compile, and a thousand kills are in `make soak`.
"""

from soak_killed import run

KINDS = ("teaching", "reading", "saving", "undoing")


def test_kills_lose_nothing(tmp_path):
    found = run("kill_loop.py", tmp_path, 10, 1, *KINDS)
    assert found["kills"] == 10 and found["losses"] == 0
    assert found["acknowledged"] > 0
