"""Plans: what compiled functions hold, what fits where, and the mode."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest

from grow.plan import flops_per_token
from model.config import new_config
from serve.flags import parse
from serve.modes import run_mode
from serve.planning import activity_costs
from train import machine
from train.activities import time_activities
from train.compiled import costs_of, seconds_of
from train.machine import Machine
from train.memory_plan import plan_memory
from train.optimizer import OptimizerConfig
from train.plan_times import Surroundings
from train.recipe import RECIPES
from train.step import StepConfig

# Of a lesson, with its rehearsals.
UPDATES = 1 + RECIPES["rehearsed"].rehearsals_of(57_632)
SIDE = 64
# Of the steps, beside each part's moments: layers, embedding, norm.
COUNTS = 4 * 6
SQUARE = jax.ShapeDtypeStruct((SIDE, SIDE), jnp.float32)
BYTES = SIDE * SIDE * 4


@jax.jit
def double(x):
    return x @ x


@jax.jit
def sixfold(x):
    return jax.lax.scan(lambda x, _: (x @ x, None), x, length=6)[0]


@jax.jit
def add(x, y):
    return x + y


replace = jax.jit(lambda x, y: x + y, donate_argnums=(0,))


def test_products_count_as_often_as_loops_run():
    one, six = costs_of(double, SQUARE).all, costs_of(sixfold, SQUARE).all
    assert (one.flops, six.flops) == (2 * SIDE**3, 12 * SIDE**3)
    assert six.moved_bytes >= 6 * 2 * BYTES


def test_results_are_held_until_their_last_use():
    def chain(x):
        kept = double(x)
        y = add(add(x, x), x)
        return add(kept, y)

    # Of `kept`, x + x and x + x + x at once, all three; the argument is not counted.
    assert costs_of(chain, SQUARE).all.held_bytes == 3 * BYTES
    assert costs_of(chain, SQUARE).by_name["double"].held_bytes == BYTES


def test_a_donated_argument_lends_its_memory():
    assert costs_of(lambda x: replace(x, x * 1.0), SQUARE).all.held_bytes == BYTES
    assert costs_of(lambda x: add(x, x * 1.0), SQUARE).all.held_bytes == 2 * BYTES


def test_functions_are_run_where_there_is_room_and_counted_by_rates_where_not():
    @jax.jit
    def slow(x, key):
        noise = jax.random.uniform(key, x.shape)
        return jax.lax.scan(lambda x, _: (jnp.sin(x @ x), None), x + noise, length=2000)[0]

    def both(x, key):
        return replace(slow(slow(x, key), key), x)

    costs = costs_of(both, SQUARE, jax.eval_shape(lambda: jax.random.key(0)))
    rated = seconds_of(costs, lambda cost: 1.0 + cost.flops, room=2 * BYTES)
    assert rated == {"slow": 2 * (1.0 + 2000 * 2 * SIDE**3), "<lambda>": 1.0}
    run = seconds_of(costs, lambda _: 1e9, room=100 * BYTES)
    assert all(0 < seconds < 1e9 for seconds in run.values())


DIMENSIONS = {
    "d_model": 32, "n_layers": 4, "n_kv_heads": 2, "n_query_groups": 1, "d_ff": 96,
    "vocab_size": 128, "context": 32, "head_dim": 16,
}  # fmt: skip
CONFIG = StepConfig(new_config(**DIMENSIONS), OptimizerConfig(), jnp.dtype("bfloat16"))
RECIPE = RECIPES["rehearsed"]


def test_the_compiled_functions_make_the_products_that_a_step_needs():
    cost = activity_costs(CONFIG, RECIPE).lesson.all
    tokens = RECIPE.windows * CONFIG.model.context
    assert cost.flops == pytest.approx(flops_per_token(CONFIG.model) * tokens, rel=0.1)


def test_residuals_made_again_take_less_memory_and_more_products():
    kept = activity_costs(CONFIG, RECIPE).lesson
    again = activity_costs(CONFIG._replace(remat=True), RECIPE).lesson
    layers = CONFIG.model.n_layers
    name = "_block_forward"
    assert again.by_name[name].held_bytes < 2 * kept.by_name[name].held_bytes / layers
    assert again.all.held_bytes < kept.all.held_bytes
    assert again.all.flops > 1.2 * kept.all.flops


SLOW = Machine(
    product_flops=1e9, small_flops=5e8, narrow_bytes=1e8, moved_bytes=1e8, disk_read_bytes=1e4,
    disk_write_bytes=5e3, save_bytes=1e8, save_seconds=0.1,
)  # fmt: skip


def test_products_are_slower_the_narrower_they_are():
    machine = SLOW
    assert machine.flops_at(320) == pytest.approx(5e8)
    assert machine.flops_at(100) == pytest.approx(5e8)
    assert machine.flops_at(1024) == machine.flops_at(4096) == pytest.approx(1e9)
    assert 5e8 < machine.flops_at(400) < machine.flops_at(640) < 1e9


@pytest.fixture
def planned():
    """A function from memory to the plan of a small model on a slow machine."""
    around = Surroundings(
        machine=SLOW,
        framework_bytes=1_000_000, memory_bytes=None, checkpoint_seconds=5.0,
        checkpoint_share=8.0, reply_tokens=40, recipe=RECIPE,
    )  # fmt: skip
    costs = activity_costs(CONFIG, RECIPE)
    seconds = time_activities(CONFIG, costs, SLOW, room=0)
    return lambda memory: plan_memory(
        CONFIG, costs, seconds, dataclasses.replace(around, memory_bytes=memory)
    )


def test_with_memory_for_everything_nothing_is_streamed(planned):
    plan = planned(None)
    assert plan.store == "ram"
    assert plan.ram["weights"] == 4 * plan.parameters
    assert plan.ram["moments"] == 8 * plan.parameters + COUNTS
    assert plan.ram["copy"] == 2 * plan.parameters
    assert 12 * plan.parameters + 1_000_000 < plan.peak_bytes <= sum(plan.ram.values()) * 1.1
    assert planned(plan.peak_bytes) == plan


def test_with_less_memory_layers_go_over_the_disk(planned):
    whole = planned(None)
    tight, loose = planned(whole.least_bytes), planned(whole.peak_bytes - 1)
    assert (tight.store, loose.store) == ("disk", "disk")
    assert tight.peak_bytes <= whole.least_bytes and loose.peak_bytes < whole.peak_bytes
    assert tight.ram["copy"] == 0 and loose.ram["copy"] == whole.ram["copy"]
    # Records are read and written once in a step, weights read once more.
    over_disk = tight.parameters * (16 / 1e4 + 12 / 5e3)
    assert tight.times.lesson_seconds >= over_disk > loose.times.lesson_seconds
    # The lesson's step and those of its two rehearsals.
    written = UPDATES * (12 * tight.parameters + COUNTS)
    assert tight.times.lesson_written_bytes == written
    assert tight.times.drive_lessons == 600e12 / written


def test_the_least_possible_memory_is_named(planned):
    least = planned(None).least_bytes
    with pytest.raises(ValueError, match=rf"memory must be at least {least / 1e6:.2f} MB for"):
        planned(least - 1)


@pytest.fixture
def mode(tmp_path, capfd, monkeypatch):
    """Runs the mode with a measurement of a moment instead of seconds."""
    monkeypatch.setattr(machine, "SECONDS_EACH", 0.0)
    for name in ("MEMORY_BYTES", "DISK_BYTES", "SAVED_BYTES"):
        monkeypatch.setattr(machine, name, 2**23)

    def run(*flags):
        code = run_mode(parse(["apprentice", "--mode=plan", f"--workdir={tmp_path}/new", *flags]))
        out, err = capfd.readouterr()
        assert list(tmp_path.iterdir()) == []
        return code, out, err

    return run


SMALL = [f"--{name}={value}" for name, value in DIMENSIONS.items()]


def test_a_plan_is_one_object_and_leaves_nothing(mode):
    code, out, err = mode(*SMALL, "--moments=int8", "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["event"] == "memory_plan" and record["store"] == "ram"
    assert record["peak_bytes"] > record["ram"]["framework"] > 100e6
    # Both moments of a parameter, a scale for every 16 to 64 of them, and counts.
    assert 2 < record["ram"]["moments"] / record["parameters"] < 2.2
    assert all(rate > 0 for rate in record["machine"].values())
    assert record["times"]["lesson_seconds"] > 0


def test_a_plan_is_a_table_for_a_person(mode):
    code, out, _ = mode(*SMALL)
    assert code == 0
    for part in ("weights", "moments", "residuals", "logits", "cache", "framework", "600 TB"):
        assert part in out


@pytest.mark.parametrize(("flags", "sentence"), [
    (["--size=7b"], "size must be one of 2m, 10m"),
    (["--memory=lots"], "memory is a size such as 16GB"),
    (["--d_model=0"], "d_model must be a whole number"),
    ([*SMALL, "--memory=1MB"], "memory must be at least "),
])  # fmt: skip
def test_bad_input_is_one_sentence(mode, flags, sentence):
    code, out, err = mode(*flags)
    assert (code, out) == (1, "")
    assert sentence in err and err.count("\n") == 1
