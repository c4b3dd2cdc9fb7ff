"""What a run depends on beyond this program."""

import importlib.metadata
import platform
from pathlib import Path

_PACKAGES = {name: name for name in ("jax", "jaxlib", "flax", "optax")} | {
    "orbax": "orbax-checkpoint"
}


def versions() -> dict[str, str]:
    """Versions of python and of the packages that decide the bits, processor and machine.

    Nothing is imported for it. A package that is not installed is `missing`.
    """
    found = {"python": platform.python_version()}
    for name, distribution in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found | {"processor": _processor(), "machine": platform.machine()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or "unknown"
