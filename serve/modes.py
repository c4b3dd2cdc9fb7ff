"""What each --mode does: flags in, exit code out."""

import sys
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp

from model.axes import count_parameters
from model.config import new_config
from serve.chart import draw_life
from serve.flags import Options, stderr
from serve.growing import grow_session
from serve.interop_modes import export_mode, import_mode
from serve.keeping import KEEPING
from serve.output import JsonOutput, Output, TextOutput
from serve.planning import plan_mode
from serve.reading import read_into, reading_config
from serve.records import report_record, size_name
from serve.sample import SamplingConfig
from serve.script import read_script, run_script
from serve.session import Session
from serve.starter import starter_files
from serve.terminal import converse
from serve.undoing import plan_named, take_back
from train.books import Book, find_books, load_book
from train.life import create_life, is_model_folder
from train.lock import HeldError, UnwritableError
from train.optimizer import OptimizerConfig
from train.plain import export_life
from train.probes import Retention
from train.recipe import RECIPES
from train.step import StepConfig

FIRST_QUESTION = "Hello, who are you?"


def run_mode(options: Options) -> int:
    """Runs one mode; bad input becomes one sentence on standard error.

    Returns:
      The exit code: 0 done, 1 bad input, 130 interrupted.
    """
    output: Output = JsonOutput() if options.json else TextOutput()
    modes: dict[str, Callable[[Options, Output], int]] = {
        "start": _start,
        "book": _book,
        "interactive": _interactive,
        "serve": _serve,
        "report": _report,
        "grow": _grow,
        "export": export_mode,
        "import": import_mode,
        "plan": plan_mode,
        "undo": _undo,
        **KEEPING,
    }
    try:
        return modes[options.mode](options, output)
    except (ValueError, OSError) as error:
        output.close()
        stderr(f"apprentice: {error}")
        return 1
    except KeyboardInterrupt:
        output.close()
        stderr("apprentice: interrupted; everything acknowledged is saved.")
        return 130


def _start(options: Options, output: Output) -> int:
    """The main job: a new model reads the starter shelf, then the conversation opens."""
    books = [load_book(path) for path in starter_files()]
    reading = reading_config(options, mix=True)
    with _open_or_create(options, output, books) as session:
        code = read_into(session, books, reading, output)
        if code:
            return code
        if sys.stdin.isatty() and not options.json:
            return converse(session, output)
        output.replies(session.say(FIRST_QUESTION))
    return 0


def _book(options: Options, output: Output) -> int:
    """Reads the named books on from where this life left them."""
    if not options.book:
        raise ValueError("--mode=book reads what --book names, got none; give a file or a folder.")
    books = [load_book(path) for path in find_books(options.book)]
    reading = reading_config(options, mix=options.mix)
    with _open_or_create(options, output, books) as session:
        return read_into(session, books, reading, output)


def _interactive(options: Options, output: Output) -> int:
    """Talks, with the person or with a script."""
    lines = read_script(Path(options.script), options.replies) if options.script else None
    with _open_or_look(options, output) as session:
        session.recipe = RECIPES[options.lesson]
        if options.learn_off:
            session.learn_from_now(False)
        if options.learning_rate is not None:
            session.teach_at(options.learning_rate)
        session.origin = "terminal" if lines is None else "script"
        if lines is not None:
            # How long nobody types is a matter of time, and a script gives the same bits always.
            session.rest_updates = options.rest_updates or 0
            return run_script(session, lines, output)
        return converse(session, output)


def _serve(options: Options, output: Output) -> int:
    """The page and the endpoint, until Ctrl-C; a fresh address when they are served already."""
    from serve.web.server import address_of_running, bind, serve, show_address

    address = address_of_running(options.folder)
    if address is not None:
        show_address(address, output)
        return 0
    sockets, door = bind(options.port, options.listen)
    remark = ""
    try:
        session = _open_or_create(options, output, [])
    except (HeldError, UnwritableError) as error:
        remark = f"{error} Here you can look and talk, but nothing can be taught."
        session = _open(options, output, read_only=True)
    with session:
        serve(session, sockets, door, remark, output)
    return 0


