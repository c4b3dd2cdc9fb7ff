"""Adam's two moments stored in 2 bytes or 1 byte each; the arithmetic of a step stays float32.

Whatever is stored is rounded up or down by chance, so that it is right on average: rounded to the
nearest, an average that moves by 1 % a step would stand still between two 8-bit numbers. The chance
is a hash of the step and of the entry's place, so the same steps give the same bits.

Source: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", arXiv 2110.02861;
their blocks, with small floating-point numbers as the codes instead of a table of values.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

Kind = Literal["float32", "bfloat16", "int8"]
KINDS: tuple[Kind, ...] = ("float32", "bfloat16", "int8")

# Entries of the last axis with one scale. Padding an axis at its end leaves all blocks as they are.
BLOCK = 64
# Of an 8-bit number: steps to the next power of two; the other bits are sign and exponent.
MANTISSA = 3
_SHIFT = 23 - MANTISSA

# Of one moment of one parameter, scales included.
BYTES: dict[Kind, float] = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0 + 1.0 / BLOCK}


class Blocks(NamedTuple):
    """`optax.ScaleByAdamState` in 8 bits: codes in the shape of the parameters, and their scales.

    A scale is the exponent of the largest entry of `BLOCK` ones, int8, the last axis of the
    parameter divided by `BLOCK` and rounded up. A code of `mu` is a sign and 7 bits of size, of
    `nu` 8 bits of size.
    """

    count: jax.Array
    mu: Any
    nu: Any
    mu_scale: Any
    nu_scale: Any


def stored_as(kind: Kind, adam: optax.GradientTransformation) -> optax.GradientTransformation:
    """`optax.scale_by_adam` with its moments kept as `kind` between steps."""
    if kind == "float32":
        return adam
    init, keep, fetch = {
        "bfloat16": (_short, _keep_short, _fetch_short),
        "int8": (_blocks, _keep_blocks, _fetch_blocks),
    }[kind]

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        updates, after = adam.update(updates, fetch(state), params)
        return updates, keep(after)

    return optax.GradientTransformation(lambda params: init(adam.init(params)), update)


def _short(state: Any) -> Any:
    mu, nu = (jax.tree.map(lambda x: x.astype(jnp.bfloat16), tree) for tree in (state.mu, state.nu))
    return state._replace(mu=mu, nu=nu)


def _keep_short(state: Any) -> Any:
    def keep(x: jax.Array, chance: jax.Array) -> jax.Array:
        bits = (_bits(x) + chance) & jnp.uint32(0xFFFF0000)
        return _float(bits).astype(jnp.bfloat16)

    return state._replace(
        mu=jax.tree.map(lambda x: keep(x, _chances(x, state.count)[0]), state.mu),
        nu=jax.tree.map(lambda x: keep(x, _chances(x, state.count)[1]), state.nu),
    )


def _fetch_short(state: Any) -> Any:
    mu, nu = (jax.tree.map(lambda x: x.astype(jnp.float32), tree) for tree in (state.mu, state.nu))
    return state._replace(mu=mu, nu=nu)


def _blocks(state: Any) -> Blocks:
    def codes(x: jax.Array) -> jax.Array:
        return jnp.zeros(x.shape, jnp.uint8)

    def scales(x: jax.Array) -> jax.Array:
        return jnp.zeros((*x.shape[:-1], -(-x.shape[-1] // BLOCK)), jnp.int8)

    mu, nu = state.mu, state.nu
    trees = [jax.tree.map(make, tree) for make in (codes, scales) for tree in (mu, nu)]
    return Blocks(state.count, *trees)


def _keep_blocks(state: Any) -> Blocks:
    def keep(x: jax.Array, *, signed: bool) -> tuple[jax.Array, jax.Array]:
        return encode(x, _chances(x, state.count)[0 if signed else 1], signed=signed)

    leaves, structure = jax.tree.flatten(state.mu)
    mu = [keep(x, signed=True) for x in leaves]
    nu = [keep(x, signed=False) for x in jax.tree.leaves(state.nu)]
    fields = [[pair[index] for pair in pairs] for index in (0, 1) for pairs in (mu, nu)]
    return Blocks(state.count, *(jax.tree.unflatten(structure, field) for field in fields))


def _fetch_blocks(state: Blocks) -> optax.ScaleByAdamState:
    mu = jax.tree.map(lambda c, s: decode(c, s, signed=True), state.mu, state.mu_scale)
    nu = jax.tree.map(lambda c, s: decode(c, s, signed=False), state.nu, state.nu_scale)
    return optax.ScaleByAdamState(state.count, mu, nu)


def encode(x: jax.Array, chance: jax.Array, *, signed: bool) -> tuple[jax.Array, jax.Array]:
    """The entries in 8 bits, uint8 in the shape of `x`, and the scale of each block, int8.

    Sizes go from the largest entry of a block down by a factor of 2**15, or 2**31 without a sign;
    what is smaller becomes 0 or the smallest by chance. Without a sign nothing but 0 becomes 0.

    Args:
      x: float32, at least one axis.
      chance: uint32 below 2**16, uniform, in the shape of `x`.
      signed: whether `x` has negative entries.
    """
    size, n_blocks = x.shape[-1], -(-x.shape[-1] // BLOCK)
    most = jnp.pad(jnp.abs(x), [(0, 0)] * (x.ndim - 1) + [(0, n_blocks * BLOCK - size)])
    most = jnp.max(most.reshape(*x.shape[:-1], n_blocks, BLOCK), axis=-1)
    # One more, for the largest entry may be rounded up to the next power of two.
    scale = jnp.clip(jnp.right_shift(_bits(most), 23).astype(jnp.int32) - 126, -125, 125)
    first = _first(signed)
    relative = jnp.abs(x) * _power(-_spread(scale, size))
    rounded = (_bits(relative) + (chance << (_SHIFT - 16))) >> _SHIFT
    codes = rounded - jnp.minimum(rounded, first)
    # Between 0 and the first code.
    least = _float(jnp.uint32(first + 1) << _SHIFT)
    luck = relative * 65536.0 > least * chance.astype(jnp.float32)
    codes = jnp.where(relative < least, (luck if signed else x > 0).astype(jnp.uint32), codes)
    if signed:
        codes |= (x < 0).astype(jnp.uint32) << 7
    return codes.astype(jnp.uint8), scale.astype(jnp.int8)


def decode(codes: jax.Array, scale: jax.Array, *, signed: bool) -> jax.Array:
    """The float32 entries that `encode` gave these codes and scales to."""
    size = codes.astype(jnp.uint32) & (0x7F if signed else 0xFF)
    value = _float((size + _first(signed)) << _SHIFT)
    value *= _power(_spread(scale.astype(jnp.int32), codes.shape[-1]))
    value = jnp.where(size == 0, 0.0, value)
    return jnp.where(codes >> 7 == 1, -value, value) if signed else value


def _first(signed: bool) -> int:
    """The bits of the float32 below the first code, without the part that is not stored."""
    return (127 << MANTISSA) - (0x7F if signed else 0xFF)


def _spread(scale: jax.Array, size: int) -> jax.Array:
    """Each entry's scale."""
    return jnp.repeat(scale, BLOCK, axis=-1)[..., :size]


def _power(exponent: jax.Array) -> jax.Array:
    """2.0**exponent, exactly."""
    return _float((exponent + 127).astype(jnp.uint32) << 23)


def _chances(x: jax.Array, count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two numbers below 2**16 for each entry, by its place and the step."""
    place = jnp.arange(x.size, dtype=jnp.uint32).reshape(x.shape)
    bits = place * jnp.uint32(0x9E3779B1) + count.astype(jnp.uint32) * jnp.uint32(0x85EBCA77)
    # The finaliser lowbias32 of Chris Wellons, "Prospecting for Hash Functions".
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = (bits ^ (bits >> shift)) * jnp.uint32(factor)
    bits ^= bits >> 16
    return bits & 0xFFFF, bits >> 16


def _bits(x: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(x, jnp.uint32)


def _float(bits: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(bits, jnp.float32)
