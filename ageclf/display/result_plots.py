"""Figures of training, measures and comparisons: each function takes data and returns a matplotlib Axes or Figure."""

from itertools import cycle
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ageclf.display.plots import BLUE, COLOURS, GREEN, ORANGE, SKY, label_axes
from ageclf.display.tables import label
from ageclf.metrics.evaluation import SHARES


def interval_rows(models: dict[str, dict], names: list[str]) -> Axes:
    """Dot and 95 % interval of measures, shares, by name in a row each, for up to four `models` side by side.

    Undefined measures are left out.
    """
    _, axes = plt.subplots(figsize=(7, 0.9 + 0.22 * len(names) * len(models)), layout="constrained")
    for i, (model, colour, marker) in enumerate(zip(models, (BLUE, ORANGE, GREEN, SKY), "osD^", strict=False)):
        rows = pd.DataFrame([models[model][name] for name in names]).dropna()
        y = rows.index + (i - (len(models) - 1) / 2) / (len(models) + 1)
        axes.hlines(y, 100 * rows["low"], 100 * rows["high"], color=colour)
        axes.plot(100 * rows["value"], y, marker, color=colour, label=label(model))
    axes.set_yticks(range(len(names)), map(label, names))
    return _rows_of_shares(axes, "value and 95 % interval (%)")


def slice_accuracy(frame: pd.DataFrame, overall: float, ax: Axes | None = None) -> Axes:
    """Accuracy of each slice of a `slice_frame`, with its 95 % interval and number of faces, beside that of all.

    Slices too small to be ranked are hollow.
    """
    ax = ax or plt.subplots(figsize=(6.5, 0.9 + 0.3 * len(frame)), layout="constrained")[1]
    y = np.arange(len(frame))
    ax.axvline(100 * overall, linestyle="--", color="0.5", label="all faces")
    ax.hlines(y, 100 * frame["low"], 100 * frame["high"], color=BLUE)
    for ranked, face, text in ((True, BLUE, "accuracy, 95 % interval"), (False, "white", "too few faces to judge")):
        shown = (frame["ranked"] == ranked).to_numpy()
        if shown.any():
            dots = {"color": BLUE, "markerfacecolor": face, "clip_on": False}  # 0 % and 100 % lie on the frame
            ax.plot(100 * frame["value"][shown], y[shown], "o", **dots, label=text)
    ax.set_yticks(y, [f"{name}  ({n:,})" for name, n in zip(frame["slice"], frame["n"], strict=True)])
    return _rows_of_shares(ax, "accuracy (%)", fontsize=9)


def _rows_of_shares(ax: Axes, xlabel: str, **legend) -> Axes:
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    columns = len(ax.get_legend_handles_labels()[0])
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns, **legend)
    return label_axes(ax, xlabel, xlim=(0, 100), ylim=(len(ax.get_yticks()) - 0.5, -0.5))


def reliability(panels: dict[str, np.ndarray]) -> Figure:
    """Accuracy, with its 95 % interval, against confidence in each bin; below it, how many faces each bin holds.

    `panels` are `calibration.bin_sums`, (1 + resamples, bins, 3), by title. Bins of fewer than five faces have no dot.
    """
    size = {"figsize": (4 * len(panels), 4.6), "height_ratios": (3, 1), "layout": "constrained"}
    figure, axes = plt.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, **size)
    for (title, sums), (above, below) in zip(panels.items(), axes.T, strict=True):
        n = sums[..., 0]
        shown = n[0] >= 5
        with np.errstate(invalid="ignore"):
            confidence, accuracy = 100 * sums[0, shown, 1] / n[0, shown], 100 * sums[:, shown, 2] / n[:, shown]
        low, high = np.nanpercentile(accuracy[1:], [2.5, 97.5], axis=0)
        above.plot((0, 100), (0, 100), "--", color="0.5", label="perfect calibration")
        above.vlines(confidence, low, high, color=BLUE)
        above.plot(confidence, accuracy[0], "o", color=BLUE, markersize=5, label="accuracy, 95 % interval")
        label_axes(above, "", title=title, xlim=(0, 100), ylim=(0, 100))
        below.stairs(n[0], np.linspace(0, 100, sums.shape[1] + 1), fill=True, color=SKY)
        label_axes(below, "confidence (%)")
    axes[0, 0].set(ylabel="accuracy (%)")
    axes[1, 0].set(ylabel="faces")
    axes[0, 0].legend(frameon=False, loc="upper left", fontsize=9)
    return figure


