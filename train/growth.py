"""A growth as an event of a life: planned, made, proven, then written to the journal."""

import dataclasses
import math
import shutil
import time
from typing import Any

import jax
import numpy as np

from grow.check import PROMPT_TOKENS, Proof, observe, prove, require_exact
from grow.moments import grow_moments, grow_part_moments
from grow.plan import Plan
from grow.surgery import grow, grow_part
from model.config import ModelConfig
from train.life import GROWTH_STREAM, Life, LifeState
from train.memory import available_bytes, gigabytes, peak_bytes, restart_peak
from train.newborn import Growth
from train.optimizer import make_optimizer
from train.reading_plan import books_read
from train.record_layout import part_names, part_of
from train.state import TrainState, abstract_state
from train.store import compute_weights, generation_of, in_memory, on_disk

# Greedy tokens that are compared before a growth counts.
PROOF_TOKENS = 2000
# What a checkpoint has besides its arrays, and room to go on writing the journal.
SPARE_DISK_BYTES = 64 * 2**20


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrowthReport:
    """What one growth did; `seconds` and `peak_bytes` of the process include the proof."""

    event: int
    parameters_before: int
    parameters_after: int
    proof: Proof
    noise: float
    seconds: float
    peak_bytes: int


def grow_life(
    life: Life, state: LifeState, plan: Plan, noise: float = 0.0
) -> tuple[LifeState, GrowthReport]:
    """The state after a growth that is safe in the journal, and the proof that nothing changed.

    Args:
      state: donated; when anything fails it has to be restored from the folder, which is as it was.
      plan: of `state.config.model`.
      noise: 0 is exact and proven; otherwise see `grow`, and only the old entries are checked.

    Raises:
      ValueError: not enough memory or disk, a proof that fails, or a journal that cannot be
        written.
    """
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise must be a number of at least 0, got {noise:g}; correct it.")
    require_room(life, state, plan)
    started = time.monotonic()
    restart_peak()
    old, dtype = state.config.model, state.config.dtype
    prompts_BT, length = _prompts(life, old)
    before = observe(_observed(state), prompts_BT, length, old, dtype)
    data: dict[str, Any] = {
        "model": plan.new.to_json(),
        "noise": noise,
        "number": life.journal.count("grow"),
    }
    state = apply_grow(life, state, data)
    proof = prove(before, _observed(state), old, plan.new, dtype)
    if not noise:
        require_exact(proof, dtype)
    peak = peak_bytes()
    event = life.journal.append(
        "grow", {**data, **proof._asdict(), "seconds": time.monotonic() - started}
    )
    return state._replace(event=event.id), GrowthReport(
        event=event.id,
        parameters_before=plan.parameters_before,
        parameters_after=plan.parameters_after,
        proof=proof,
        noise=noise,
        seconds=time.monotonic() - started,
        peak_bytes=peak,
    )


def apply_grow(life: Life, state: LifeState, data: dict[str, Any]) -> LifeState:
    """The state after a growth that the journal holds; `state` is donated, leaf by leaf."""
    old, new = state.config.model, ModelConfig.from_json(data["model"])
    born = int(np.asarray(state.train.opt_state["norm_out"][1].count))
    key = life.stream(GROWTH_STREAM, data["number"])
    train = _grown(life, state, new, key, data["noise"])
    growths = (*state.config.growths, Growth(old, born))
    config = state.config._replace(model=new, growths=growths)
    # The model's own replies are taken anew: a life lived again has not taken them yet by now.
    memory = state.memory._replace(own=None)
    return state._replace(train=train, config=config, memory=memory)


def _grown(
    life: Life, state: LifeState, new: ModelConfig, key: jax.Array, noise: float
) -> TrainState:
    """The arrays of the grown model, in memory or part by part on the disk."""
    train, old = state.train, state.config.model
    optimizer = make_optimizer(state.config.optimizer)
    source = generation_of(train)
    abstract = abstract_state(new, state.config.optimizer)
    to_disk = life.store.wants_disk(abstract, state.config.dtype)
    if source is None and not to_disk:
        moments = grow_moments(train.opt_state, optimizer, old, new, release=True)
        return TrainState(grow(train.params, old, new, key, noise=noise, release=True), moments)

    def old_params(name: str) -> Any:
        return in_memory(part_of(train.params, name))

    def old_moments(name: str) -> Any:
        return in_memory(part_of(train.opt_state, name))

    parts = (
        (
            name,
            (
                grow_part(old_params, name, old, new, key, noise=noise),
                grow_part_moments(old_moments, name, optimizer, old, new),
            ),
        )
        for name in part_names(abstract.params)
    )
    return on_disk(life.disk, abstract, parts, source)


def require_room(life: Life, state: LifeState, plan: Plan) -> None:
    """Nothing; refuses a growth whose result has no room in memory or on the disk.

    What does not fit into memory is put on the disk, and twice: a step never writes over the last
    checkpoint.

    Raises:
      ValueError: says how much it needs and how much there is.
    """
    free = shutil.disk_usage(life.workdir).free
    abstract = abstract_state(plan.new, state.config.optimizer)
    to_disk = life.store.wants_disk(abstract, state.config.dtype)
    needed = (2 if to_disk else 1) * plan.state_bytes + SPARE_DISK_BYTES
    if free < needed:
        raise ValueError(
            f"the grown model needs {gigabytes(needed)} on the disk of {life.workdir}, got "
            f"{gigabytes(free)} free; free space or grow less."
        )
    available = available_bytes()
    if not to_disk and available is not None and available < plan.extra_bytes:
        raise ValueError(
            f"growing needs {gigabytes(plan.extra_bytes)} more memory, got "
            f"{gigabytes(available)}; close other programs or grow less."
        )


def _observed(state: LifeState) -> Any:
    """The parameters for a proof: of a state on the disk its compute copy, which says the same."""
    if generation_of(state.train) is None:
        return state.train.params
    return compute_weights(state.train.params, state.config.dtype)


def seconds_per_step(life: Life) -> float | None:
    """How long a reading step of the present model took when it last read; None before."""
    found = None
    for event in life.journal.events(kinds=("read", "grow")):
        found = None if event.kind == "grow" else event.data
    if found is None:
        return None
    return found["seconds"] / -(-found["windows"] // found["batch_size"])


def _prompts(life: Life, config: ModelConfig) -> tuple[jax.Array, int]:
    """Beginnings of texts never trained on, as many as the proof needs; random ones before books.

    Returns:
      Ids of one length, and the tokens of prompt and text together.
    """
    length = config.context
    n_prompt = min(PROMPT_TOKENS, length // 2)
    rows = -(-PROOF_TOKENS // (length - n_prompt))
    hashes = books_read(life)
    documents = life.library.get(hashes).held_out if hashes else ()
    starts = [document.ids[:n_prompt] for document in documents if len(document.ids) >= n_prompt]
    rng = np.random.default_rng(life.seed)
    while len(starts) < rows:
        starts.append(rng.integers(0, config.vocab_size, n_prompt))
    chosen = [starts[row * len(starts) // rows] for row in range(rows)]
    return jax.numpy.asarray(np.stack(chosen), "int32"), length
