"""Figures of a batch show its numbers: curves of every point, the mean at every level, differences with intervals."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from ageclf.display import result_plots


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def history(*losses: float) -> pd.DataFrame:
    epochs = pd.Index(range(1, len(losses) + 1), name="epoch")
    return pd.DataFrame({"val_accuracy": [1 - loss / 2 for loss in losses], "val_loss": losses}, index=epochs)


def compared(**changes) -> dict:
    return {"measure": "accuracy", "settings": [{}], "baseline": "flip no", "differences": [], "effects": [], **changes}


def test_a_setting_has_one_look_and_one_name_and_each_seed_a_line():
    settings = {"flip no": {"1": "a", "2": "b"}, "flip yes": {"1": "c"}, "without a log": {"1": "d"}}
    histories = {"a": history(1.5, 1.1, 1.2), "b": history(1.4, 1.3), "c": history(1.2)}
    figure = result_plots.training_curves(settings, histories)
    accuracy, loss = figure.axes
    first, second, other = loss.lines
    assert first.get_xdata().tolist() == [1, 2, 3]
    assert second.get_ydata().tolist() == [1.4, 1.3]
    assert accuracy.lines[2].get_ydata() == pytest.approx([40])
    assert first.get_markevery() == [1]  # the second epoch has the lowest loss
    assert first.get_color() == second.get_color() != other.get_color()
    assert first.get_marker() != other.get_marker()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["flip no", "flip yes"]


def test_many_settings_have_a_legend_that_fits_the_figure():
    settings = {f"augmentation flip, translation, rotation {i}": {"1": f"p{i}"} for i in range(24)}
    figure = result_plots.training_curves(settings, {f"p{i}": history(1.5, 1.4) for i in range(24)})
    figure.canvas.draw()
    box, (width, height) = figure.legends[0].get_window_extent(), figure.canvas.get_width_height()
    assert 0 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
    assert min(axes.get_position().height for axes in figure.axes) * height > 150  # pixels left for the curves
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 24


def test_main_effects_show_means_and_single_points_in_per_cent():
    effects = [
        {"axis": "flip", "level": "no", "values": [0.6, 0.7], "mean": 0.65},
        {"axis": "flip", "level": "yes", "values": [], "mean": None},
        {"axis": "rate", "level": "0.001", "values": [0.6], "mean": 0.6},
    ]
    figure = result_plots.main_effects(compared(effects=effects))
    flip, rate = figure.axes
    assert flip.lines[0].get_ydata() == pytest.approx([60, 70])
    assert flip.lines[-1].get_ydata()[0] == pytest.approx(65)
    assert [tick.get_text() for tick in flip.get_xticklabels()] == ["no", "yes"]
    assert (flip.get_xlabel(), rate.get_xlabel()) == ("flip", "rate")
    assert figure.get_supylabel() == "accuracy (%)"


SETS = ["none", "flip", "flip, translation", "flip, translation, rotation"]
BACKBONES = [f"EfficientNetV2B{i}" for i in range(6)]


@pytest.mark.parametrize("levels", [SETS, [f"{name}, {i}" for name in SETS for i in "12"], BACKBONES, list("12345678")])
def test_names_of_levels_do_not_cover_each_other(levels):
    effects = [{"axis": "axis", "level": level, "values": [0.6], "mean": 0.6} for level in levels]
    (axes,) = result_plots.main_effects(compared(effects=effects)).axes
    axes.figure.canvas.draw()
    boxes = [tick.get_window_extent() for tick in axes.get_xticklabels()]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert axes.get_position().height > 0.3


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
    nothing = compared(settings=[])
    assert result_plots.training_curves({}, {}) is None
    assert result_plots.main_effects(nothing) is None
    assert result_plots.differences(nothing) is None
    assert not plt.get_fignums()
