"""What training changes: parameters and optimizer state, arrays only."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax

from model.config import ModelConfig
from model.transformer import Params, init_params
from train.optimizer import OptimizerConfig, make_optimizer


class TrainState(NamedTuple):
    """The parameters and, with the same top-level structure, each part's optimizer state."""

    params: Params
    opt_state: dict[str, Any]


def init_state(config: ModelConfig, optimizer: OptimizerConfig, key: jax.Array) -> TrainState:
    """The state of a model at birth: random weights, no moments."""
    params = init_params(config, key)
    return TrainState(params, init_opt_state(params, optimizer))


def with_moments(
    parts: Iterable[tuple[str, Params]], optimizer: OptimizerConfig
) -> Iterator[tuple[str, tuple[Params, Any]]]:
    """(name, (parameters, zero moments)) of each part, one at a time."""
    init = jax.jit(make_optimizer(optimizer).init)
    for name, params in parts:
        yield name, (params, init(params))


def init_opt_state(params: Params, optimizer: OptimizerConfig) -> dict[str, Any]:
    """Zero moments for each part: embedding, every layer, the last norm."""
    init = jax.jit(make_optimizer(optimizer).init)
    return {
        name: [init(block) for block in part] if name == "blocks" else init(part)
        for name, part in params.items()
    }


def abstract_state(config: ModelConfig, optimizer: OptimizerConfig) -> TrainState:
    """Shapes and dtypes of a state, without any memory."""
    return jax.eval_shape(lambda key: init_state(config, optimizer, key), jax.random.key(0))
