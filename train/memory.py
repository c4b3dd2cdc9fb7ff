"""How much memory the machine has left and this process took, and sizes as people say them."""

import contextlib
import re
import resource
import sys
from fractions import Fraction
from pathlib import Path

# What a size in bytes may end with; a bare number is bytes.
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def available_bytes() -> int | None:
    """Bytes that programs can still get; None where the system does not tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def resident_bytes() -> int:
    """The memory this process holds now; the most it ever held where the system does not tell."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return peak_bytes()


def restart_peak() -> None:
    """`peak_bytes` counts from now on, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most memory this process held, since `restart_peak` where the system can."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def gigabytes(count: int) -> str:
    """A number of bytes as people say it."""
    return f"{count / 1e9:.2f} GB" if count >= 1e7 else f"{count / 1e6:.2f} MB"


def parse_bytes(name: str, text: str) -> int:
    """The bytes that a size such as 16GB, 900MB or 2GiB means.

    Raises:
      ValueError: no size, or none above 0; the sentence calls it by `name`.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]i?)?b?", text.strip().lower())
    if found:
        number, unit = found[1], found[2] or ""
        n_bytes = int(Fraction(number) * (_UNITS | _BINARY_UNITS)[unit])
        if n_bytes > 0:
            return n_bytes
    raise ValueError(
        f"{name} is a size such as 16GB, 900MB or 2GiB, got {text!r}; give a number with its unit."
    )
