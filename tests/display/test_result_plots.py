"""Figures of training, measures and comparisons show their numbers, with intervals, and leave out what is undefined."""

import warnings

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


def test_rows_of_intervals_put_baselines_beside_and_leave_out_what_is_undefined():
    undefined = {"value": None, "low": None, "high": None}
    models = {
        "network": {"accuracy": interval(0.7), "macro_f1": interval(0.6), "ordinal_mae": interval(0.4)},
        "most_frequent": {"group": "19-30", "accuracy": interval(0.3), "macro_f1": undefined},
    }
    axes = result_plots.interval_rows(models, ["accuracy", "macro_f1"])
    network, baseline = axes.lines
    assert network.get_xdata() == pytest.approx([70, 60])
    assert baseline.get_xdata() == pytest.approx([30])
    assert [segment[:, 0].tolist() for segment in axes.collections[1].get_segments()] == [pytest.approx([28, 32])]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["accuracy", "macro F1"]
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["network", "most frequent"]
    assert network.get_marker() != baseline.get_marker()


def test_training_curves_plot_the_history_by_epoch():
    history = pd.DataFrame(
        {
            "loss": [2.0, 1.0],
            "val_loss": [2.1, 1.5],
            "accuracy": [0.2, 0.6],
            "val_accuracy": [0.3, 0.5],
            "learning_rate": [1e-3, 1e-4],
        },
        index=[1, 2],
    )
    loss, accuracy, rate = result_plots.training_curves(history).axes
    drawn = {line.get_color(): line for line in accuracy.lines if len(line.get_xdata())}
    lines = {line.get_label(): drawn[line.get_color()] for line in accuracy.get_legend().get_lines()}
    assert lines["train"].get_xydata().tolist() == [[1, 20], [2, 60]]
    assert lines["validation"].get_xydata().tolist() == [[1, 30], [2, 50]]
    assert lines["train"].get_linestyle() != lines["validation"].get_linestyle()
    assert loss.lines[0].get_ydata().tolist() == [2.1, 1.5]
    assert rate.lines[0].get_ydata().tolist() == [1e-3, 1e-4]


def test_a_single_epoch_that_ends_with_a_learning_rate_of_zero_is_plotted_without_a_warning():
    history = pd.DataFrame({"loss": [2.0], "val_loss": [2.1], "accuracy": [0.2], "val_accuracy": [0.3]}, index=[1])
    with warnings.catch_warnings(action="error"):
        figure = result_plots.training_curves(history.assign(learning_rate=0.0))
        figure.canvas.draw()
    assert [ax.get_yscale() for ax in figure.axes] == ["linear"] * 3


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
    axes = result_plots.accuracy_curve(np.array([100, 50]), frame, "coverage (%)", 0.6)
    overall, curve = axes.lines
    assert overall.get_ydata() == pytest.approx([60, 60])
    assert curve.get_xdata().tolist() == [100, 50]
    assert curve.get_ydata() == pytest.approx([60, 80])
    band = axes.collections[0].get_paths()[0].vertices
    assert {round(float(y)) for _, y in band} == {50, 70, 90}
    assert axes.get_xlabel() == "coverage (%)"


def test_slices_too_small_to_judge_are_hollow():
    columns = {"slice": ["a", "b"], "n": [1200, 3], "value": [0.5, 1.0], "low": [0.4, 1.0], "high": [0.6, 1.0]}
    axes = result_plots.slice_accuracy(pd.DataFrame(columns | {"ranked": [True, False]}), 0.6)
    overall, judged, small = axes.lines
    assert overall.get_xdata() == pytest.approx([60, 60])
    assert (judged.get_xdata().tolist(), small.get_xdata().tolist()) == ([50], [100])
    assert (judged.get_markerfacecolor() != "white", small.get_markerfacecolor()) == (True, "white")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a  (1,200)", "b  (3)"]


