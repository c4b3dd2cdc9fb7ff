"""The table of a tree has a row for every leaf with its axes; the difference shows a change."""

import jax
import numpy as np
import pytest
from conftest import random_params, small_config

from model.axes import count_parameters
from model.summary import difference, table


def test_every_leaf_has_a_row_with_its_axes_and_size():
    config = small_config()
    params = random_params(config)
    rows = {row.path: row for row in table(params, config)}
    assert len(rows) == len(jax.tree.leaves(params))
    query = rows["blocks/1/attn/query"]
    assert query.axes == "DKGH" and query.shape == (24, 2, 3, 4)
    leaf = np.asarray(params["blocks"][1]["attn"]["query"], np.float64)
    np.testing.assert_allclose(query.rms, np.sqrt(np.mean(leaf**2)))
    assert sum(row.n_bytes for row in rows.values()) == 4 * count_parameters(config)


def test_text_and_notebook_show_every_path():
    config = small_config()
    rows = table(random_params(config), config)
    for shown in (str(rows), rows._repr_html_()):
        assert all(row.path in shown for row in rows) and "24 × 2 × 3 × 4" in shown


def test_a_difference_names_what_changed():
    config = small_config()
    before = random_params(config)
    after = jax.tree.map(lambda leaf: leaf, before)
    after["blocks"][0]["mlp"]["up"] = before["blocks"][0]["mlp"]["up"] + 0.5
    changed = {row.path: row.rms for row in difference(before, after, config) if row.rms}
    assert list(changed) == ["blocks/0/mlp/up"]
    np.testing.assert_allclose(changed["blocks/0/mlp/up"], 0.5, rtol=1e-5)


def test_another_tree_is_refused():
    config = small_config()
    with pytest.raises(ValueError, match="give the tree's own config"):
        table(random_params(config), small_config(n_layers=1))
