"""Compiled functions kept between starts, so that only the first start of a size compiles."""

import hashlib
import os
from pathlib import Path

import jax

from train.versions import versions


def use_compile_cache() -> None:
    """Compiled functions come from, and go to, a folder of this jaxlib on this processor.

    Code compiled for another processor or by another jaxlib can crash, hence the key. A folder
    that cannot be written only means compiling at every start.
    """
    found = versions()
    names = sorted(found.items())
    key = hashlib.sha256(repr(names).encode()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "apprentice" / f"xla-{found['jaxlib']}-{key}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
