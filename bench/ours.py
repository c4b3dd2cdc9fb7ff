"""This program as a contestant: python -m bench.ours TASK (see bench/worker.py)."""

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bench.worker import Measure, Task, peak_bytes, prompt_ids, resident_bytes, serve
from model.axes import count_parameters
from model.config import new_config
from model.transformer import compute_copy
from serve.allocator import keep_freed_memory
from serve.sample import SamplingConfig, sample_replies
from serve.session import Session
from serve.turn import Turn
from train.books import load_book
from train.life import open_life
from train.optimizer import OptimizerConfig
from train.reading import Progress
from train.reading_plan import ReadingConfig
from train.replay import restore
from train.state import init_state
from train.step import StepConfig, train_step
from train.windows import Batch

Prepared = tuple[Measure, dict]
LEARNING_RATE = 1e-4


def step(task: Task) -> Prepared:
    """Seconds of one training step on random windows, and the memory it took."""
    before = resident_bytes()
    model = new_config(task["size"], **task["sizes"])
    config = StepConfig(model, OptimizerConfig(), jnp.dtype(task["dtype"]))
    state = init_state(model, config.optimizer, jax.random.key(0))
    rng = np.random.default_rng(0)
    shape = (task["batch"], model.context)
    ids_BT = rng.integers(0, model.vocab_size, (task["batch"], model.context + 1)).astype(np.int32)
    ones_BT, zeros_BT = np.ones(shape, np.float32), np.zeros(shape, np.int32)
    batch = Batch(ids_BT[:, :-1], ids_BT[:, 1:], ones_BT, zeros_BT)

    def measure():
        nonlocal state
        started = time.perf_counter()
        previous = None
        for _ in range(task["repeats"]):
            state, loss = train_step(state, batch, LEARNING_RATE, config)
            # As reading does: the next step is prepared while this one is computed.
            if previous is not None:
                previous.block_until_ready()
            previous = loss
        jax.block_until_ready(state)
        seconds = (time.perf_counter() - started) / task["repeats"]
        return {"seconds": seconds, "bytes": peak_bytes() - before, "process": peak_bytes()}

    return _warm(measure), {"parameters": count_parameters(model)}


def replies(task: Task) -> Prepared:
    """Seconds of some replies of one length to a prompt, by the program's own sampling."""
    with open_life(Path(task["life"]), read_only=True) as life:
        state, tokenizer = restore(life)[0], life.tokenizer
    config, dtype = state.config.model, jnp.dtype(task["dtype"])
    params = compute_copy(state.train.params, dtype)
    sampling = SamplingConfig(
        replies=task["replies"],
        max_new_tokens=task["tokens"],
        temperature=task["temperature"],
        top_p=task["top_p"],
    )
    turns = 0

    def measure():
        nonlocal turns
        turns += 1
        prompt = prompt_ids(task, turns)
        started = time.perf_counter()
        *_, found = sample_replies(
            params, prompt, jax.random.key(turns), tokenizer, config, sampling, dtype
        )
        seconds = time.perf_counter() - started
        # A reply that ended early costs as much: all rows go on until the last one ends.
        return {"seconds": seconds, "tokens": max(len(reply.ids) for reply in found)}

    return _warm(measure), {"parameters": count_parameters(config)}


def lesson(task: Task) -> Prepared:
    """Seconds of a whole turn: five replies, the choice, the update, the row in the journal.

    The rehearsals that a lesson owes are made while the person reads and writes, and are told
    apart. So small a rate leaves the model newborn, and its replies as long as they may be.
    """
    session = Session.open(task["life"])
    session.teach_at(1e-8)
    turns = 0

    def measure():
        nonlocal turns
        turns += 1
        session.forget_context()
        session.weights()
        started = time.perf_counter()
        say = f"Tell me the story of the old man and the sea from day {turns} on."
        turn = list(session.stream(say))[-1]
        assert isinstance(turn, Turn)
        seen = time.perf_counter()
        turn.teach(f"There was an old man who fished alone for {turns} days.")
        done = time.perf_counter()
        session.settle()
        return {
            "seconds": done - started,
            "replies": seen - started,
            "update": done - seen,
            "owed": time.perf_counter() - done,
            "tokens": max(len(reply.ids) for reply in turn.replies),
        }

    return _warm(measure), {"parameters": count_parameters(session.state.config.model)}


def read(task: Task) -> Prepared:
    """Seconds per window of a pass through a whole book, with all that comes with it.

    `steps_seconds` is without what is done once: figures before and after, the checkpoint at the
    end, the model's own replies for later lessons.
    """
    session, book = Session.open(task["life"]), load_book(Path(task["book"]))
    context = session.state.config.model.context
    epochs = 0

    def measure():
        nonlocal epochs
        epochs += 1
        reading = ReadingConfig(
            epochs=epochs, batch_size=task["batch"], learning_rate=LEARNING_RATE
        )
        windows, steps_seconds = 0, 0.0
        started = time.perf_counter()
        for report in session.read([book], reading):
            if isinstance(report, Progress):
                windows = report.windows_read
                steps_seconds += report.tokens / report.tokens_per_second
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds / windows,
            "steps_seconds": steps_seconds / windows,
            "windows": windows,
            "context": context,
        }

    return _warm(measure), {"parameters": count_parameters(session.state.config.model)}


def roof(task: Task) -> Prepared:
    """Seconds of a large matrix product, with bfloat16 and float32 inputs, and of moving memory."""
    side, n_bytes = task["side"], task["bytes"]
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    pairs = {
        dtype: [jnp.ones((side, side), dtype) / side for _ in range(2)]
        for dtype in ("bfloat16", "float32")
    }
    values = jnp.ones(n_bytes // 4, jnp.float32)
    read_all, copy = jax.jit(jnp.sum), jax.jit(lambda x: x * 1.5)

    def rate(amount, run):
        best = 0.0
        for _ in range(task["repeats"]):
            started = time.perf_counter()
            run().block_until_ready()
            best = max(best, amount / (time.perf_counter() - started))
        return best

    def measure():
        started = time.perf_counter()
        rates = {
            f"{dtype}_flops": rate(2 * side**3, lambda pair=pair: product(*pair))
            for dtype, pair in pairs.items()
        }
        rates["read_bytes"] = rate(n_bytes, lambda: read_all(values))
        rates["copy_bytes"] = rate(2 * n_bytes, lambda: copy(values))
        return {"seconds": time.perf_counter() - started, **rates}

    return _warm(measure), {}


def _warm(measure: Measure) -> Measure:
    for _ in range(2):
        measure()
    return measure


KINDS = {kind.__name__: kind for kind in (step, replies, lesson, read, roof)}

if __name__ == "__main__":
    keep_freed_memory()
    serve(lambda task: KINDS[task["what"]](task))
