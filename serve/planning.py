"""--mode=plan: what a model would take, from its compiled functions and this machine's rates."""

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.config import SIZES, ModelConfig, new_config
from model.transformer import abstract_params, compute_copy
from serve.allocator import give_back_freed_memory
from serve.autosave import SAVE_SHARE, SECONDS_PER_CHECKPOINT
from serve.decode import CHUNK, PROMPT_BLOCK, Drawing, Marks, decode_chunk, prefill
from serve.flags import DEFAULT_FOLDER, Options
from serve.lines import plan_heading, plan_lines, plan_row
from serve.output import Output
from serve.session import Session
from serve.starter import starter_files
from train.activities import Activities, time_activities, training_costs
from train.books import load_book
from train.compiled import Cost, Costs, costs_of
from train.effective import effective_events
from train.life import create_life, is_model_folder, open_life
from train.machine import measure_machine
from train.memory import available_bytes, resident_bytes
from train.memory_plan import MemoryPlan, plan_memory
from train.moments import Kind
from train.optimizer import OptimizerConfig
from train.plan_times import Surroundings
from train.recipe import RECIPES, Recipe
from train.step import StepConfig

REPLIES = 5
# Of the free memory a function may take this part to be run; a layer of 5b takes a tenth of 24 GB.
ROOM_SHARE = 8


def plan_mode(options: Options, output: Output) -> int:
    """Shows what one model would take, or a row for every named size; changes nothing."""
    # Everything is compiled anew, as at a model's first start: that takes memory of its own.
    jax.config.update("jax_enable_compilation_cache", False)
    given = options.memory_bytes
    configs = _configs(options)
    allowed = available_bytes() if given is None else given
    machine = measure_machine(options.folder, next(iter(configs.values())).dtype)
    give_back_freed_memory()
    around = Surroundings(
        machine=machine,
        framework_bytes=0,
        memory_bytes=allowed,
        checkpoint_seconds=SECONDS_PER_CHECKPOINT,
        checkpoint_share=SAVE_SHARE,
        reply_tokens=options.max_new_tokens,
        recipe=RECIPES[options.lesson],
    )
    if len(configs) == 1:
        ((name, config),) = configs.items()
        plan, around = plan_model(config, around, (available_bytes() or 0) // ROOM_SHARE)
        record = memory_plan_record(name, config, plan, around)
        output.done(record, "\n".join(plan_lines(record)))
        return 0
    above = f"{plan_heading()}\n"
    for name, config in configs.items():
        try:
            plan, around = plan_model(config, around)
        except ValueError as error:
            output.say(f"{name:<6}{error}")
            continue
        record = memory_plan_record(name, config, plan, around)
        output.done(record, above + plan_row(record))
        above = ""
    return 0


def _configs(options: Options) -> dict[str, StepConfig]:
    """The model that the flags or the folder name, or all named sizes."""
    new = functools.partial(
        _fresh,
        dtype=options.dtype or "bfloat16",
        moments=options.moments or "float32",
        remat=options.remat,
    )
    if options.size is not None or options.dimensions:
        size = options.size or "10m"
        return {size: new(new_config(size, **options.dimensions))}
    if options.workdir != DEFAULT_FOLDER and is_model_folder(options.folder):
        return {options.workdir: _living(options.folder)._replace(remat=options.remat)}
    return {size: new(new_config(size)) for size in SIZES}


def _fresh(
    model: ModelConfig, dtype: str = "bfloat16", moments: Kind = "float32", *, remat: bool = False
) -> StepConfig:
    return StepConfig(model, OptimizerConfig(moments=moments), jnp.dtype(dtype), remat=remat)


def _living(folder: Path) -> StepConfig:
    """The present config of a model folder; that newborn entries begin gently costs nothing."""
    with open_life(folder, read_only=True) as life:
        config = life.birth_config
        for event in effective_events(life.journal, kinds=("grow",)):
            config = config._replace(model=ModelConfig.from_json(event.data["model"]))
    return config


def plan_model(
    config: StepConfig, around: Surroundings, room: int = 0
) -> tuple[MemoryPlan, Surroundings]:
    """The plan, and the surroundings with the framework's memory, measured if it is not known.

    Functions whose arrays fit into `room` bytes are run for their times, which takes a minute for a
    large model; of others, and so in a table of all sizes, the times are those of rates.
    """
    activities = activity_costs(config, around.recipe)
    if not around.framework_bytes:
        around = dataclasses.replace(around, framework_bytes=_framework_bytes())
    # After the framework's memory was measured, for what is run leaves some of its own.
    seconds = time_activities(config, activities, around.machine, room)
    give_back_freed_memory()
    return plan_memory(config, activities, seconds, around), around


@functools.cache
def activity_costs(config: StepConfig, recipe: Recipe) -> Activities:
    """What lessons, reading and five replies cost; each function is compiled, none is run."""
    model, dtype = config.model, config.dtype
    params = jax.eval_shape(functools.partial(compute_copy, dtype=dtype), abstract_params(model))
    tokens_1T = jax.ShapeDtypeStruct((1, min(PROMPT_BLOCK, model.context)), jnp.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    drawing, marks = Drawing(np.float32(0.7), np.float32(0.95)), Marks(0, (1,))

    def read(params, tokens_1T, key):
        length, rows = tokens_1T.shape[1], PROMPT_BLOCK
        return prefill(params, tokens_1T, length, key, model, REPLIES, rows, dtype)

    def draw(params, state, length):
        return decode_chunk(params, state, length, model, drawing, dtype, marks, 0)

    state = jax.eval_shape(read, params, tokens_1T, key)
    length = jax.ShapeDtypeStruct((), jnp.int32)
    longest_1T = jax.ShapeDtypeStruct((1, model.context), jnp.int32)
    cache = jax.eval_shape(read, params, longest_1T, key).cache
    return Activities(
        *training_costs(config, recipe),
        prompt=costs_of(read, params, tokens_1T, key),
        token=_each(costs_of(draw, params, state, length), CHUNK),
        cache_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache)),
    )


def _each(costs: Costs, count: int) -> Costs:
    """One of so many equal parts of a computation; what is held stays."""
    flops, moved, held = costs.all
    calls = tuple(call._replace(times=call.times / count) for call in costs.calls)
    return Costs(Cost(flops / count, moved / count, held), {}, calls)


def _framework_bytes() -> int:
    """What the program holds that has compiled everything and opened a life of hardly any model.

    Compiling leaves holes in the heap, some 150 MB, that arrays do not fill: they count.
    """
    books = [load_book(path) for path in starter_files()]
    texts = (document.text for book in books for document in book.documents if document.text)
    model = new_config("2m", d_model=2, n_layers=1, n_kv_heads=1, head_dim=2, d_ff=2)
    with tempfile.TemporaryDirectory() as folder:
        create_life(Path(folder) / "life", _fresh(model), seed=0, texts=texts).close()
        with Session.open(Path(folder) / "life") as session:
            session.save()
            return resident_bytes()


def memory_plan_record(
    name: str, config: StepConfig, plan: MemoryPlan, around: Surroundings
) -> dict[str, Any]:
    """The object of one plan."""
    values = plan._asdict()
    return {
        "event": "memory_plan",
        "size": name,
        "dtype": jnp.dtype(config.dtype).name,
        "context": config.model.context,
        **values,
        "times": plan.times._asdict(),
        "memory_bytes": around.memory_bytes,
        "machine": dataclasses.asdict(around.machine),
    }
