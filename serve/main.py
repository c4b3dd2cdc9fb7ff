"""The console program `apprentice`."""

import os
import signal
import sys

from serve.flags import UsageError, help_text, parse, stderr


def run() -> None:
    """Runs the program and ends the process with its exit code."""
    try:
        options = parse(sys.argv)
    except UsageError as error:
        stderr(f"apprentice: {error}")
        sys.exit(2)
    if options.help:
        sys.stdout.write(help_text() + "\n")
        sys.exit(0)
    # XLA's start-up notes are not for the owner of a model.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        # Everything heavy is imported after the flags are known, so that --help is quick.
        from serve.allocator import keep_freed_memory, return_freed_memory
        from serve.compile_cache import use_compile_cache
        from serve.modes import run_mode

        if options.store == "ram" or options.memory is None:
            keep_freed_memory()
        else:
            return_freed_memory()
        use_compile_cache()
        code = run_mode(options)
        # All is saved and said: a late Ctrl-C must not turn this end into another.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    run()
