"""Black edges and brightness are measured, and pictures shifted and rotated, as documented."""

import numpy as np
import pytest

from ageclf.faces import images
from ageclf.faces.images import rotated, shifted

WHITE = np.full((40, 48, 48), 255, dtype=np.uint8)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)


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


def test_brightness_is_the_mean():
    pictures = np.zeros((2, 48, 48), dtype=np.uint8)
    pictures[0, :24] = 255
    assert images.brightness(pictures).tolist() == [127.5, 0]
    assert images.brightness(pictures).dtype == np.float32


def test_no_step_changes_nothing(noise):
    for unchanged in (shifted(noise, 0), rotated(noise, 0)):
        np.testing.assert_array_equal(unchanged, noise)
        assert unchanged.dtype == np.uint8


def test_a_shift_moves_by_its_length_in_all_directions():
    squares = np.zeros((200, 48, 48), dtype=np.uint8)
    squares[:, 22:26, 22:26] = 255
    y, x = np.mgrid[:48, :48]
    moved = shifted(squares, 8, seed=1).astype(float)
    centres = np.stack([(moved * grid).sum((1, 2)) / moved.sum((1, 2)) - 23.5 for grid in (x, y)])
    assert np.hypot(*centres) == pytest.approx(8, abs=0.1)
    assert {(bool(dx > 0), bool(dy > 0)) for dx, dy in centres.T} == {(a, b) for a in (0, 1) for b in (0, 1)}


def test_a_rotation_keeps_the_centre_and_goes_both_ways():
    squares = np.zeros((40, 48, 48), dtype=np.uint8)
    squares[:, 23:25, 38:42] = 255  # on the right, in the middle
    turned = rotated(squares, 30)
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


def test_the_seed_decides_the_direction(noise):
    np.testing.assert_array_equal(shifted(noise, 5, seed=1), shifted(noise, 5, seed=1))
    assert not np.array_equal(shifted(noise, 5, seed=1), shifted(noise, 5, seed=2))
