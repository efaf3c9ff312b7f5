"""Targets say how sure an age is: sharp inside a group, shared between neighbours at an edge."""

import numpy as np
import pandas as pd
import pytest

from ageclf.faces.groups import REFERENCE_EDGES, age_to_group
from ageclf.network.model import soft_targets, targets

AGES = np.arange(0, 121)


def test_without_a_width_they_are_the_groups():
    expected = np.eye(6)[age_to_group(AGES)]
    sharp = soft_targets(AGES, REFERENCE_EDGES)
    np.testing.assert_array_equal(sharp, expected)
    assert sharp.dtype == np.float32


def test_rows_add_up_to_one_and_the_own_group_is_the_largest_share():
    soft = soft_targets(AGES, REFERENCE_EDGES, 2.5)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(soft.argmax(axis=1), age_to_group(AGES))


def test_an_age_beside_an_edge_is_shared_by_the_normal_distribution():
    """18 years are 18.5 at the mean, half a year below 19: Φ(0.2) = 0.5793 for a width of 2.5."""
    row = soft_targets([18], REFERENCE_EDGES, 2.5)[0]
    assert row[1] == pytest.approx(0.5793, abs=1e-4)
    assert row[2] == pytest.approx(0.4207, abs=1e-4)


def test_auxiliary_targets_are_those_of_each_output():
    table = pd.DataFrame({"age": [0, 40, 120], "gender": [0, 1, 1]})
    several = targets(table, REFERENCE_EDGES, 2.0, auxiliary=True)
    assert {name: values.shape for name, values in several.items()} == {
        "probabilities": (3, 6),
        "ages": (3, 117),
        "gender": (3, 2),
    }
    np.testing.assert_array_equal(several["probabilities"], targets(table, REFERENCE_EDGES, 2.0))
    np.testing.assert_array_equal(several["ages"].argmax(axis=1), [0, 40, 116])
    np.testing.assert_array_equal(several["gender"], [[1, 0], [0, 1], [0, 1]])