def accuracy_curve(x: np.ndarray, frame: pd.DataFrame, xlabel: str, overall: float, ax: Axes | None = None) -> Axes:
    """Accuracy with its 95 % interval, the columns value, low and high of a frame, against x (n,).

    A dashed line is the accuracy `overall`, of all faces as they are.
    """
    ax = ax or plt.subplots(figsize=(6, 3.2), layout="constrained")[1]
    ax.axhline(100 * overall, linestyle="--", color="0.5", label="all faces as they are")
    ax.fill_between(x, 100 * frame["low"], 100 * frame["high"], color=SKY, alpha=0.5)
    ax.plot(x, 100 * frame["value"], "o-", color=BLUE, label="accuracy, 95 % interval")
    ax.legend(frameon=False, fontsize=9)
    return label_axes(ax, xlabel, "accuracy (%)")


def heat_over_faces(images: np.ndarray, maps: np.ndarray, titles: list[str]) -> Figure:
    """Each face (n, height, width) as it is, and below it with a map (n, height, width) in 0–1 laid over it.

    What is hotter is brighter and hides more of the face; a white line goes around what is above a half.
    """
    figure, axes = plt.subplots(2, len(images), figsize=(1.5 * len(images), 3.3), squeeze=False, layout="constrained")
    for image, map_, title, (plain, heated) in zip(images, maps, titles, axes.T, strict=True):
        for panel in (plain, heated):
            panel.imshow(image, cmap="gray", vmin=0, vmax=255)
            panel.set_axis_off()
        plain.set_title(title, fontsize=9)
        heated.imshow(map_, cmap="inferno", vmin=0, vmax=1, alpha=0.7 * map_)
        if map_.min() < 0.5 < map_.max():
            heated.contour(map_, levels=[0.5], colors="white", linewidths=1)
    return figure


def training_curves(history: pd.DataFrame) -> Figure:
    """Loss, accuracy and learning rate by epoch (the index); columns as Keras' CSV log names them."""
    train = {"color": ORANGE, "marker": "o", "linestyle": "--", "markersize": 3, "label": "train"}
    val = {"color": BLUE, "marker": "s", "markersize": 3, "label": "validation"}
    rate = {"color": GREEN, "marker": "o", "markersize": 3}
    panels = {
        "loss (cross-entropy, nats)": [(history["loss"], train), (history["val_loss"], val)],
        "accuracy (%)": [(100 * history["accuracy"], train), (100 * history["val_accuracy"], val)],
        "learning rate": [(history["learning_rate"], rate)],
    }
    figure, axes = _curves(panels, figsize=(11, 3.2))
    for ax in axes[:2]:
        ax.legend(frameon=False)
    axes[2].set_yscale("log")
    return figure


