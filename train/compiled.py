"""What the compiled functions behind a computation need, found without allocating all of it.

A computation is traced with abstract arrays; each jitted function that it calls is compiled once,
XLA tells its memory, and the lives of all arrays between the calls are followed. Its seconds are
those of its functions, each of them run alone on zeros and counted as often as it is called.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

# XLA compiles outside of Python's lock.
COMPILERS = 2
# How long and how often a function is run, after once to warm up, but not longer than the last.
TIMED_SECONDS, TIMED_RUNS, MOST_SECONDS = 0.2, 3, 6.0


class Cost(NamedTuple):
    """Operations of matrix products, bytes read and written, and bytes held at the most.

    What is held is results that are still needed and the memory of the function that runs, without
    the arguments of the whole.
    """

    flops: float
    moved_bytes: float
    held_bytes: int


class Call(NamedTuple):
    """A compiled function, the shapes of its arguments, its cost, and how often it is called.

    `donated` are the numbers of the arguments whose memory it takes.
    """

    name: str
    compiled: jax.stages.Compiled
    shapes: tuple[jax.ShapeDtypeStruct, ...]
    donated: tuple[int, ...]
    cost: Cost
    times: float


class Costs(NamedTuple):
    """The cost of a whole computation, and of each function in it by name.

    A function's `held_bytes` are the most of its own results that are needed at once, and its own
    memory while it runs.
    """

    all: Cost
    by_name: dict[str, Cost]
    calls: tuple[Call, ...]


def costs_of(function: Callable[..., Any], *arguments: Any) -> Costs:
    """What calling a function of jitted functions costs.

    Args:
      function: plain Python around jitted functions; what it does between them counts as nothing.
      arguments: trees of `jax.ShapeDtypeStruct`.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    calls = [eqn for eqn in jaxpr.eqns if _is_call(eqn)]
    unique = {id(eqn.params["jaxpr"]): eqn for eqn in calls}
    times = Counter(id(eqn.params["jaxpr"]) for eqn in calls)
    with ThreadPoolExecutor(COMPILERS) as pool:
        compiled = dict(zip(unique, pool.map(_compiled, unique.values()), strict=True))
    functions = {number: call._replace(times=times[number]) for number, call in compiled.items()}
    costs = {number: call.cost for number, call in functions.items()}
    most, most_by_name = _held(jaxpr, costs)
    by_name: dict[str, Cost] = {}
    for name, _, _, _, cost, count in functions.values():
        flops, moved, _ = by_name.get(name, Cost(0.0, 0.0, 0))
        flops, moved = flops + count * cost.flops, moved + count * cost.moved_bytes
        by_name[name] = Cost(flops, moved, most_by_name[name])
    flops, moved = (math.fsum(cost[field] for cost in by_name.values()) for field in (0, 1))
    return Costs(Cost(flops, moved, most), by_name, tuple(functions.values()))


def seconds_of(costs: Costs, by_rates: Callable[[Cost], float], room: int) -> dict[str, float]:
    """Seconds by the name of each function, as often as it is called.

    A function is run on zeros, which products take as long for; one whose arrays take more than
    `room` bytes is counted by the machine's rates.
    """
    seconds: dict[str, float] = {}
    for call in costs.calls:
        memory = call.compiled.memory_analysis()
        assert memory is not None
        needed = memory.argument_size_in_bytes + memory.output_size_in_bytes + call.cost.held_bytes
        one = by_rates(call.cost) if needed > room else _timed(call)
        seconds[call.name] = seconds.get(call.name, 0.0) + call.times * one
    return seconds


def _timed(call: Call) -> float:
    """The seconds of a call at its best, after one that warms up.

    What makes others slower, memory that the system gives for the first time, passes in a life.
    """
    arguments = [_zeros(shape) for shape in call.shapes]
    seconds: list[float] = []
    while len(seconds) < 2 or (
        (len(seconds) <= TIMED_RUNS or math.fsum(seconds[1:]) < TIMED_SECONDS)
        and math.fsum(seconds) < MOST_SECONDS
    ):
        for number in call.donated:
            arguments[number] = _zeros(call.shapes[number])
        jax.block_until_ready(arguments)
        started = time.perf_counter()
        jax.block_until_ready(call.compiled(*arguments))
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def _zeros(shape: jax.ShapeDtypeStruct) -> jax.Array:
    if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
        return jnp.broadcast_to(jax.random.key(0), shape.shape)
    return jnp.zeros(shape.shape, shape.dtype)


