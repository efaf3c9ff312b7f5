import numpy as np
import pytest

from ageclf.faces import clusters, images
from ageclf.faces.clusters import cluster_near_duplicates
from ageclf.faces.sample import draw_sample


def test_black_edge_share_counts_the_border_only():
    pictures = np.full((3, 48, 48), 200, dtype=np.uint8)
    pictures[1, :3] = 0  # 144 of the 540 pixels of the 3-pixel border
    pictures[2, 3:-3, 3:-3] = 0  # inside the border
    np.testing.assert_allclose(images.black_edge_share(pictures), [0, 144 / 540, 0])
    np.testing.assert_allclose(images.black_edge_share(pictures, border=1), [0, 52 / 188, 0])


def test_near_black_reaches_up_to_its_level():
    pictures = np.array([images.NEAR_BLACK, images.NEAR_BLACK + 1], dtype=np.uint8).repeat(48 * 48)
    assert images.black_edge_share(pictures.reshape(2, 48, 48)).tolist() == [1, 0]
    assert images.black_edge_share(pictures.reshape(2, 48, 48), level=255).tolist() == [1, 1]


def test_black_edge_map_shows_where():
    pictures = np.full((4, 48, 48), 99, dtype=np.uint8)
    pictures[0, :, 0] = 0
    where = images.black_edge_map(pictures)
    assert where.shape == (48, 48)
    assert (where[:, 0] == 0.25).all()
    assert (where[:, 1:] == 0).all()


def test_brightness_and_contrast_are_mean_and_standard_deviation():
    pictures = np.zeros((2, 48, 48), dtype=np.uint8)
    pictures[0, :24] = 255
    assert images.brightness(pictures).tolist() == [127.5, 0]
    assert images.contrast(pictures).tolist() == [127.5, 0]
    assert images.brightness(pictures).dtype == images.contrast(pictures).dtype == np.float32


def slow_clusters(pictures, threshold):
    """Clusters by the definition: all correlations, then labels spread until nothing changes."""
    flat = pictures.reshape(len(pictures), -1).astype(float)
    mirrored = pictures[:, :, ::-1].reshape(len(pictures), -1).astype(float)
    correlation = np.corrcoef(flat, mirrored)[: len(pictures)]
    near = np.maximum(*np.split(correlation, 2, axis=1)) > threshold
    np.fill_diagonal(near, True)
    labels = np.arange(len(pictures))
    for _ in pictures:
        labels = np.array([labels[row].min() for row in near])
    return np.unique(labels, return_inverse=True)[1]


@pytest.fixture(scope="module")
def altered():
    """200 faces and 200 copies, more and more noisy, every third mirrored: correlations from 0.8 to 1."""
    rng = np.random.default_rng(0)
    faces = draw_sample(200, seed=1)[0]
    strength = np.linspace(0, 0.75, 200)[:, None, None] * faces.std(axis=(1, 2), keepdims=True)
    copies = faces + rng.normal(0, 1, faces.shape) * strength
    copies[::3] = copies[::3, :, ::-1]
    both = np.concatenate([faces, np.clip(copies, 0, 255).round().astype(np.uint8)])
    return both[rng.permutation(400)]


@pytest.mark.parametrize("threshold", [0.85, 0.9, 0.95, 0.98])
def test_clusters_are_those_of_all_correlations(altered, threshold, monkeypatch):
    monkeypatch.setattr(clusters, "BLOCK", 64)  # 400 faces: blocks on and off the diagonal, the last one shorter
    expected = slow_clusters(altered, threshold)
    assert 150 < expected.max() < 399  # copies on both sides of the threshold
    np.testing.assert_array_equal(cluster_near_duplicates(altered, threshold), expected)


def test_labels_are_numbered_by_first_appearance(altered):
    labels = cluster_near_duplicates(altered)
    assert labels.dtype == np.int64
    _, first = np.unique(labels, return_index=True)
    assert (np.diff(first) > 0).all()


def test_brightness_and_contrast_do_not_hide_a_copy():
    face = draw_sample(1)[0]
    assert cluster_near_duplicates(np.concatenate([face, face // 2 + 60, 255 - face])).tolist() == [0, 0, 1]


def test_pictures_of_one_grey_value_form_one_cluster():
    grey = np.arange(0, 256, 85, dtype=np.uint8)[:, None, None] * np.ones((48, 48), dtype=np.uint8)
    pictures = np.concatenate([draw_sample(2)[0], grey])
    assert cluster_near_duplicates(pictures).tolist() == [0, 1, 2, 2, 2, 2]


def test_a_picture_alone_and_none_at_all():
    assert cluster_near_duplicates(np.zeros((1, 48, 48), dtype=np.uint8)).tolist() == [0]
    assert cluster_near_duplicates(np.zeros((0, 48, 48), dtype=np.uint8)).tolist() == []