def sweep_curves(settings: dict[str, dict], histories: dict[str, pd.DataFrame]) -> Figure | None:
    """Validation accuracy and loss by epoch of every configuration: a look for each setting, a line for each seed.

    `settings` as `comparison.by_setting` returns them, `histories` by configuration, columns as Keras' CSV log names
    them. The marker is on the epoch that was kept, of the lowest validation loss.
    """
    shown = {name: [histories[one] for one in names.values() if one in histories] for name, names in settings.items()}
    shown = {name: found for name, found in shown.items() if found}
    if not shown:
        return None
    accuracy, loss = [], []
    # Ten colours, seven markers, three styles: settings repeat a look only after 210.
    looks = zip(shown.items(), cycle(COLOURS), cycle("osD^vPX"), cycle(("-", "--", ":")), strict=False)
    for (name, found), colour, marker, style in looks:
        for history in found:
            kept = int(np.argmin(history["val_loss"].fillna(np.inf)))
            look = {"color": colour, "linestyle": style, "linewidth": 1.2, "marker": marker, "markevery": [kept]}
            look["label"] = name if history is found[0] else None
            accuracy.append((100 * history["val_accuracy"], look))
            loss.append((history["val_loss"], look))
    columns = max(1, 90 // (max(map(len, shown)) + 8))
    height = 3.4 + 0.22 * -(-len(shown) // columns)
    panels = {"validation accuracy (%)": accuracy, "validation loss (nats)": loss}
    figure, axes = _curves(panels, figsize=(9.6, height))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _curves(panels: dict[str, list[tuple[pd.Series, dict]]], figsize: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """Plot series by epoch, each in its look: a panel for each label of the y axis."""
    figure, axes = plt.subplots(1, len(panels), figsize=figsize, layout="constrained")
    for ax, (ylabel, lines) in zip(axes, panels.items(), strict=True):
        for series, look in lines:
            ax.plot(series, **look)
        label_axes(ax, "epoch", ylabel)
    return figure, axes


def main_effects(compared: dict) -> Figure | None:
    """Mean of the measure at each level of each axis, over all other axes, and single values: a panel an axis.

    `compared` as `comparison.compare` returns it. All panels have the same scale.
    """
    rows = pd.DataFrame(compared["effects"])
    if not compared["settings"] or rows.empty:
        return None
    panels, measure = list(rows.groupby("axis", sort=False)), compared["measure"]
    scale = 100 if measure in SHARES else 1
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    size = {"figsize": (4.8 * columns, 3.4 * lines), "layout": "constrained"}
    figure, grid = plt.subplots(lines, columns, squeeze=False, sharey=True, **size)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (axis, found) in zip(grid.flat, panels, strict=False):
        for position, values in enumerate(found["values"]):
            axes.plot([position] * len(values), scale * np.array(values, dtype=float), "o", color=SKY, markersize=5)
        axes.plot(range(len(found)), scale * found["mean"].astype(float), "D-", color=BLUE, markersize=6)
        room = max(1, 44 // len(found))  # letters beside each other; a longer word stands upright
        upright = max(len(word) for level in found["level"] for word in level.split()) > room
        names = [fill(level, 20 if upright else room, break_long_words=False) for level in found["level"]]
        axes.set_xticks(range(len(found)), names, fontsize=9, rotation=90 if upright else 0)
        label_axes(axes, axis, xlim=(-0.5, len(found) - 0.5))
    figure.supylabel(label(measure, unit=True), fontsize="medium")
    return figure


def differences(compared: dict) -> Figure | None:
    """Difference of each setting from the baseline with its 95 % interval, and that of each seed as a hollow dot.

    `compared` as `comparison.compare` returns it.
    """
    rows = [row for row in compared["differences"] if row["value"] is not None]
    if not rows:
        return None
    scale = 100 if compared["measure"] in SHARES else 1
    names = [fill(row["setting"], 40) for row in rows]
    height = 0.25 + 0.18 * max(name.count("\n") + 1 for name in names)
    figure, axes = plt.subplots(figsize=(8, 1.1 + height * len(rows)), layout="constrained")
    axes.axvline(0, linestyle="--", color="0.5")
    for y, row in enumerate(rows):
        axes.hlines(y, scale * row["low"], scale * row["high"], color=BLUE, linewidth=2)
        by_seed = scale * np.array(row["by_seed"], dtype=float)
        axes.plot(by_seed, [y - 0.2] * len(by_seed), "o", color="0.4", markerfacecolor="white", markersize=4)
        axes.plot(scale * row["value"], y, "D", color=BLUE)
    axes.set_yticks(range(len(rows)), names)
    xlabel = fill(f"{label(compared['measure'], unit=True)}, minus that of {compared['baseline']}", 80)
    label_axes(axes, xlabel, ylim=(len(rows) - 0.4, -0.6))
    return figure
