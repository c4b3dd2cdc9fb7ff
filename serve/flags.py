"""The command line: the only file that defines absl flags, and what they mean together."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from train.memory import parse_bytes
from train.recipe import RECIPES

if TYPE_CHECKING:
    from train.store import StoreConfig

MODES = (
    "start",
    "book",
    "interactive",
    "serve",
    "report",
    "grow",
    "plan",
    "undo",
    "replay",
    "revive",
    "export",
    "import",
)

DEFAULT_FOLDER = "~/apprentice"

_INT, _FLOAT, _STRING, _BOOL, _MULTI = (
    flags.DEFINE_integer,
    flags.DEFINE_float,
    flags.DEFINE_string,
    flags.DEFINE_bool,
    flags.DEFINE_multi_string,
)

# Where weights and moments may be, and what the moments may be stored as.
STORES, MOMENTS = ("auto", "ram", "disk"), ("float32", "bfloat16", "int8")

# Section -> rows of (kind, name, default, what it says in --help).
_TABLE: dict[str, list[tuple[Any, str, Any, str]]] = {
    "What to do": [
        (
            _STRING,
            "mode",
            "start",
            f"{', '.join(MODES)}; start reads the starter shelf into a new model, then talks",
        ),
        (_STRING, "workdir", DEFAULT_FOLDER, "the model folder: everything one model is"),
        (_BOOL, "json", False, "one JSON object a line on standard output, nothing else"),
        (_BOOL, "help", False, "this text"),
    ],
    "A new model": [
        (_STRING, "size", None, "2m, 10m, 50m, 124m, 350m, 1b, 2b, 3b or 5b parameters (10m)"),
        (_INT, "seed", None, "of every random draw in this life (0)"),
        (
            _STRING,
            "dtype",
            None,
            "inputs of matrix products: bfloat16 or float32 (bfloat16); of an export see below",
        ),
        (_INT, "vocab_size", None, "pieces of the tokenizer (8192)"),
        (_FLOAT, "context", None, "tokens the model sees at once (256); a ratio when growing"),
        (_INT, "d_model", None, "width of the residual stream (by size)"),
        (_INT, "n_layers", None, "layers (by size)"),
        (_INT, "n_kv_heads", None, "key/value heads (by size)"),
        (_INT, "n_query_groups", None, "query heads per key/value head (by size)"),
        (_INT, "head_dim", None, "numbers per head, even (64)"),
        (_INT, "d_ff", None, "width of the feed-forward part (by size)"),
    ],
    "Reading": [
        (_MULTI, "book", [], "file or folder to read, repeatable"),
        (_INT, "epochs", None, "times to read the named books, in this life (1)"),
        (_INT, "steps", None, "windows to read of the named books, in this life (no limit)"),
        (
            _INT,
            "batch_size",
            None,
            "windows per gradient step (1 in the first 400 steps, then 8)",
        ),
        (
            _FLOAT,
            "learning_rate",
            None,
            "of reading (1e-3, then 2e-3), or of lessons when talking (5e-4)",
        ),
        (_INT, "warmup_steps", None, "reading steps over which the rate rises (100)"),
        (_BOOL, "mix", False, "read the named books as one, their documents shuffled"),
        (_INT, "rehearse_every", 24, "windows until known old lessons come back; 0 is never"),
        (_INT, "held_out_windows", 16, "windows per book in held-out figures, at most"),
    ],
    "Growing (ratios, such as 2 or 1.5; or a target, such as --d_model=512)": [
        (_FLOAT, "width", None, "times the width of stream and feed-forward part"),
        (_FLOAT, "ffn", None, "times the width of the feed-forward part alone"),
        (_FLOAT, "heads", None, "times the key/value heads"),
        (_FLOAT, "groups", None, "times the query heads per key/value head"),
        (_FLOAT, "depth", None, "times the layers"),
        (_INT, "context_tokens", None, "the context to reach, instead of the ratio --context"),
        (_FLOAT, "noise", 0.0, "of newborn entries that are 0 in an exact growth, by their scale"),
        (_BOOL, "dry_run", False, "show what would be made, and make nothing"),
    ],
    "Memory": [
        (_STRING, "moments", None, "of a new model, stored as float32, bfloat16 or int8 (float32)"),
        (_STRING, "memory", None, "what the program may hold, such as 16GB (what is free)"),
        (_STRING, "store", "auto", "weights and moments in ram, on disk, or auto: ram if they fit"),
        (_BOOL, "remat", False, "make residuals again instead of keeping them; on disk always so"),
    ],
    "Talking": [
        (_INT, "replies", 5, "candidates per turn"),
        (_INT, "max_new_tokens", 40, "tokens per reply, at most"),
        (_FLOAT, "temperature", 0.7, "of sampling; 0 is greedy"),
        (_FLOAT, "top_p", 0.95, "probability mass that replies are drawn from"),
        (_BOOL, "remember", True, "the first reply is the taught answer called to mind, if any"),
        (
            _STRING,
            "script",
            None,
            'JSONL file of {"say": …}, with "pick": 1 to 5 or "teach": … for a lesson, or "why": 1',
        ),
        (_STRING, "lesson", "rehearsed", f"how a lesson is learned: {', '.join(RECIPES)}"),
        (_INT, "rest_updates", None, "of rehearsal while nobody types (30); in scripts all (0)"),
        (_BOOL, "learn_off", False, "talk without teaching and without a trace"),
    ],
    "The page": [
        (_INT, "port", 8451, "of the page and the endpoint, on this machine alone; 0 is any"),
        (_STRING, "listen", None, "address to be reached at from other machines; needs its token"),
    ],
    "To and from other programs": [
        (_STRING, "to", None, "export: new folder for the files"),
        (_STRING, "format", None, "export: huggingface, or gguf for llama.cpp (huggingface)"),
        (_STRING, "from", None, "import: folder of a Llama, safetensors and tokenizer.model"),
    ],
    "Undoing, replaying, keeping": [
        (_INT, "lessons", None, "undo: so many of the last lessons (1)"),
        (_INT, "event", None, "undo: this event; of an undo, to redo"),
        (_BOOL, "yes", False, "undo: also what stands on that event"),
        (_STRING, "into", None, "replay: empty folder that the whole life is lived again in"),
        (_STRING, "chart", None, "report: PNG file for what was kept of lessons and books"),
        (_STRING, "export", None, "report: empty folder for everything as plain files"),
        (_STRING, "exported", None, "revive: folder of such plain files, back into --workdir"),
    ],
}
# Format of an export -> what its matrices may be stored as; the first is exact.
FORMATS = {"huggingface": ("f32", "f16", "bf16"), "gguf": ("f32", "f16", "bf16", "q8_0")}
_DIMENSIONS = tuple(name for _, name, _, _ in _TABLE["A new model"][3:])
_SIZES = ("size", *(name for name in _DIMENSIONS if name != "context"))

_GROWING = ("width", "ffn", "heads", "groups", "depth", "context_tokens", "noise", "dry_run")
_RATIOS = ("width", "ffn", "heads", "groups", "depth", "context")


def _new_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for rows in _TABLE.values():
        for define, name, default, text in rows:
            define(name, default, text, flag_values=values)
    return values


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
        """The dimensions of a new model that were given by flag."""
        given = self.sizes
        if self.context is not None:
            if self.context != int(self.context):
                raise ValueError(
                    f"context is a whole number of tokens, got {self.context:g}; round it."
                )
            given["context"] = int(self.context)
        return given

    @property
    def sizes(self) -> dict[str, int]:
        """The dimensions but the context, which is a ratio to some modes."""
        return {name: self.values[name] for name in _SIZES[1:] if self.values[name] is not None}

    @property
    def memory_bytes(self) -> int | None:
        """What --memory allows, in bytes; None where it was not given."""
        return None if self.memory is None else parse_bytes("memory", self.memory)

    @property
    def store_config(self) -> "StoreConfig":
        """Where weights and moments are to be."""
        # Brings JAX with it, which --help does without.
        from train.store import StoreConfig

        return StoreConfig(kind=self.store, memory=self.memory_bytes, remat=self.remat)

    @property
    def ratios(self) -> dict[str, float]:
        """What a growth multiplies, by flag."""
        return {name: self.values[name] for name in _RATIOS if self.values[name] is not None}


def parse(argv: Sequence[str]) -> Options:
    """The options of a command line.

    Raises:
      UsageError: an unknown flag, mode or value, or words that are no flags.
    """
    values = _new_flags()
    try:
        rest = values(list(argv))[1:]
    except flags.Error as error:
        raise UsageError(f"{error}; see apprentice --help.") from error
    if rest:
        raise UsageError(
            f"every argument is a flag, got {' '.join(rest)!r}; see apprentice --help."
        )
    known = {"mode": MODES, "store": STORES, "moments": MOMENTS, "lesson": RECIPES}
    for name, choices in known.items():
        if values[name].value not in (None, *choices):
            raise UsageError(
                f"{name} must be one of {', '.join(choices)}, got {values[name].value!r}."
            )
    for names, mode in ((_GROWING, "grow"), (("to", "format"), "export"), (("from",), "import")):
        given = [name for name in names if values[name].present]
        if given and values.mode != mode:
            raise UsageError(f"--{given[0]} belongs to --mode={mode}, got --mode={values.mode}.")
    fixed = [name for name in _SIZES if values[name].present]
    if fixed and values.mode in ("export", "import"):
        raise UsageError(
            f"--mode={values.mode} keeps the model's sizes (all but a shorter --context), got "
            f"--{fixed[0]}; leave it out."
        )
    _require_dtype(values.mode, values.format, values.dtype)
    return Options({name: values[name].value for name in values})


def _require_dtype(mode: str, format_: str | None, dtype: str | None) -> None:
    """Nothing; refuses a format or a dtype that the mode does not have."""
    if format_ not in (None, *FORMATS):
        raise UsageError(f"format must be huggingface or gguf, got {format_!r}.")
    known = FORMATS[format_ or "huggingface"] if mode == "export" else ("bfloat16", "float32")
    if dtype not in (None, *known):
        raise UsageError(f"dtype must be {' or '.join(known)}, got {dtype!r}.")


def help_text() -> str:
    """Our own flags with units and defaults, by section."""
    lines = ["apprentice: a personal language model that learns from books and from you.", ""]
    for section, rows in _TABLE.items():
        lines.append(f"{section}:")
        for _, name, default, text in rows:
            shown = "" if default in (None, False) or default == [] else f" ({default})"
            lines.append(f"  --{name:<17} {text}{shown}")
        lines.append("")
    lines.append("Exit codes: 0 done, 1 bad input, 2 usage, 130 interrupted (everything saved).")
    return "\n".join(lines)


def stderr(text: str) -> None:
    """The sentence is on standard error."""
    sys.stderr.write(text + "\n")
