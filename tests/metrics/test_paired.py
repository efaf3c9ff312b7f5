"""Tests of differences: by hand, from textbooks, and against SciPy."""

import numpy as np
import pytest
from scipy.stats import binomtest

from ageclf.metrics.comparison import difference, holm, mcnemar, spread


def pairs(both: int, gained: int, lost: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Return who is right of two, bool (n,) each, where the four counts are those of McNemar's table."""
    counts = (both, gained, lost, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def runs(*tables: tuple[int, int, int, int]) -> tuple[dict, dict]:
    """Return a setting and a baseline as `difference` takes them, with a seed for every table of counts."""
    right = {str(seed): pairs(*table) for seed, table in enumerate(tables)}
    setting, baseline = (
        {seed: (pair[which], pair[which].mean(keepdims=True).repeat(5)) for seed, pair in right.items()}
        for which in (0, 1)
    )
    return setting, baseline


def test_mcnemar_counts_faces_that_only_one_has_right():
    gained, lost, p = mcnemar(*pairs(10, 1, 5, 4))
    assert (gained, lost) == (1, 5)
    assert p == pytest.approx(2 * (1 + 6) / 2**6)


def test_mcnemar_agrees_with_a_textbook():
    """Agresti, "Categorical Data Analysis", 2002, section 10.1.1: approval of the prime minister, z² = 17.36."""
    gained, lost, p = mcnemar(*pairs(794, 86, 150, 570))
    assert p == pytest.approx(binomtest(86, 236).pvalue)
    assert (gained - lost) ** 2 / (gained + lost) == pytest.approx(17.36, abs=0.01)
    assert 2e-5 < p < 5e-5  # chi-squared gives 3.1e-5


def test_without_a_face_that_only_one_has_right_there_is_no_difference():
    assert mcnemar(*pairs(10, 0, 0, 3)) == (0, 0, 1.0)


def test_holm_agrees_with_worked_cases():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested():
    assert holm([None, 0.01, 0.03]) == [None, pytest.approx(0.02), pytest.approx(0.03)]


def test_seeds_are_tested_one_by_one_and_the_weakest_counts():
    row = difference(*runs((50, 20, 5, 25), (50, 12, 8, 30)))
    assert row["p_by_seed"] == pytest.approx([binomtest(5, 25).pvalue, binomtest(8, 20).pvalue])
    assert row["p"] == row["p_by_seed"][1]
    assert row["by_seed"] == pytest.approx([0.15, 0.04])
    assert row["value"] == pytest.approx(0.095)
    assert row["sd"] == pytest.approx(0.11 / np.sqrt(2))


def test_seeds_that_contradict_each_other_show_no_difference():
    row = difference(*runs((50, 30, 5, 15), (50, 5, 30, 15)))
    assert max(row["p_by_seed"]) < 0.001
    assert (row["p"], row["value"]) == (1.0, pytest.approx(0))


def test_only_seeds_that_both_have_are_compared():
    setting, baseline = runs((50, 20, 5, 25), (50, 12, 8, 30))
    del baseline["0"], setting["1"]
    assert difference(setting, baseline)["seeds"] == []
    assert difference(setting, setting)["seeds"] == ["0"]


def test_spread_is_the_deviation_with_one_fewer():
    assert spread([0.6, 0.7, 0.8]) == pytest.approx({"mean": 0.7, "sd": 0.1})
    assert spread([0.6]) == {"mean": 0.6, "sd": None}
    assert spread([0.6, None]) == {"mean": 0.6, "sd": None}
    assert spread([]) == {"mean": None, "sd": None}