def test_where_heat_is_above_a_half_the_face_is_coloured_and_elsewhere_it_is_dark():
    image, map_ = np.full((48, 48), 90, dtype=np.uint8), np.zeros((48, 48))
    map_[:24, :24], map_[24:, 24:] = 1, 0.4
    figure = result_plots.heat_over_faces(np.stack([image] * 2), np.stack([map_, 0 * map_]), ["a", "b"])
    (plain, other, heated, cold) = figure.axes
    assert [axes.get_title() for axes in (plain, other)] == ["a", "b"]
    assert len(plain.images) == 1
    face, heat = heated.images
    np.testing.assert_array_equal(face.get_array(), image)
    assert (heat.get_clim(), face.get_clim()) == ((0, 1), (0, 255))
    seen = heat.to_rgba(heat.get_array())[..., :3]
    assert seen[10, 10].max() > 0.9, "the region is bright"
    assert (seen[[10, 40], [40, 40]] == seen[30, 10]).all(), "what is below a half is alike"
    assert seen[30, 10].max() < 0.05, "and black"
    assert heat.get_alpha()[10, 10] < heat.get_alpha()[40, 40] == heat.get_alpha()[30, 10] < 1, "the face is seen"
    assert set(cold.images[1].get_alpha().ravel()) == {heat.get_alpha()[30, 10]}, "without heat there is no region"


def history(*losses: float) -> pd.DataFrame:
    epochs = pd.Index(range(1, len(losses) + 1), name="epoch")
    return pd.DataFrame({"val_accuracy": [1 - loss / 2 for loss in losses], "val_loss": losses}, index=epochs)


def compared(**changes) -> dict:
    return {"measure": "accuracy", "settings": [{}], "baseline": "flip no", "differences": [], **changes}


def configurations(histories: dict[str, pd.DataFrame], **settings: str) -> list[dict]:
    """Rows of `comparison.read_sweep`, with the setting of each; the epoch kept is that of the lowest loss."""
    return [
        {"configuration": name, "setting": setting, "best_epoch": None}
        | ({"best_epoch": histories[name]["val_loss"].idxmin()} if name in histories else {})
        for name, setting in settings.items()
    ]


def test_a_setting_has_one_look_and_one_name_and_each_seed_a_line():
    histories = {"a": history(1.5, 1.1, 1.2), "b": history(1.4, 1.3), "c": history(1.2)}
    rows = configurations(histories, a="flip no", b="flip no", c="flip yes", d="without a log")
    figure = result_plots.sweep_curves(rows, histories)
    accuracy, loss = figure.axes
    first, second, other = (line for line in loss.lines if len(line.get_xdata()))
    assert first.get_xdata().tolist() == [1, 2, 3]
    assert second.get_ydata().tolist() == [1.4, 1.3]
    assert accuracy.lines[2].get_ydata() == pytest.approx([40])
    kept = loss.collections[0]
    assert kept.get_offsets().tolist() == [[2, 1.1], [2, 1.3], [1, 1.2]]  # the lowest losses
    assert first.get_color() == second.get_color() != other.get_color()
    assert first.get_linestyle() == second.get_linestyle() != other.get_linestyle()
    markers = [path.vertices.tolist() for path in kept.get_paths()]
    assert markers[0] == markers[1] != markers[2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["flip no", "flip yes"]


def test_many_settings_have_a_legend_that_fits_the_figure():
    histories = {f"p{i}": history(1.5, 1.4) for i in range(24)}
    names = {f"p{i}": f"augmentation flip, translation, rotation {i}" for i in range(24)}
    figure = result_plots.sweep_curves(configurations(histories, **names), histories)
    figure.canvas.draw()
    box, (width, height) = figure.legends[0].get_window_extent(), figure.canvas.get_width_height()
    assert 0 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
    assert min(axes.get_position().height for axes in figure.axes) * height > 150  # pixels left for the curves
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in figure.legends[0].get_lines()}
    assert len(looks) == 24


def test_differences_stand_beside_zero_with_interval_and_seeds():
    row = {"setting": "flip yes", "seeds": ["1", "2"], "value": 0.02, "low": 0.01, "high": 0.03, "by_seed": [0.0, 0.04]}
    none = {"setting": "flip both", "seeds": [], "value": None, "low": None, "high": None, "by_seed": []}
    figure = result_plots.differences(compared(differences=[row, none]))
    zero, seeds, value = figure.axes[0].lines
    assert zero.get_xdata() == [0, 0]
    assert seeds.get_xdata() == pytest.approx([0, 4])
    assert value.get_xdata() == pytest.approx([2])
    assert figure.axes[0].collections[0].get_segments()[0][:, 0] == pytest.approx([1, 3])
    assert figure.axes[0].get_xlabel() == "accuracy (%), minus that of flip no"


def test_where_there_is_nothing_to_show_there_is_no_figure():
    assert result_plots.differences(compared(settings=[])) is None
    assert not plt.get_fignums()
