"""Where a state is, in memory or on the disk: one interface for the step and for everyone else.

A state in memory is a tree of arrays. A state on the disk is the same tree of `DiskArray`s, which
NumPy can read leaf by leaf. Only the functions of this file make a difference between the two.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from model.config import ModelConfig
from model.transformer import Params, compute_copy
from train.disk_store import Disk
from train.generation import DiskArray, Generation
from train.memory import available_bytes
from train.optimizer import OptimizerConfig
from train.record_layout import layout, part_names, part_of
from train.residency import Residency, ram_bytes, require_disk
from train.state import TrainState, abstract_state

Part = tuple[Any, Any]
Kind = Literal["auto", "ram", "disk"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """Where the states of a life are to be.

    `auto` takes memory when the state fits. `memory` is what the process may take in bytes; None is
    what the machine has left. `remat` makes residuals again instead of keeping them, as a state
    on the disk always does.
    """

    kind: Kind = "auto"
    memory: int | None = None
    remat: bool = False

    def budget(self) -> int:
        """Bytes that the process may take."""
        if self.memory is not None:
            return self.memory
        return available_bytes() or 2**62

    def wants_disk(self, abstract: TrainState, dtype: DTypeLike) -> bool:
        """Whether such a state is to be on the disk."""
        if self.kind == "auto":
            return ram_bytes(abstract, dtype) > self.budget()
        return self.kind == "disk"

    def require_room(
        self, model: ModelConfig, optimizer: OptimizerConfig, dtype: DTypeLike, folder: Path
    ) -> None:
        """Nothing; refuses a new model that this memory or the disk of `folder` has no room for."""
        abstract = abstract_state(model, optimizer)
        if self.wants_disk(abstract, dtype):
            Residency.within(self.budget(), abstract, dtype)
            require_disk(folder, 2 * layout(abstract)[1], 0)


AUTO = StoreConfig()


def generation_of(tree: Any) -> Generation | None:
    """The generation that a tree's leaves are in; None in memory."""
    leaf = next(iter(jax.tree.leaves(tree)), None)
    return leaf.generation if isinstance(leaf, DiskArray) else None


class RamStep:
    """One step over a state in memory.

    Results get their memory when they are asked for, up to 32 calls ahead of the computing: the
    gradients of many layers beside the residuals of all. So it waits for the part before the last.
    """

    def __init__(self, state: TrainState) -> None:
        self._state, self._parts = state, dict[str, Part]()
        self._last: Part | None = None

    def take(self, name: str) -> Part:
        """A part's weights and moments, to be used up."""
        params, opt_state = self._state
        return part_of(params, name), part_of(opt_state, name)

    def put(self, name: str, part: Part) -> None:
        """The part as it is after the step."""
        jax.block_until_ready(self._last)
        self._last = self._parts[name] = part

    def finish(self) -> TrainState:
        """The state after the step."""
        return assembled(self._parts)


class DiskStep:
    """One step over a state on the disk: the next part is read while one is computed.

    Reading waits for the part that is being written, so that two parts are in memory at most.
    """

    def __init__(self, state: TrainState) -> None:
        source = generation_of(state)
        assert source is not None
        new = source.event is not None or source.frozen
        self._source = source
        self._target = source.disk.create(source.abstract, source) if new else source
        # The order in which gradients come.
        blocks = [name for name in reversed(source.names) if name.startswith("blocks/")]
        others = [name for name in ("norm_out", "embed", "head") if name in source.names]
        self._order = [*blocks, *others]
        self._next: Callable[[], Part] | None = None
        self._writes: list[Future[None]] = []

    def take(self, name: str) -> Part:
        """A part's weights and moments, to be used up; in the order of their gradients."""
        assert self._order.pop(0) == name
        part = (self._next or self._source.take(name))()
        self._next = self._source.take(self._order[0]) if self._order else None
        self._source.copies.pop(name, None)
        return part

    def put(self, name: str, part: Part) -> None:
        """The part as it is after the step."""
        self._writes.append(self._target.put(name, part, used_up=True))
        while self._writes and self._writes[0].done():
            self._writes.pop(0).result()

    def finish(self) -> TrainState:
        """The state after the step; the one before is gone."""
        for write in self._writes:
            write.result()
        self._target.version += 1
        return self._target.tree()


def open_step(state: TrainState) -> RamStep | DiskStep:
    """One step over a state, wherever it is."""
    return RamStep(state) if generation_of(state) is None else DiskStep(state)


def assembled(parts: dict[str, Part]) -> TrainState:
    """The state with these parts."""
    trees = TrainState({}, {})
    layers = sum(name.startswith("blocks/") for name in parts)
    for index, tree in enumerate(trees):
        tree["blocks"] = [parts[f"blocks/{layer}"][index] for layer in range(layers)]
        tree |= {name: part[index] for name, part in parts.items() if "/" not in name}
    return trees


def forward_weights(params: Params) -> dict[str, Any]:
    """What the forward pass reads: each part as a tree in memory, the layers one after another."""
    generation = generation_of(params)
    if generation is None:
        return params
    others = [name for name in generation.names if "/" not in name]
    found: dict[str, Any] = {name: generation.forward(name)() for name in others}
    return {**found, "blocks": _Layers(generation)}


class _Layers:
    """The layers of a generation, the next one being read while one is in use."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation

    def __len__(self) -> int:
        return len(self._generation.abstract.params["blocks"])

    def __iter__(self) -> Iterator[Any]:
        ahead = self._generation.forward("blocks/0")
        for layer in range(len(self)):
            block = ahead()
            if layer + 1 < len(self):
                ahead = self._generation.forward(f"blocks/{layer + 1}")
            yield block


def compute_weights(params: Params, dtype: DTypeLike) -> Params:
    """The whole model as replies read it, in memory: a `compute_copy`."""
    generation = generation_of(params)
    if generation is None:
        return compute_copy(params, dtype)
    weights = forward_weights(params)
    others = {name: part for name, part in weights.items() if name != "blocks"}
    layers = enumerate(weights["blocks"])
    blocks = [
        compute_copy(block, dtype) if f"blocks/{layer}" in generation.held else block
        for layer, block in layers
    ]
    return {**compute_copy(others, dtype), "blocks": blocks}


def on_disk(
    disk: Disk,
    abstract: TrainState,
    parts: Iterable[tuple[str, Part]],
    source: Generation | None = None,
) -> TrainState:
    """The state of these parts, written one after another into a generation after `source`."""
    generation = disk.create(abstract, source)
    for name, part in parts:
        generation.put(name, part).result()
    return generation.tree()


def in_memory(tree: Any) -> Any:
    """The tree with every array in memory."""
    return jax.tree.map(
        lambda leaf: leaf.load() if isinstance(leaf, DiskArray) else jnp.asarray(leaf), tree
    )


def parts_of(state: TrainState) -> Iterator[tuple[str, Part]]:
    """Every part of a state, in memory."""
    for name in part_names(state.params):
        yield name, tuple(in_memory(part_of(tree, name)) for tree in state)


def kept(params: Params) -> Params:
    """The parameters as they are now, whatever steps follow."""
    generation = generation_of(params)
    if generation is None:
        return jax.tree.map(jnp.copy, params)
    generation.frozen = True
    return params
