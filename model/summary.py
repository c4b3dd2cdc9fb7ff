"""A parameter tree as a table, and the difference of two: for a log and for a notebook."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from model.axes import param_axes
from model.config import ModelConfig
from model.transformer import check_params


@dataclasses.dataclass(frozen=True)
class Row:
    """One leaf: where it is, its axes and shape, and the root mean square of its entries."""

    path: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    n_bytes: int
    rms: float


class Table(tuple[Row, ...]):
    """Rows that print as aligned text and show as HTML in a notebook."""

    columns = ("path", "axes", "shape", "dtype", "bytes", "rms")

    def cells(self) -> list[tuple[str, ...]]:
        """The rows as strings, a total last."""
        total = ("total", "", "", "", f"{sum(row.n_bytes for row in self):,}", "")
        return [_cells(row) for row in self] + [total]

    def __str__(self) -> str:
        lines = [self.columns, *self.cells()]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in self.cells()
        )
        return f"<table><tr>{head}</tr>{body}</table>"


def _cells(row: Row) -> tuple[str, ...]:
    shape = " × ".join(map(str, row.shape))
    return (row.path, row.axes, shape, row.dtype, f"{row.n_bytes:,}", f"{row.rms:.3g}")


def table(params: Any, config: ModelConfig) -> Table:
    """One row for every leaf of a parameter tree, in the order of the tree.

    Raises:
      ValueError: the tree is not that of the config; both structures are named.
    """
    check_params(params, config)
    axes = jax.tree.leaves(param_axes(config))
    leaves = zip(jax.tree.leaves_with_path(params), axes, strict=True)
    return Table(
        Row(
            path=_path(path),
            axes=letters,
            shape=tuple(leaf.shape),
            dtype=leaf.dtype.name,
            n_bytes=leaf.size * leaf.dtype.itemsize,
            rms=_rms(leaf),
        )
        for (path, leaf), letters in leaves
    )


def difference(before: Any, after: Any, config: ModelConfig) -> Table:
    """The table of `after` - `before`: what an event did to each leaf, as root mean squares."""
    table(before, config)
    return table(jax.tree.map(lambda old, new: new - old, before, after), config)


def _path(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _rms(leaf: Any) -> float:
    return math.sqrt(float(np.mean(np.square(np.asarray(leaf, np.float64)))))
