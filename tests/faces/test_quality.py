"""Near-duplicates and their contradictions are found; heaped ages are measured."""

import numpy as np
import pytest

from ageclf.faces.clusters import conflicting, near_duplicate_pairs
from ageclf.faces.groups import heaping


def test_pairs_are_listed_closest_first_with_what_they_contradict():
    rng = np.random.default_rng(0)
    original, other = rng.integers(0, 200, (2, 48, 48))
    noisy, noisier = (original + rng.integers(0, high, (48, 48)) for high in (20, 55))
    images = np.stack([original, other, noisier[:, ::-1], noisy]).astype(np.uint8)
    pairs = near_duplicate_pairs(images, np.array([0, 1, 0, 0]), [20, 50, 28, 35], np.array([2, 4, 2, 3]))
    assert pairs[["first", "second"]].to_numpy().tolist() == [[0, 3], [0, 2], [2, 3]]
    close = (original, noisy), (original, noisier), (noisier, noisy)
    expected = [np.corrcoef(one.ravel(), another.ravel())[0, 1] for one, another in close]
    assert pairs["correlation"].tolist() == pytest.approx(expected)
    assert pairs["years"].tolist() == [15, 8, 7]
    assert pairs["same_group"].tolist() == [False, True, False]


def test_without_near_duplicates_there_are_no_pairs():
    assert near_duplicate_pairs(np.zeros((2, 48, 48), np.uint8), np.array([0, 1]), [1, 2], np.array([0, 0])).empty


def test_faces_conflict_when_their_cluster_holds_two_groups():
    assert conflicting([5, 5, 7, 7, 9], [0, 1, 2, 2, 3]).tolist() == [True, True, False, False, False]


def test_heaping_is_100_without_preference_and_500_with_nothing_else():
    assert heaping(np.arange(23, 63)) == pytest.approx(100)
    assert heaping([25, 30, 60]) == pytest.approx(500)
    assert heaping([20, 24, 30, 65]) == pytest.approx(250), "22 and below, 63 and above do not count"
    assert np.isnan(heaping([]))
