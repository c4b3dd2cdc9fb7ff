"""The command line: the only file that defines absl flags, and what they mean together."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

MODES = ("start", "book", "interactive", "report")

_FLAGS = flags.FlagValues()
_SECTIONS: dict[str, list[str]] = {}


def _define(section: str, define: Any, name: str, default: Any, text: str, **more: Any) -> None:
    define(name, default, text, flag_values=_FLAGS, **more)
    _SECTIONS.setdefault(section, []).append(name)


_INT, _FLOAT, _STRING, _BOOL = (
    flags.DEFINE_integer,
    flags.DEFINE_float,
    flags.DEFINE_string,
    flags.DEFINE_bool,
)


def _define_all() -> None:
    run, birth, read, talk = "What to do", "A new model", "Reading", "Talking"
    _define(
        run,
        _STRING,
        "mode",
        "start",
        f"{', '.join(MODES)}; start reads the starter shelf into a new model, then talks",
    )
    _define(run, _STRING, "workdir", "~/apprentice", "the model folder: everything one model is")
    _define(run, _BOOL, "json", False, "one JSON object a line on standard output, nothing else")
    _define(run, _BOOL, "help", False, "this text")
    _define(birth, _STRING, "size", None, "2m, 10m, 50m, 124m, 350m or 1b parameters (10m)")
    _define(birth, _INT, "seed", None, "of every random draw in this life (0)")
    _define(birth, _INT, "vocab_size", None, "pieces of the tokenizer (8192)")
    _define(birth, _INT, "context", None, "tokens the model sees at once (256)")
    _define(birth, _INT, "d_model", None, "width of the residual stream (by size)")
    _define(birth, _INT, "n_layers", None, "layers (by size)")
    _define(birth, _INT, "n_kv_heads", None, "key/value heads (by size)")
    _define(birth, _INT, "n_query_groups", None, "query heads per key/value head (by size)")
    _define(birth, _INT, "head_dim", None, "numbers per head, even (64)")
    _define(birth, _INT, "d_ff", None, "width of the feed-forward part (by size)")
    _define(
        birth, _STRING, "dtype", None, "inputs of matrix products: bfloat16 or float32 (bfloat16)"
    )
    _define(read, flags.DEFINE_multi_string, "book", [], "file or folder to read, repeatable")
    _define(read, _INT, "epochs", None, "times to read the named books, in this life (1)")
    _define(
        read, _INT, "steps", None, "windows to read of the named books, in this life (no limit)"
    )
    _define(read, _INT, "batch_size", 1, "windows per gradient step")
    _define(read, _FLOAT, "learning_rate", None, "of reading, or of lessons when talking")
    _define(read, _INT, "warmup_steps", None, "reading steps over which the rate rises")
    _define(read, _BOOL, "mix", False, "read the named books as one, their documents shuffled")
    _define(read, _INT, "held_out_windows", 16, "windows per book in held-out figures, at most")
    _define(talk, _INT, "replies", 5, "candidates per turn")
    _define(talk, _INT, "max_new_tokens", 40, "tokens per reply, at most")
    _define(talk, _FLOAT, "temperature", 0.7, "of sampling; 0 is greedy")
    _define(talk, _FLOAT, "top_p", 0.95, "probability mass that replies are drawn from")
    _define(
        talk,
        _STRING,
        "script",
        None,
        'JSONL file of {"say": …}, with "pick": 1 to 5 or "teach": … for a lesson',
    )


_define_all()


class UsageError(ValueError):
    """Flags that make no sense; the program ends with exit code 2."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The command line by name; None where a flag was not given and has no fixed default."""

    values: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError as error:
            raise AttributeError(name) from error

    @property
    def folder(self) -> Path:
        return Path(self.workdir).expanduser()

    @property
    def dimensions(self) -> dict[str, int]:
        """The dimensions that were given by flag."""
        names = [*_SECTIONS["A new model"]]
        for other in ("size", "seed", "dtype"):
            names.remove(other)
        return {name: self.values[name] for name in names if self.values[name] is not None}


def parse(argv: Sequence[str]) -> Options:
    """The options of a command line.

    Raises:
      UsageError: an unknown flag, mode or value, or words that are no flags.
    """
    try:
        rest = _FLAGS(list(argv))[1:]
    except flags.Error as error:
        raise UsageError(f"{error}; see apprentice --help.") from error
    if rest:
        raise UsageError(
            f"every argument is a flag, got {' '.join(rest)!r}; see apprentice --help."
        )
    if _FLAGS.mode not in MODES:
        raise UsageError(f"mode must be one of {', '.join(MODES)}, got {_FLAGS.mode!r}.")
    if _FLAGS.dtype not in (None, "bfloat16", "float32"):
        raise UsageError(f"dtype must be bfloat16 or float32, got {_FLAGS.dtype!r}.")
    return Options({name: _FLAGS[name].value for name in _FLAGS})


def help_text() -> str:
    """Our own flags with units and defaults, by section."""
    lines = ["apprentice: a personal language model that learns from books and from you.", ""]
    for section, names in _SECTIONS.items():
        lines.append(f"{section}:")
        for name in names:
            flag = _FLAGS[name]
            shown = flag.default is not None and flag.default not in (False, [])
            default = f" ({flag.default})" if shown else ""
            lines.append(f"  --{name:<17} {flag.help}{default}")
        lines.append("")
    lines.append("Exit codes: 0 done, 1 bad input, 2 usage, 130 interrupted (everything saved).")
    return "\n".join(lines)


def stderr(text: str) -> None:
    """The sentence is on standard error."""
    sys.stderr.write(text + "\n")
