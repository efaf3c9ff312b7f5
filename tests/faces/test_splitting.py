from hashlib import sha256

import numpy as np
import pytest

from ageclf.faces.clusters import PARTS, assign_parts


@pytest.fixture(scope="module")
def face_ids():
    return np.array([sha256(str(i).encode()).hexdigest()[:16] for i in range(6000)])


@pytest.fixture(scope="module")
def clusters():
    """Half of the faces alone, the other half in clusters of about three."""
    return np.concatenate([np.arange(3000), np.random.default_rng(0).integers(3000, 4000, 3000)])


def test_no_cluster_spans_two_parts(face_ids, clusters):
    parts = assign_parts(face_ids, clusters)
    assert set(parts) == set(PARTS)
    assert len({*zip(clusters, parts, strict=True)}) == len(set(clusters))


def test_shares_are_70_15_15(face_ids):
    parts = assign_parts(face_ids, np.arange(6000))
    shares = [(parts == part).mean() for part in PARTS]
    # Three standard errors of a share of 0.7 of 6,000 faces are 0.018.
    np.testing.assert_allclose(shares, [0.70, 0.15, 0.15], atol=0.018)


def test_the_part_depends_on_neither_row_order_nor_cluster_numbers(face_ids, clusters):
    order = np.random.default_rng(1).permutation(6000)
    renumbered = np.random.default_rng(2).permutation(4000)[clusters]
    expected = assign_parts(face_ids, clusters)[order]
    np.testing.assert_array_equal(assign_parts(face_ids[order], renumbered[order]), expected)


def test_rows_added_to_other_clusters_change_nothing(face_ids, clusters):
    before = assign_parts(face_ids[:3000], clusters[:3000])
    np.testing.assert_array_equal(assign_parts(face_ids, clusters)[:3000], before)


def test_another_split_seed_gives_another_split(face_ids, clusters):
    changed = assign_parts(face_ids, clusters, split_seed=1) != assign_parts(face_ids, clusters)
    assert 0.3 < changed.mean() < 0.6  # independent splits differ in 1 - 0.7² - 2 · 0.15² = 0.465


def test_the_split_never_changes_between_versions():
    """Published results name their split by its seed alone."""
    parts = assign_parts([f"{i:016x}" for i in range(12)], np.arange(12))
    assert parts.tolist() == 9 * ["train"] + ["val", "test", "test"]
