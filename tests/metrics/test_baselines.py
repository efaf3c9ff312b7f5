"""Baselines answer from the training faces alone."""

import numpy as np
import pytest

from ageclf.metrics.evaluation import baselines, thumbnails


@pytest.fixture
def faces() -> tuple[np.ndarray, np.ndarray]:
    """Dark pictures of group 0, bright ones of group 1."""
    groups = np.arange(80) % 2
    return np.random.default_rng(0).integers(0, 56, (80, 48, 48)) + 200 * groups[:, None, None], groups


def test_majority_and_prior_follow_the_counts(faces):
    images, groups = faces
    train = np.arange(80) < 40
    answers = baselines(images, train, groups, ~train, np.array([1, 3]), seed=0)
    assert answers["majority"].tolist() == [1] * 40
    assert 0.5 < answers["prior"].mean() < 0.95
    again = baselines(images, train, groups, ~train, np.array([1, 3]), seed=0)
    assert answers["prior"].tolist() == again["prior"].tolist()


def test_logistic_regression_learns_from_thumbnails(faces):
    images, groups = faces
    train = np.arange(80) < 40
    answers = baselines(images, train, groups, ~train, np.array([20, 20]), seed=0)
    assert answers["logistic"].tolist() == groups[40:].tolist()


def test_logistic_regression_never_sees_the_faces_that_it_answers(faces):
    images, groups = faces
    everything = np.full(80, True)
    assert set(baselines(images, everything, groups, everything, np.array([1, 1]), 0)) == {"majority", "prior"}


def test_a_thumbnail_is_the_mean_of_blocks():
    image = np.zeros((1, 48, 48), dtype=np.uint8)
    image[0, :4, 4:8] = 255
    small = thumbnails(image).reshape(12, 12)
    assert small[0, 1] == pytest.approx(1)
    assert np.delete(small.ravel(), 1) == pytest.approx(-1)
