"""Reading over the wire: files dropped and shown before they are read, a bar, a curve."""

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.records import reading_record
from serve.session import Session
from serve.starter import starter_files
from serve.web.books import (
    Shelf,
    Upload,
    book_name,
    books_known,
    documents_record,
    passes_done,
    reading_curve,
    take_upload,
    upload_record,
)
from serve.web.house import House
from serve.web.learner import Job
from serve.web.replies import Refusal, field, plain, read_object
from train.books import Book, load_saved_book
from train.reading import BookReport, Progress
from train.reading_plan import ReadingConfig

MOST_UPLOADS = 32
MOST_PASSES = 100


class Readings:
    """Files that were dropped and not read yet, by number, and how books are read."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._uploads: dict[str, Upload] = {}
        self._shelf = Shelf(house.session.life.library.folder)

    async def upload(self, request: Request) -> Response:
        """The preview of a file; it is read by nobody yet."""
        self._house.origin(request)
        self._house.require_writer()
        name, suffix = book_name(plain(unquote(request.headers.get("x-name", ""))))
        if len(self._uploads) >= MOST_UPLOADS:
            self._uploads.pop(next(iter(self._uploads)))
        number = secrets.token_hex(8)
        folder = self._house.uploads / number
        folder.mkdir(mode=0o700)
        path = folder / f"{name}{suffix}"
        try:
            with path.open("wb") as file:
                async for part in request.stream():
                    file.write(part)
            self._uploads[number] = await asyncio.to_thread(_named, path)
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
        return JSONResponse(upload_record(number, self._uploads[number]))

    async def shelf(self, request: Request) -> Response:
        """The books that come with the program, ready to be read."""
        self._house.origin(request)
        self._house.require_writer()
        made = [
            (f"shelf-{path.stem}", await asyncio.to_thread(take_upload, path))
            for path in starter_files()
        ]
        self._uploads.update(made)
        return JSONResponse({"uploads": [upload_record(*pair) for pair in made]})

    async def known(self, request: Request) -> Response:
        """Files that were dropped, and the books of this life."""
        self._house.origin(request)
        session = self._house.session
        uploads = [upload_record(number, upload) for number, upload in self._uploads.items()]
        context = session.state.config.model.context
        books = await asyncio.to_thread(books_known, session.life, self._shelf, context)
        return JSONResponse({"uploads": uploads, "books": books})

    async def documents(self, request: Request) -> Response:
        """Some of the cleaned text of a dropped file."""
        self._house.origin(request)
        first = request.query_params.get("first", "0")
        if not first.isdecimal():
            raise Refusal(400, "first must be a number; correct it.", "bad_input", "first")
        book = self._find(request.path_params["number"]).book
        return JSONResponse(documents_record(book, int(first)))

    async def drop(self, request: Request) -> Response:
        """The dropped file is forgotten."""
        self._house.origin(request)
        self._uploads.pop(field(await read_object(request), "id", str), None)
        return JSONResponse({})

    async def curve(self, request: Request) -> Response:
        """The curve of all reading in this life."""
        self._house.origin(request)
        life = self._house.session.life
        return JSONResponse(await asyncio.to_thread(reading_curve, life, self._shelf))

    async def read(self, request: Request) -> Response:
        """Books wait to be read; the answer comes at once, the board tells the rest."""
        self._house.require_writer()
        wanted = await read_object(request)
        numbers = field(wanted, "uploads", list, [])
        hashes = field(wanted, "books", list, [])
        passes = field(wanted, "passes", int, 1)
        mix = field(wanted, "mix", bool, False)
        if not 1 <= passes <= MOST_PASSES:
            raise Refusal(400, f"passes must be 1 to {MOST_PASSES}, got {passes}.", "bad_input")
        folder = self._house.session.life.library.folder
        books = [self._find(str(number)).book for number in numbers]
        books += [load_saved_book(folder, _hash(sha256)) for sha256 in hashes]
        if not books:
            raise Refusal(400, "reading wants books, got none; drop a file first.", "bad_input")
        title = books[0].name if len(books) == 1 else f"{len(books)} books"

        def work(session: Session, job: Job) -> dict[str, Any]:
            return _read(self._house, session, job, books, passes, mix or bool(hashes))

        job = self._house.start(
            request, "read", f"reading {title}", work, body=await request.body(), long=True
        )
        for number in numbers:
            self._uploads.pop(str(number), None)
        return JSONResponse({"job": job.id}, 202)

    def _find(self, number: str) -> Upload:
        if number not in self._uploads:
            raise Refusal(404, "there is no such dropped file; drop it again.", "upload")
        return self._uploads[number]


def _named(path: Any) -> Upload:
    """`take_upload`, complaining of the file by its name and not by our folder."""
    try:
        return take_upload(path)
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), path.name)) from error


def _hash(given: Any) -> str:
    if not (isinstance(given, str) and len(given) == 64 and set(given) <= set("0123456789abcdef")):
        raise Refusal(400, "a book is named by its SHA-256; correct it.", "bad_input", "books")
    return given


def _read(
    house: House, session: Session, job: Job, books: Sequence[Book], passes: int, mix: bool
) -> dict[str, Any]:
    """The books are read, laid aside for every shorter job that waits."""
    mix = mix and len(books) > 1
    groups = [[book.sha256 for book in books]] if mix else [[book.sha256] for book in books]
    done = min(passes_done(session.life, group) for group in groups)
    config = ReadingConfig(epochs=done + passes, mix=mix)
    report: BookReport | None = None
    while True:
        wanted_elsewhere = False

        def should_stop() -> bool:
            nonlocal wanted_elsewhere
            wanted_elsewhere = house.learner.asked_for()
            return wanted_elsewhere or job.stopped()

        for report_or_progress in session.read(books, config, should_stop):
            if isinstance(report_or_progress, BookReport):
                report = report_or_progress
                house.board.notice("book", _book_line(report), report=reading_record(report))
            else:
                _show(house, session, job, report_or_progress)
            house.board.look(session)
        if job.stopped() or not wanted_elsewhere:
            break
        house.board.look(session)
        house.learner.give_way()
    if job.stopped():
        house.board.notice("book", "Stopped and saved; it goes on from here when you say so.")
    elif report is None:
        house.board.notice("book", "All of this is read already.")
    house.board.reading = None
    return {"stopped": job.stopped()}


def _show(house: House, session: Session, job: Job, progress: Progress) -> None:
    """The bar of every page is where the reading is."""
    row = session.life.journal.event(session.state.event).data
    left = progress.windows_wanted - progress.windows_read
    job.progress = {
        **reading_record(progress),
        "done": progress.windows_read,
        "of": progress.windows_wanted,
        "seconds_left": left * row["seconds"] / row["windows"],
    }
    house.board.reading = {"job": job.id, **job.progress}


def _book_line(report: BookReport) -> str:
    parts = [
        f"{name} {values['before']:.3f} → {values['after']:.3f}"
        for name, values in report.held_out.items()
        if values["before"] is not None and values["after"] is not None
    ]
    figures = f"; held-out b/B: {', '.join(parts)}" if parts else ""
    return f"{report.book}: {report.windows} windows in {report.seconds:.0f} s{figures}"