def _is_call(eqn: Any) -> bool:
    return eqn.primitive.name in ("jit", "pjit")


def _compiled(eqn: Any) -> Call:
    """One call, compiled; its arguments are donated as the function itself donates them."""
    closed: ClosedJaxpr = eqn.params["jaxpr"]
    donated = tuple(index for index, given in enumerate(eqn.params["donated_invars"]) if given)
    function = jax.jit(jaxpr_as_fun(closed), donate_argnums=donated)
    avals: list[Any] = list(closed.in_avals)
    shapes = tuple(jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals)
    compiled = function.lower(*shapes).compile()
    found = compiled.cost_analysis()
    memory = compiled.memory_analysis()
    assert found is not None and memory is not None
    once, counted = _product_flops(closed.jaxpr, loops=False), _product_flops(closed.jaxpr)
    # XLA counts what a loop does once.
    rounds = counted / once if once else 1.0
    cost = Cost(counted, found["bytes accessed"] * rounds, memory.temp_size_in_bytes)
    return Call(eqn.params["name"], compiled, shapes, donated, cost, 1)


def _product_flops(jaxpr: Any, *, loops: bool = True) -> float:
    """Multiplications and additions of all matrix products, those of loops as often as they run."""
    total = 0.0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            left = eqn.invars[0].aval.shape
            inner = math.prod(left[axis] for axis in contracted)
            total += 2.0 * inner * math.prod(eqn.outvars[0].aval.shape)
            continue
        times = eqn.params.get("length", 1) if loops and eqn.primitive.name == "scan" else 1
        total += times * sum(_product_flops(sub, loops=loops) for sub in _inner(eqn))
    return total


def _inner(eqn: Any) -> list[Any]:
    found = [getattr(value, "jaxpr", None) for value in eqn.params.values()]
    return [jaxpr for jaxpr in found if hasattr(jaxpr, "eqns")]


def _held(jaxpr: Any, costs: dict[int, Cost]) -> tuple[int, Counter[str]]:
    """The most bytes alive at once, of all functions together and of each by name."""
    last_use = {var: len(jaxpr.eqns) for var in _variables(jaxpr.outvars)}
    for number in reversed(range(len(jaxpr.eqns))):
        for var in _variables(jaxpr.eqns[number].invars):
            last_use.setdefault(var, number)
    alive: dict[Any, tuple[str, int]] = {}
    most, most_by_name = 0, Counter[str]()
    for number, eqn in enumerate(jaxpr.eqns):
        name = eqn.params["name"] if _is_call(eqn) else ""
        lent = _lent(eqn)
        for var in eqn.outvars:
            alive[var] = (name, 0 if lent[_shape(var)] > 0 else _bytes(var))
            lent[_shape(var)] -= 1
        now = Counter({name: costs[id(eqn.params["jaxpr"])].held_bytes if name else 0})
        for owner, count in alive.values():
            now[owner] += count
        most, most_by_name = max(most, now.total()), most_by_name | now
        for var in (*_variables(eqn.invars), *eqn.outvars):
            if last_use.get(var, number) <= number:
                alive.pop(var, None)
    return most, most_by_name


def _lent(eqn: Any) -> Counter[Any]:
    """How many donated arguments of each shape lend their memory to results."""
    donated = eqn.params["donated_invars"] if _is_call(eqn) else ()
    return Counter(_shape(var) for var, given in zip(eqn.invars, donated, strict=False) if given)


def _variables(values: Any) -> list[Any]:
    return [value for value in values if not isinstance(value, Literal)]


def _shape(var: Any) -> tuple[Any, ...]:
    return (var.aval.shape, str(var.aval.dtype))


def _bytes(var: Any) -> int:
    return math.prod(var.aval.shape) * var.aval.dtype.itemsize
