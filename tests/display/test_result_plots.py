"""Figures of measures show the numbers that they are given, with intervals, and leave out what is undefined."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ageclf.display import result_plots


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def interval(value: float) -> dict:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def test_measure_intervals_puts_baselines_beside_and_leaves_out_what_is_undefined():
    undefined = {"value": None, "low": None, "high": None}
    results = {
        "measures": {"accuracy": interval(0.7), "macro_f1": interval(0.6), "groups_off": interval(0.4)},
        "baselines": {"majority": {"group": "19-30", "accuracy": interval(0.3), "macro_f1": undefined}},
    }
    axes = result_plots.measure_intervals(results, ["accuracy", "macro_f1"])
    network, baseline = axes.lines
    assert network.get_xdata() == pytest.approx([70, 60])
    assert baseline.get_xdata() == pytest.approx([30])
    assert [segment[:, 0].tolist() for segment in axes.collections[1].get_segments()] == [pytest.approx([28, 32])]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["accuracy", "macro f1"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["network", "majority"]
    assert network.get_marker() != baseline.get_marker()


def test_reliability_shows_bins_with_faces_enough():
    sums = np.zeros((3, 2, 3))
    sums[:, 0] = 10, 4, 2  # faces, sum of confidences, right ones
    sums[:, 1] = 4, 3, 4
    figure = result_plots.reliability({"as it is": sums})
    above, below = figure.axes
    dots = above.lines[1]
    assert dots.get_xdata() == pytest.approx([40])
    assert dots.get_ydata() == pytest.approx([20])
    assert below.patches[0].get_data()[0].tolist() == [10, 4]


def test_a_curve_shows_accuracy_and_its_interval_beside_that_of_all_faces():
    frame = pd.DataFrame({"value": [0.6, 0.8], "low": [0.5, 0.7], "high": [0.7, 0.9]})
    axes = result_plots.accuracy_curve(np.array([100, 50]), frame, "share answered (%)", 0.6)
    overall, curve = axes.lines
    assert overall.get_ydata() == pytest.approx([60, 60])
    assert curve.get_xdata().tolist() == [100, 50]
    assert curve.get_ydata() == pytest.approx([60, 80])
    band = axes.collections[0].get_paths()[0].vertices
    assert {round(float(y)) for _, y in band} == {50, 70, 90}
    assert axes.get_xlabel() == "share answered (%)"


def test_slices_too_small_to_judge_are_hollow():
    columns = {"slice": ["a", "b"], "n": [1200, 3], "value": [0.5, 1.0], "low": [0.4, 1.0], "high": [0.6, 1.0]}
    axes = result_plots.slice_accuracy(pd.DataFrame(columns | {"ranked": [True, False]}), 0.6)
    overall, judged, small = axes.lines
    assert overall.get_xdata() == pytest.approx([60, 60])
    assert (judged.get_xdata().tolist(), small.get_xdata().tolist()) == ([50], [100])
    assert (judged.get_markerfacecolor() != "white", small.get_markerfacecolor()) == (True, "white")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a  (1,200)", "b  (3)"]


def test_heat_lies_over_the_face_and_a_line_goes_around_its_upper_half():
    image, map_ = np.full((48, 48), 90, dtype=np.uint8), np.zeros((48, 48))
    map_[:24, :24] = 1
    figure = result_plots.heat_over_faces(np.stack([image] * 2), np.stack([map_, 0 * map_]), ["a", "b"])
    (plain, other, heated, cold) = figure.axes
    assert [axes.get_title() for axes in (plain, other)] == ["a", "b"]
    assert len(plain.images) == 1
    face, heat = heated.images
    np.testing.assert_array_equal(face.get_array(), image)
    np.testing.assert_array_equal(heat.get_array(), map_)
    assert (heat.get_clim(), face.get_clim()) == ((0, 1), (0, 255))
    assert heat.get_alpha()[30, 30] == 0, "where there is no heat, the face is as it is"
    line = heated.collections[0].get_paths()[0].vertices
    assert line.max() == pytest.approx(23.5)
    assert not cold.collections, "a map without heat has no line"