def _report(options: Options, output: Output) -> int:
    """Shows size, life so far, digest and held-out figures, or exports all; changes nothing."""
    with _open(options, output, read_only=True) as session:
        if options.export is not None:
            export_life(session.life, session.state, Path(options.export).expanduser())
        record = report_record(session, None)
        if options.chart is not None:
            table = [Retention(**row) for row in record["retention"]]
            draw_life(session.life, table, Path(options.chart).expanduser())
        output.report(record)
    return 0


def _grow(options: Options, output: Output) -> int:
    """Makes the model larger on the axes that the flags name; it says the same as before."""
    with _open_any(options, output, read_only=options.dry_run) as session:
        grow_session(session, options, output)
    return 0


def _undo(options: Options, output: Output) -> int:
    """Takes lessons or an event back, exactly."""
    with _open(options, output) as session:
        plan = plan_named(session, options.lessons, options.event)
        take_back(session, output, plan, options.yes)
    return 0


def _open(options: Options, output: Output, *, read_only: bool = False) -> Session:
    session = _open_any(options, output, read_only=read_only)
    try:
        _require_same_model(session, options)
    except BaseException:
        session.close()
        raise
    return session


def _open_any(options: Options, output: Output, *, read_only: bool) -> Session:
    """The session on the folder, whatever sizes the flags name."""
    sampling = SamplingConfig(
        replies=options.replies,
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        remember=options.remember,
    )
    if options.rest_updates is not None and options.rest_updates < 0:
        raise ValueError(f"rest_updates must be at least 0, got {options.rest_updates}; 0 is none.")
    session = Session.open(
        options.folder,
        sampling=sampling,
        read_only=read_only,
        store=options.store_config,
        say=output.say,
    )
    if options.rest_updates is not None:
        session.rest_updates = options.rest_updates
    return session


def _open_or_look(options: Options, output: Output) -> Session:
    """The session, read-only where the folder cannot be written."""
    try:
        return _open(options, output)
    except UnwritableError as error:
        output.say(f"{error} Talking works, but nothing can be taught.")
        return _open(options, output, read_only=True)


def _open_or_create(options: Options, output: Output, books: list[Book]) -> Session:
    """The session on the folder; a new model when there is none in it."""
    if not is_model_folder(options.folder):
        model = new_config(options.size or "10m", **options.dimensions)
        optimizer = OptimizerConfig(moments=options.moments or "float32")
        config = StepConfig(model, optimizer, jnp.dtype(options.dtype or "bfloat16"))
        options.store_config.require_room(model, config.optimizer, config.dtype, options.folder)
        # The shelf rides along so that the full vocabulary is always reached.
        shelf = [load_book(path) for path in starter_files()]
        texts = (
            text
            for book in {book.sha256: book for book in [*books, *shelf]}.values()
            for document in book.documents
            for text in [document.text, *(message.text for message in document.messages)]
        )
        create_life(options.folder, config, seed=options.seed or 0, texts=texts).close()
        name = size_name(count_parameters(model))
        output.say(f"A new model of {name} parameters begins in {options.folder}.")
    return _open(options, output)


def _require_same_model(session: Session, options: Options) -> None:
    """Refuses flags that describe another model than the folder holds."""
    model = session.state.config.model
    wanted = dict(options.dimensions)
    if options.size is not None:
        named = new_config(options.size)
        sizes = ("d_model", "n_layers", "n_kv_heads", "n_query_groups", "d_ff")
        wanted = {name: getattr(named, name) for name in sizes} | wanted
    for name, want in wanted.items():
        if getattr(model, name) != want:
            raise ValueError(
                f"the model in {options.folder} has {name} {getattr(model, name)}, the flags want "
                f"{want}; leave the flag out, or name another --workdir."
            )
    moments = session.state.config.optimizer.moments
    if options.moments not in (None, moments):
        raise ValueError(
            f"the model in {options.folder} was born with {moments} moments, the flags want "
            f"{options.moments}; leave the flag out, or name another --workdir."
        )
    if options.seed is not None and options.seed != session.life.seed:
        raise ValueError(
            f"the model in {options.folder} was born with seed {session.life.seed}, the flags want "
            f"{options.seed}; leave the flag out, or name another --workdir."
        )
