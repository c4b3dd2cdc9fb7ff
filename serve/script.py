"""Conversations from a file of JSON lines."""

import json
from pathlib import Path
from typing import Any

from serve.output import Output
from serve.session import Session
from serve.why import explain_reply, explain_without


def read_script(path: Path, replies: int) -> list[dict[str, Any]]:
    """The script's lines, all checked before the first is spoken.

    Raises:
      ValueError: names the first line that is not JSON, or says or picks what cannot be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"the script {path} could not be read: {error.strerror}; name a readable file."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"the script {path} is not UTF-8 text; save it as UTF-8.") from error
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return [_check(f"line {number} of {path}", line, replies) for number, line in numbered]


def _check(where: str, line: str, replies: int) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not JSON ({error}); correct it.") from error
    if not isinstance(said, dict) or not isinstance(said.get("say"), str):
        raise ValueError(f'{where} has no text to say, want {{"say": "..."}}; correct it.')
    unknown = sorted(set(said) - {"say", "pick", "teach", "why", "without"})
    if unknown or ("pick" in said and "teach" in said) or ("without" in said and "why" not in said):
        raise ValueError(
            f'{where} may hold "say", one of "pick" or "teach", and "why" alone or with "without", '
            f"got {', '.join(said)}; correct it."
        )
    for name, what in (("pick", "picks"), ("why", "asks why of")):
        number = said.get(name, 1)
        if type(number) is not int or not 1 <= number <= replies:
            raise ValueError(f"{where} {what} reply {number!r}, want 1 to {replies}; correct it.")
    if type(said.get("without", 1)) is not int:
        raise ValueError(
            f"{where} is without event {said['without']!r}, want a number; correct it."
        )
    if not isinstance(said.get("teach", ""), str):
        raise ValueError(f"{where} teaches {said['teach']!r}, want a text; correct it.")
    return said


def run_script(session: Session, lines: list[dict[str, Any]], output: Output) -> int:
    """Every line was said, its lesson given, and so much rest after it; returns the exit code."""
    for line in lines:
        turn = session.say(line["say"])
        output.replies(turn)
        if "without" in line:
            explain_without(session, output, turn, line["why"], line["without"])
        elif "why" in line:
            explain_reply(session, output, turn, line["why"])
        if "pick" in line:
            output.lesson(turn.pick(line["pick"]), session.held_out_change())
        elif "teach" in line:
            output.lesson(turn.teach(line["teach"]), session.held_out_change())
            session.rest()
    return 0
