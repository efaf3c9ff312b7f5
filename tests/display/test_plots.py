"""Figures show the data they were given, and without colour all that colour shows."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.stats import binomtest

mpl.use("Agg")

import matplotlib.pyplot as plt

from ageclf.display import plots
from ageclf.faces.groups import group_names
from ageclf.faces.photos import LANDMARKS
from ageclf.faces.utkface import shrink

GROUPS = group_names()
NAMES = ["0-5", "6-18", "19-30"]


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def interval(value, half=0.02):
    return {"value": value, "low": value - half, "high": value + half}


def test_plots_leaves_keras_and_global_settings_alone():
    code = (
        "import sys, matplotlib; before = dict(matplotlib.rcParams); import ageclf.display.plots;"
        "assert dict(matplotlib.rcParams) == before; assert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_face_grid_shows_every_pixel_on_a_fixed_scale():
    images = np.random.default_rng(0).integers(60, 200, (7, 48, 48), dtype=np.uint8)
    axes = plots.face_grid(images, [f"face {i}" for i in range(7)], columns=3)
    sheet = axes.images[0].get_array()
    assert axes.images[0].get_clim() == (0, 255)
    assert [text.get_text() for text in axes.texts] == [f"face {i}" for i in range(7)]
    for image, text in zip(images, axes.texts, strict=True):
        left, top = round(text.get_position()[0] - 24), round(text.get_position()[1] + 2)
        np.testing.assert_array_equal(sheet[top : top + 48, left : left + 48], image)


def test_face_grid_shows_each_pixel_as_two_by_two():
    image = np.random.default_rng(0).integers(0, 256, (1, 48, 48), dtype=np.uint8)
    canvas = plots.face_grid(image).figure.canvas
    canvas.draw()
    shown = np.asarray(canvas.buffer_rgba())[..., 0].astype(int)
    doubled = np.kron(image[0], np.ones((2, 2), dtype=int))
    windows = np.lib.stride_tricks.sliding_window_view(shown, doubled.shape)
    # One grey value is what the colour map's rounding may cost.
    assert (abs(windows - doubled) <= 1).all(axis=(2, 3)).any()


def test_map_heat_starts_at_zero_and_takes_a_common_scale():
    values = np.arange(48 * 48).reshape(48, 48)
    axes = plots.map_heat(values, "pictures (%)", vmax=9000)
    np.testing.assert_array_equal(axes.images[0].get_array(), values)
    assert axes.images[0].get_clim() == (0, 9000)


def test_histograms_share_their_bins_and_each_adds_up_to_100():
    axes = plots.histograms({"before": [0, 1, 1, 3], "after": [2, 3]}, "grey", bins=[0, 1, 2, 4])
    before, after = (patch.get_data()[0] for patch in axes.patches)
    assert before.tolist() == [25, 50, 25]
    assert after.tolist() == [0, 0, 100]
    assert len({patch.get_linestyle() for patch in axes.patches}) == 2


def test_by_group_puts_each_box_at_its_group():
    groups = np.repeat([0, 2], 101)
    values = np.concatenate([np.arange(101), 200 + np.arange(101)])
    axes = plots.by_group(values, groups, NAMES, "grey", plt.gca())
    assert [tick.get_text() for tick in axes.get_xticklabels()] == NAMES
    flat = {line.get_ydata()[0]: line.get_xdata().mean() for line in axes.lines if np.ptp(line.get_ydata()) == 0}
    assert flat[50] == pytest.approx(0)
    assert flat[250] == pytest.approx(2)
    assert {5, 95, 205, 295} <= flat.keys()


def test_share_by_group_shows_shares_and_wilson_intervals_and_no_bar_for_an_empty_group():
    axes = plots.share_by_group([True, False, False, False, True], [0, 0, 0, 0, 2], NAMES, "dark (%)", plt.gca())
    assert [(bar.get_x() + 0.3, bar.get_height()) for bar in axes.patches] == [(0, 25), (2, 100)]
    low, high = binomtest(1, 4).proportion_ci(method="wilson")
    assert axes.collections[0].get_segments()[0][:, 1] == pytest.approx([100 * low, 100 * high])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == NAMES


def test_confusion_writes_counts_and_row_shares_and_leaves_an_empty_row_blank():
    figure = plots.confusion([[8, 2, 0], [0, 0, 0], [1, 1, 2]], NAMES)
    counts, shares = ([text.get_text() for text in axes.texts] for axes in figure.axes)
    assert counts == ["8", "2", "0", "0", "0", "0", "1", "1", "2"]
    assert shares == ["80", "20", "0", "25", "25", "50"]
    assert figure.axes[1].get_ylabel().startswith("true")
    assert figure.axes[1].get_xlabel().startswith("predicted")


def test_probability_bars_distinguish_right_from_wrong_without_colour():
    images = np.zeros((2, 48, 48), dtype=np.uint8)
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    figure = plots.probability_bars(images, probabilities, NAMES, true=[0, 1], ages=[3.0, 12])
    right, wrong = figure.axes[1::2]
    assert [face.get_title() for face in figure.axes[::2]] == ["3 years", "12 years"]
    assert [bar.get_width() for bar in wrong.patches] == pytest.approx([10, 30, 60])
    assert "right" in right.get_title(loc="left")
    assert "wrong" in wrong.get_title(loc="left")
    assert [bool(bar.get_hatch()) for bar in (*right.patches, *wrong.patches)] == [False] * 5 + [True]
    assert [tick.get_text() for tick in wrong.get_yticklabels()] == ["0-5", "▸ 6-18", "19-30"]


def test_probability_bars_of_no_face_are_an_empty_figure():
    figure = plots.probability_bars(np.zeros((0, 48, 48)), np.zeros((0, 3)), NAMES, [], [])
    assert isinstance(figure, Figure)
    assert not figure.axes


def test_round_ages_are_distinguished():
    axes = plots.age_counts([3, 3, 5, 10])
    others, rounds = axes.containers
    assert {round(bar.get_x() + 0.45): bar.get_height() for bar in others}[3] == 2
    assert {round(bar.get_x() + 0.45): bar.get_height() for bar in rounds} == {0: 0, 5: 1, 10: 1}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["other years", "years ending in 0 or 5"]


def photo_table(n: int) -> pd.DataFrame:
    probabilities = np.where(np.arange(6) == 2, 0.5, 0.1)
    rows = [{"face": i + 1, "x": 10 * i, "y": 20, "width": 30, "height": 30} for i in range(n)]
    table = pd.DataFrame(rows).assign(group=GROUPS[2], above_threshold=[i % 2 == 0 for i in range(n)], turn=0)
    points, doubts = [[[10 * i + 8, 30]] * 5 for i in range(n)], [("", "small, dark")[i % 2] for i in range(n)]
    table = table.assign(points=points, doubts=doubts)
    return table.assign(**{f"p_{group}": probabilities[group] for group in range(6)})


@pytest.mark.parametrize("n", [1, 2, 9])
def test_every_face_has_its_number_and_the_first_ones_their_probabilities(n):
    figure = plots.photo_faces(np.zeros((400, 1600, 3), np.uint8), 1, photo_table(n), GROUPS)
    photo, seen, bars = figure.axes[0], figure.axes[1::2], figure.axes[2::2]
    expected = [str(i + 1) if i < plots.PHOTO_FACES else f"{i + 1} · 19-30" for i in range(n)]
    assert [text.get_text() for text in photo.texts] == expected
    assert [text.get_position() for text in photo.texts] == [(10 * i, 20) for i in range(n)]
    assert [one.get_offsets()[4].tolist() for one in photo.collections] == [[10 * i + 8, 30] for i in range(n)]
    assert len(bars) == min(n, plots.PHOTO_FACES)
    assert [ax.texts[0].get_text() for ax in seen] == ["", "small\ndark"] * (len(bars) // 2) + [""] * (len(bars) % 2)
    assert [bar.get_width() for bar in bars[0].patches] == pytest.approx([10, 10, 50, 10, 10, 10])


@pytest.mark.parametrize("points", [LANDMARKS, None])
def test_beside_the_bars_is_what_the_network_saw(points):
    photo = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    where = None if points is None else points + 100 * (1 + 1j)
    listed = [] if points is None else np.stack([where.real, where.imag], axis=1) * 2
    figure = plots.photo_faces(photo, 2, photo_table(1).assign(points=[np.array(listed).tolist()]), GROUPS)
    seen = figure.axes[1].images[0].get_array()
    np.testing.assert_array_equal(seen, shrink(np.ascontiguousarray(photo[..., ::-1])))


def test_boxes_are_in_pixels_of_the_file_and_a_photo_that_was_turned_is_said_to_be():
    photo = np.zeros((400, 500, 3), np.uint8)
    figure = plots.photo_faces(photo, 3, photo_table(1).assign(turn=270), GROUPS)
    assert figure.axes[0].images[0].get_extent() == [0, 1500, 1200, 0]
    assert figure.axes[0].get_title() == "turned by 270° clockwise to find them"


def test_a_confidence_below_the_threshold_is_written_hatched_and_dashed():
    figure = plots.photo_faces(np.zeros((400, 400, 3), np.uint8), 1, photo_table(2), GROUPS)
    photo, above, below = figure.axes[::2]
    assert above.get_title(loc="left") == "1 · 19-30"
    assert below.get_title(loc="left") == "2 · not sure, 19-30?"
    assert [ax.patches[2].get_hatch() for ax in (above, below)] == [None, "////"]
    boxes = [patch for patch in photo.patches if isinstance(patch, Rectangle)]
    assert [box.get_linestyle() for box in boxes] == ["-", "-", "-", "--"]
