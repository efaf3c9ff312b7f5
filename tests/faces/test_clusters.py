"""Near-duplicates form clusters, whose contradicting labels are listed, and which go to one part as a whole."""

from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from _synthetic_faces import synthesize_sample

from ageclf.faces import clusters as module
from ageclf.faces.clusters import (
    PARTS,
    assign_parts,
    cluster_near_duplicates,
    conflicting,
    in_training,
    near_duplicate_pairs,
    split_by_row,
    split_warnings,
)


@pytest.fixture(scope="module")
def altered():
    """200 faces and 200 copies, more and more noisy, every third mirrored: correlations from 0.8 to 1."""
    rng = np.random.default_rng(0)
    faces = synthesize_sample(200, seed=1)[0]
    strength = np.linspace(0, 0.75, 200)[:, None, None] * faces.std(axis=(1, 2), keepdims=True)
    copies = faces + rng.normal(0, 1, faces.shape) * strength
    copies[::3] = copies[::3, :, ::-1]
    both = np.concatenate([faces, np.clip(copies, 0, 255).round().astype(np.uint8)])
    return both[rng.permutation(400)]


@pytest.fixture(scope="module")
def correlation(altered):
    """Correlations of all pixels of all pairs, as they are or one mirrored: float (400, 400)."""
    flat, mirrored = (pictures.reshape(400, -1).astype(float) for pictures in (altered, altered[:, :, ::-1]))
    return np.maximum(*np.split(np.corrcoef(flat, mirrored)[:400], 2, axis=1))


# Clusters


@pytest.mark.parametrize("threshold", [0.85, 0.9, 0.95, 0.98])
def test_clusters_are_those_of_all_correlations(altered, correlation, threshold, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 64)  # 400 faces: blocks on and off the diagonal, the last one shorter
    labels, before = np.arange(400), None
    while before is None or (labels != before).any():  # labels spread until nothing changes
        before, labels = labels, np.array([labels[row].min() for row in correlation > threshold])
    expected = np.unique(labels, return_inverse=True)[1]
    assert 150 < expected.max() < 399  # copies on both sides of the threshold
    np.testing.assert_array_equal(cluster_near_duplicates(altered, threshold), expected)


def test_clusters_are_numbered_by_first_appearance(altered):
    labels = cluster_near_duplicates(altered)
    assert labels.dtype == np.int64
    _, first = np.unique(labels, return_index=True)
    assert (np.diff(first) > 0).all()


def test_brightness_and_contrast_do_not_hide_a_copy():
    face = synthesize_sample(1)[0]
    assert cluster_near_duplicates(np.concatenate([face, face // 2 + 60, 255 - face])).tolist() == [0, 0, 1]


def test_pictures_of_one_grey_value_form_one_cluster():
    grey = np.arange(0, 256, 85, dtype=np.uint8)[:, None, None] * np.ones((48, 48), dtype=np.uint8)
    pictures = np.concatenate([synthesize_sample(2)[0], grey])
    assert cluster_near_duplicates(pictures).tolist() == [0, 1, 2, 2, 2, 2]


def test_one_picture_is_one_cluster():
    assert cluster_near_duplicates(np.zeros((1, 48, 48), dtype=np.uint8)).tolist() == [0]


# Labels that contradict each other


def test_pairs_are_listed_closest_first():
    rng = np.random.default_rng(0)
    original, other = rng.integers(0, 200, (2, 48, 48))
    noisy, noisier = (original + rng.integers(0, high, (48, 48)) for high in (20, 55))
    images = np.stack([original, other, noisier[:, ::-1], noisy]).astype(np.uint8)
    pairs = near_duplicate_pairs(images, np.array([0, 1, 0, 0]))
    assert pairs[["first", "second"]].to_numpy().tolist() == [[0, 3], [0, 2], [2, 3]]
    close = (original, noisy), (original, noisier), (noisier, noisy)
    expected = [np.corrcoef(one.ravel(), another.ravel())[0, 1] for one, another in close]
    assert pairs["correlation"].tolist() == pytest.approx(expected)


def test_without_near_duplicates_there_are_no_pairs():
    assert near_duplicate_pairs(np.zeros((2, 48, 48), np.uint8), np.array([0, 1])).empty


def test_faces_conflict_when_their_cluster_holds_two_groups():
    assert conflicting([5, 5, 7, 7, 9], [0, 1, 2, 2, 3]).tolist() == [True, True, False, False, False]


# Parts


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


def test_parts_are_70_15_and_15_per_cent(face_ids):
    parts = assign_parts(face_ids, np.arange(6000))
    fractions = [(parts == part).mean() for part in PARTS]
    # Three standard errors of a fraction of 0.7 of 6,000 faces are 0.018.
    np.testing.assert_allclose(fractions, [0.70, 0.15, 0.15], atol=0.018)


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


# A split by row


def test_by_row_exact_copies_may_come_into_different_parts():
    rows = np.arange(4000)
    table = pd.DataFrame({"row": rows, "face_id": [f"{row // 2:04d}" for row in rows]})
    parts = split_by_row(table, split_seed=3)
    first, second = parts.reshape(-1, 2).T
    # Two rows are in one part by chance alone: 0.7² + 0.15² + 0.15².
    assert (first == second).mean() == pytest.approx(0.535, abs=0.04)
    assert [(parts == part).mean() for part in PARTS] == pytest.approx([0.7, 0.15, 0.15], abs=0.03)
    assert (parts != split_by_row(table, split_seed=4)).any()


def test_near_duplicates_in_training_are_mirrored_and_exact_copies():
    face, other, alone = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)
    clusters = cluster_near_duplicates(np.stack([face, face[:, ::-1], other, other, alone, face]))
    parts = np.array(["test", "train", "test", "val", "test", "val"], dtype=object)
    assert in_training(clusters, parts).tolist() == [True, False, False, False, False, True]


NAMES = ["0-5", "6-18"]


@pytest.mark.parametrize(
    ("clusters", "parts", "groups", "expected"),
    [
        (np.arange(100), ["train"] * 70 + ["val"] * 15 + ["test"] * 15, [0, 1] * 50, []),
        (np.arange(3), ["train", "val", "test"], [0, 1, 0], []),
        (
            np.maximum(np.arange(100) - 30, 0),
            ["train"] * 70 + ["val"] * 30,
            [0, 1] * 50,
            ["31 faces are near-duplicates of each other: look at a few"],
        ),
        (np.arange(100), ["train"] * 95 + ["test"] * 5, [0, 1] * 50, ["95% of the faces are in the part train"]),
        (np.arange(100), ["train"] * 70 + ["val"] * 30, [1] * 100, ["no face is in the group 0-5"]),
    ],
    ids=["as usual", "three faces", "a giant cluster", "nearly all in one part", "a group without faces"],
)
def test_a_split_that_can_hardly_be_meant_is_warned_of(clusters, parts, groups, expected):
    assert split_warnings(clusters, np.array(parts, dtype=object), np.array(groups), NAMES) == expected
