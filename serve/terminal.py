"""The conversation on a terminal: keys 1 to 5 pick, typing teaches, Enter skips."""

import signal
import sys
from collections.abc import Sequence

from rich.live import Live
from rich.table import Table
from rich.text import Text

from serve.asking import Asking
from serve.lines import printable, surprise_warning
from serve.output import Output, TextOutput
from serve.records import report_record
from serve.sample import Reply
from serve.session import Session
from serve.turn import Turn
from serve.undoing import plan_typed, take_back
from serve.why import explain

HELP = """\
Say something; then press 1 to 5 to pick the best reply, or type a better one and press Enter, or
press Enter alone to skip. Begin a typed answer with a blank if its first letter is a digit or /.
/context         the conversation that the next prompt is made of (a file you may edit)
/forget-context  begin a new conversation; the weights keep what they learned
/learn off       talk without teaching and without a trace; /learn on
/sleep           rehearse the old lessons; /sleep 20 for so many updates
/report          size, lessons, digest and held-out figures
/undo            take back the last lesson; /undo 3 the last three, /undo event 17 that event
/redo            take back the last undo
/why             where the reply comes from; /why 3 the third one; /why 3 without 17 how likely it
                 would be in the life without lesson 17, exactly (also while you choose)
/lr NUMBER       learning rate of lessons; without a number, show it
/quit            save and leave (also Ctrl-D)"""


def converse(session: Session, output: Output) -> int:
    """The person talked until they left; returns the exit code."""
    ask = Asking(session, output)
    output.say("Say something. /help tells the keys.")
    turn, typed = None, ""
    while True:
        try:
            prompt = "you> " if session.learning else "you (not teaching)> "
            text, typed = (typed or ask(prompt, 0)).strip(), ""
            if text in ("/quit", "/exit"):
                break
            if text.split(" ")[0] == "/why":
                explain(session, output, turn, text)
            elif text.startswith("/"):
                _command(session, output, text)
            elif text:
                turn = _show_replies(session, output, text)
                typed = _answer(session, output, ask, turn)
        except EOFError:
            break
        except ValueError as error:
            output.say(str(error))
    session.close_lessons()
    output.say("Saved.")
    return 0


def _answer(session: Session, output: Output, ask: Asking, turn: Turn) -> str:
    """The turn is a lesson, or was skipped; returns the command that was typed instead, if any."""
    if not session.learning:
        return ""
    answer = ask(f"1-{len(turn.replies)}, or a better answer> ", len(turn.replies))
    if answer.startswith("/") or not answer.strip():
        if answer.split(" ")[0].strip() != "/why":
            return answer
        try:
            explain(session, output, turn, answer.strip())
        except ValueError as error:
            output.say(str(error))
        return _answer(session, output, ask, turn)
    by_hand = not (answer.isdigit() and 1 <= int(answer) <= len(turn.replies))
    how = _how_to_teach(session, output, ask, turn, answer) if by_hand else "now"
    if how == "not":
        return ""
    # A lesson that has begun is finished and journaled before Ctrl-C is heard.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        spread = how == "spread"
        lesson = turn.teach(answer, spread=spread) if by_hand else turn.pick(int(answer))
        output.lesson(lesson, session.held_out_change())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return ""


def _how_to_teach(session: Session, output: Output, ask: Asking, turn: Turn, answer: str) -> str:
    """`now`, `spread` or `not`: the person is asked when the answer would be a big surprise."""
    warning = surprise_warning(session.surprise(turn, answer))
    if warning is None or not sys.stdin.isatty():
        return "now"
    output.say(
        f"{warning} Enter teaches it now, s spreads it over the next lessons, anything else "
        "leaves it."
    )
    said = ask("teach> ", 0).strip().casefold()
    return {"": "now", "s": "spread"}.get(said, "not")


def _show_replies(session: Session, output: Output, text: str) -> Turn:
    """The finished turn; on a terminal its replies stream side by side as they come."""
    if not (isinstance(output, TextOutput) and output.console.is_terminal):
        turn = session.say(text)
        output.replies(turn)
        return turn
    with Live(console=output.console, auto_refresh=False) as live:
        for item in session.stream(text):
            if isinstance(item, Turn):
                live.update(_columns(item.replies), refresh=True)
                return item
            live.update(_columns(item), refresh=True)
    raise AssertionError("a stream of replies ends with the turn")


def _columns(replies: Sequence[Reply]) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    for _ in replies:
        table.add_column(ratio=1, overflow="fold")
    heads = (f"{n}{' remembered' * reply.remembered}" for n, reply in enumerate(replies, start=1))
    table.add_row(*(Text(head, style="bold") for head in heads))
    table.add_row(*(Text(printable(reply.text)) for reply in replies))
    return table


def _command(session: Session, output: Output, text: str) -> None:
    name, _, argument = text.partition(" ")
    if name == "/help":
        output.say(HELP)
    elif name == "/context":
        lines = [f"{message.role}: {printable(message.text)}" for message in session.context()]
        output.say("\n".join(lines) or "The context is empty.")
    elif name == "/forget-context":
        session.forget_context()
        output.say("The context is empty.")
    elif name == "/report":
        output.report(report_record(session, None))
    elif name == "/undo":
        agreed = argument.endswith("yes")
        take_back(session, output, plan_typed(session, argument), agreed, "say yes after it")
    elif name == "/redo":
        take_back(session, output, session.plan_redo(), argument == "yes", "say /redo yes")
    elif name == "/learn":
        if argument not in ("on", "off"):
            raise ValueError(f"/learn wants on or off, got {argument!r}; try /learn off.")
        session.learn_from_now(argument == "on")
        output.say(f"Learning is {argument}.")
    elif name == "/sleep":
        slept = session.sleep(_updates(argument))
        output.say(
            f"{slept.updates} updates of rehearsal, {slept.known} of the last {slept.rehearsed} "
            f"lessons known, {slept.seconds:.1f} s."
        )
    elif name == "/lr":
        if argument:
            session.teach_at(_rate(argument))
        output.say(f"The learning rate of lessons is {session.recipe.learning_rate:g}.")
    else:
        output.say(f"There is no {name}; /help tells what there is.")


def _updates(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit():
        raise ValueError(f"/sleep wants a number of updates, got {text!r}; try /sleep 20.")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1:
        raise ValueError(f"/lr wants a number between 0 and 1, got {text!r}; try /lr 7e-4.")
    return rate
