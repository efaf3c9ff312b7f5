"""Pictures are moved and lit as said, with black where nothing was; losses are those of the same faces."""

import numpy as np
import pytest

from ageclf.faces.images import brightened, rotated, shifted
from ageclf.metrics.bootstrap import draw_clusters
from ageclf.metrics.slices import accuracy_frame

WHITE = np.full((40, 48, 48), 255, dtype=np.uint8)


def test_no_step_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    for unchanged in (shifted(images, 0), rotated(images, 0), brightened(images, 0)):
        np.testing.assert_array_equal(unchanged, images)
        assert unchanged.dtype == np.uint8


def test_a_shift_moves_by_its_length_in_all_directions():
    images = np.zeros((200, 48, 48), dtype=np.uint8)
    images[:, 22:26, 22:26] = 255
    y, x = np.mgrid[:48, :48]
    moved = shifted(images, 8, seed=1).astype(float)
    centres = np.stack([(moved * grid).sum((1, 2)) / moved.sum((1, 2)) - 23.5 for grid in (x, y)])
    assert np.hypot(*centres) == pytest.approx(8, abs=0.1)
    assert {(bool(dx > 0), bool(dy > 0)) for dx, dy in centres.T} == {(a, b) for a in (0, 1) for b in (0, 1)}


def test_a_turn_keeps_the_centre_and_goes_both_ways():
    images = np.zeros((40, 48, 48), dtype=np.uint8)
    images[:, 23:25, 38:42] = 255  # on the right, in the middle
    turned = rotated(images, 30)
    rows = {int(np.argmax(image.sum(axis=1))) for image in turned}
    assert max(rows) > 28
    assert min(rows) < 19
    middle = np.zeros((1, 48, 48), dtype=np.uint8)
    middle[:, 23:25, 23:25] = 255
    assert rotated(middle, 90)[0, 23:25, 23:25].min() > 250


@pytest.mark.parametrize("change", [shifted, rotated])
def test_what_is_uncovered_is_black_and_grows_by_step(change):
    black = [(change(WHITE, step) == 0).mean() for step in (0, 4, 10)]
    assert black[0] == 0
    assert black[0] < black[1] < black[2]


def test_the_seed_decides_where_to():
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    np.testing.assert_array_equal(shifted(images, 5, seed=1), shifted(images, 5, seed=1))
    assert not np.array_equal(shifted(images, 5, seed=1), shifted(images, 5, seed=2))


def test_brightness_stays_within_grey_values():
    images = np.array([[[0, 100, 250]]], dtype=np.uint8)
    assert brightened(images, 25).ravel().tolist() == [25, 125, 255]
    assert brightened(images, -110).ravel().tolist() == [0, 0, 140]


def test_what_is_lost_is_measured_on_the_same_faces():
    before = np.arange(100) < 80
    after = np.arange(100) < 60
    frame = accuracy_frame({0: before, 5: after}, draw_clusters(np.arange(100), 500, seed=0))
    assert frame["step"].tolist() == [0, 5]
    assert frame["value"].tolist() == pytest.approx([0.8, 0.6])
    assert frame["lost"].tolist() == pytest.approx([0.0, 0.2])
    assert frame["lost_low"][0] == frame["lost_high"][0] == 0
    # Twenty of a hundred faces are lost: the interval is that of a share of 20 %, not of two accuracies apart.
    assert frame["lost_high"][1] - frame["lost_low"][1] == pytest.approx(2 * 1.96 * 0.04, abs=0.02)
