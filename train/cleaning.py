"""A text file as its owner has it -> plain text with one paragraph a line."""

import codecs
import re
import unicodedata
from pathlib import Path

import charset_normalizer

_SAMPLE_BYTES = 8192
# charset-normalizer cannot tell cp1250 from cp1252 by a few accents; these are written in cp1252.
_WESTERN = re.compile(
    "Danish|Dutch|English|Finnish|French|German|Indonesian|Italian|Norwegian|Portuguese|Spanish"
    "|Swedish|Unknown"
)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_GUTENBERG = re.compile(r"Project\s+Gutenberg", re.IGNORECASE)
_START = re.compile(
    r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]*\*\*\*[^\n]*$", re.IGNORECASE | re.M
)
_SMALL_PRINT_END = re.compile(r"^\*END[* ]+THE SMALL PRINT!?[^\n]*$", re.IGNORECASE | re.M)
_CREDIT = re.compile(
    r"\A\s*(?:Produced|E-?text prepared|This (?:e-?text|e-?book) was (?:produced|prepared))\b"
    r"(?:[^\n]*\n)+?(?=\s*\n)",
    re.IGNORECASE,
)
_END = re.compile(
    r"^(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|\W*End of (?:the |this )?Project Gutenberg"
    r"|\*\*\* ?START: FULL LICENSE"
    r"|\*+START\**THE SMALL PRINT)",
    re.IGNORECASE | re.M,
)

_WRAPPED = range(50, 101)
_LONG_LINES_OF_UNWRAPPED_TEXT = 0.05
_TABLE = re.compile(r"\S {3,}\S")
_UNBROKEN = re.compile(r"[\f]|<\|endoftext\|>\Z")


def read_text(path: str | Path) -> tuple[str, str]:
    """Returns the text of the file, with LF line ends and no byte-order mark, and its encoding.

    UTF-8 is tried first; otherwise the encoding is guessed from the lines that are not ASCII.

    Raises:
      ValueError: the file cannot be read, holds no text, or its encoding cannot be told.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"book {path} cannot be read ({error.strerror}), want a text file; check the path."
        ) from error
    text, encoding = _decode(data, path)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ValueError(f"book {path} holds no words, want text; give another file.")
    return text, encoding


def _decode(data: bytes, path: Path) -> tuple[str, str]:
    if data.startswith(_UTF16):
        candidates = ["utf-16"]
    elif b"\0" in data:
        raise ValueError(f"book {path} is a binary file, want plain text; convert it to .txt.")
    else:
        candidates = ["utf-8"]
    for encoding in candidates:
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            candidates += _guesses(data) if encoding == "utf-8" else []
    raise ValueError(
        f"book {path} is in an unknown encoding, want UTF-8; save it as UTF-8 and try again."
    )


def _guesses(data: bytes) -> list[str]:
    """Returns the encodings worth trying, best first."""
    foreign = b"\n".join(line for line in data.splitlines() if not line.isascii())
    best = charset_normalizer.from_bytes(foreign[:_SAMPLE_BYTES]).best()
    if best is None:
        return ["cp1252", "latin-1"]
    letters = [c for c in str(best) if c.isalpha() and not c.isascii()]
    n_latin = sum(unicodedata.name(c, "").startswith("LATIN") for c in letters)
    if 2 * n_latin >= len(letters) and _WESTERN.fullmatch(best.language):
        return ["cp1252", "latin-1"]
    return [best.encoding]


def clean_text(text: str) -> str:
    """Returns the text with one paragraph a line and without Project Gutenberg's licence.

    Blanks at line ends go and several blank lines become one. Within a run of non-blank lines
    the line breaks go when every line but the last has 50 to 100 characters and the last no
    more; verse, tables, indented lines, form feeds and `<|endoftext|>` lines stay. A file with
    many longer lines is not hard-wrapped and keeps all its breaks.
    """
    lines = [_rstrip(line) for line in strip_licence(text).split("\n")]
    filled = [line for line in lines if line]
    n_long = sum(len(line) >= _WRAPPED.stop for line in filled)
    if n_long <= _LONG_LINES_OF_UNWRAPPED_TEXT * len(filled):
        lines = _unwrap(lines)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _rstrip(line: str) -> str:
    """Returns the line without blanks at its end and before form feeds."""
    return "\f".join(part.rstrip(" \t") for part in line.split("\f"))


def strip_licence(text: str) -> str:
    """Returns the text between Project Gutenberg's header and footer, or all of it without them."""
    if not _GUTENBERG.search(text):
        return text
    start = _START.search(text)
    if start is None:
        start = _SMALL_PRINT_END.search(text)
    # Some editions have the small print after the book.
    if start is not None and text[start.end() :].strip():
        text = _CREDIT.sub("", text[start.end() :])
    end = _END.search(text)
    return text[: end.start()] if end is not None else text


def _unwrap(lines: list[str]) -> list[str]:
    unwrapped: list[str] = []
    run: list[str] = []
    for line in [*lines, ""]:
        if line and not _UNBROKEN.search(line):
            run.append(line)
            continue
        unwrapped += [_join(run)] if _is_paragraph(run) else run
        unwrapped.append(line)
        run = []
    return unwrapped


def _is_paragraph(run: list[str]) -> bool:
    """Returns whether the line breaks within the run are a typesetter's and not the author's."""
    return (
        len(run) > 1
        and all(len(line) in _WRAPPED for line in run[:-1])
        and len(run[-1]) < _WRAPPED.stop
        and not any(line[0].isspace() for line in run[1:])
        and not any(_TABLE.search(line) for line in run)
    )


def _join(run: list[str]) -> str:
    """Returns the lines as one; after a dash or hyphen the words go on without a blank."""
    joined = run[0]
    for line in run[1:]:
        has_dash = joined.endswith(("-", "—")) and not joined[-2:-1].isspace()
        joined += line if has_dash else f" {line}"
    return joined
