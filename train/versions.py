"""What a run depends on beyond this program."""

import hashlib
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
    # The name alone does not tell what a virtual machine offers of a processor.
    features = hashlib.sha256(_cpuinfo("flags").encode()).hexdigest()[:16]
    name = _cpuinfo("model name") or platform.processor() or "unknown"
    return found | {"processor": name, "features": features, "machine": platform.machine()}


def changed_versions(born: dict[str, str]) -> dict[str, list[str | None]]:
    """{name: [at birth, now]} of what the bits depend on and is not the same any more."""
    now = versions()
    return {name: [born.get(name), now[name]] for name in now if born.get(name) != now[name]}


def _cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(field))
    return next(found, "")
