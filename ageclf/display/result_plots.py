"""Figures of measures with intervals: each function takes data and returns a matplotlib Axes or Figure."""

from itertools import cycle
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ageclf.display.plots import BLUE, GREEN, ORANGE, SKY
from ageclf.metrics.evaluation import SHARES


def measure_intervals(results: dict, names: list[str]) -> Axes:
    """Dot and 95 % interval of some measures in `metrics.json`, shares, for network and baselines."""
    return interval_rows({"network": results["measures"], **results["baselines"]}, names)


def interval_rows(models: dict[str, dict], names: list[str]) -> Axes:
    """Dot and 95 % interval of measures, shares, by name in a row each, for up to four `models` side by side.

    Undefined measures are left out.
    """
    _, axes = plt.subplots(figsize=(7, 0.9 + 0.22 * len(names) * len(models)), layout="constrained")
    for i, (model, colour, marker) in enumerate(zip(models, (BLUE, ORANGE, GREEN, SKY), "osD^", strict=False)):
        known = [(y, models[model][name]) for y, name in enumerate(names) if models[model][name]["value"] is not None]
        y = np.array([y for y, _ in known]) + (i - (len(models) - 1) / 2) / (len(models) + 1)
        value, low, high = (100 * np.array([measure[key] for _, measure in known]) for key in ("value", "low", "high"))
        axes.hlines(y, low, high, color=colour)
        axes.plot(value, y, marker, color=colour, label=model)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set(xlabel="value and 95 % interval (%)", xlim=(0, 100), ylim=(len(names) - 0.5, -0.5))
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    sns.despine(ax=axes)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(models))
    return axes


def reliability(panels: dict[str, np.ndarray]) -> Figure:
    """Accuracy, with its 95 % interval, against confidence in each bin; below it, how many faces each bin holds.

    `panels` are `calibration.bin_sums`, (1 + resamples, bins, 3), by title. Bins of fewer than five faces have no dot.
    """
    figure, axes = plt.subplots(
        2, len(panels), figsize=(4 * len(panels), 4.6), height_ratios=(3, 1), sharex=True, sharey="row", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for (title, sums), (above, below) in zip(panels.items(), axes.T, strict=True):
        n = sums[..., 0]
        shown = n[0] >= 5
        with np.errstate(invalid="ignore"):
            confidence, accuracy = 100 * sums[0, shown, 1] / n[0, shown], 100 * sums[:, shown, 2] / n[:, shown]
        low, high = np.nanpercentile(accuracy[1:], [2.5, 97.5], axis=0)
        above.plot((0, 100), (0, 100), "--", color="0.5", label="as sure as right")
        above.vlines(confidence, low, high, color=BLUE)
        above.plot(confidence, accuracy[0], "o", color=BLUE, markersize=5, label="accuracy, 95 % interval")
        above.set(title=title, xlim=(0, 100), ylim=(0, 100))
        edges = np.linspace(0, 100, sums.shape[1] + 1)
        below.stairs(n[0], edges, fill=True, color=SKY)
        below.set(xlabel="confidence (%)")
    axes[0, 0].set(ylabel="accuracy (%)")
    axes[1, 0].set(ylabel="faces")
    axes[0, 0].legend(frameon=False, loc="upper left", fontsize=9)
    sns.despine(fig=figure)
    return figure


def accuracy_curve(x: np.ndarray, frame: pd.DataFrame, label: str, overall: float, ax: Axes | None = None) -> Axes:
    """Accuracy with its 95 % interval, the columns value, low and high of a frame, against x (n,).

    A dashed line is the accuracy `overall`, of all faces as they are.
    """
    ax = ax or plt.subplots(figsize=(6, 3.2), layout="constrained")[1]
    ax.axhline(100 * overall, linestyle="--", color="0.5", label="all faces as they are")
    ax.fill_between(x, 100 * frame["low"], 100 * frame["high"], color=SKY, alpha=0.5)
    ax.plot(x, 100 * frame["value"], "o-", color=BLUE, label="accuracy, 95 % interval")
    ax.set(xlabel=label, ylabel="accuracy (%)")
    ax.legend(frameon=False, fontsize=9)
    sns.despine(ax=ax)
    return ax


def slice_accuracy(frame: pd.DataFrame, overall: float, ax: Axes | None = None) -> Axes:
    """Accuracy of each slice of a `slice_frame`, with its 95 % interval and number of faces, beside that of all.

    Slices too small to be ranked are hollow.
    """
    ax = ax or plt.subplots(figsize=(6.5, 0.9 + 0.3 * len(frame)), layout="constrained")[1]
    y = np.arange(len(frame))
    ax.axvline(100 * overall, linestyle="--", color="0.5", label="all faces")
    ax.hlines(y, 100 * frame["low"], 100 * frame["high"], color=BLUE)
    for ranked, face, label in ((True, BLUE, "accuracy, 95 % interval"), (False, "white", "too few faces to judge")):
        shown = (frame["ranked"] == ranked).to_numpy()
        if shown.any():
            dots = {"color": BLUE, "markerfacecolor": face, "clip_on": False}  # 0 % and 100 % lie on the frame
            ax.plot(100 * frame["value"][shown], y[shown], "o", **dots, label=label)
    ax.set_yticks(y, [f"{name}  ({n:,})" for name, n in zip(frame["slice"], frame["n"], strict=True)])
    ax.set(xlabel="accuracy (%)", xlim=(0, 100), ylim=(len(frame) - 0.5, -0.5))
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    sns.despine(ax=ax)
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=9)
    return ax


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


COLOURS = sns.color_palette("colorblind")


def training_curves(settings: dict[str, dict], histories: dict[str, pd.DataFrame]) -> Figure | None:
    """Validation accuracy and loss by epoch: a colour and marker a setting, a thin line each of its seeds.

    `settings` as `comparison.by_setting`; `histories` of points by epoch, columns as Keras' CSV log names them. The
    marker is on the epoch that was kept, of the lowest validation loss.
    """
    runs = {
        name: [histories[point] for point in points.values() if point in histories] for name, points in settings.items()
    }
    runs = {name: found for name, found in runs.items() if found}
    if not runs:
        return None
    columns = max(1, 90 // (max(map(len, runs)) + 8))
    rows = -(-len(runs) // columns)
    figure, panels = plt.subplots(1, 2, figsize=(9.6, 3.4 + 0.22 * rows), layout="constrained")
    # Ten colours, seven markers, three styles: settings repeat a look only after 210.
    looks = zip(runs.items(), cycle(COLOURS), cycle("osD^vPX"), cycle(("-", "--", ":")), strict=False)
    for (name, found), colour, marker, style in looks:
        for history in found:
            kept = int(np.argmin(history["val_loss"].fillna(np.inf)))
            for axes, column, scale in zip(panels, ("val_accuracy", "val_loss"), (100, 1), strict=True):
                look = {"color": colour, "linestyle": style, "linewidth": 1.2, "marker": marker, "markevery": [kept]}
                axes.plot(scale * history[column], label=name if history is found[0] else None, **look)
    for axes, label in zip(panels, ("validation accuracy (%)", "validation loss (nats)"), strict=True):
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        sns.despine(ax=axes)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
    return figure


def main_effects(compared: dict) -> Figure | None:
    """Mean of the measure at each level of each axis, over all other axes, and its single points: a panel an axis.

    `compared` as `comparison.compare` returns it. All panels have the same scale.
    """
    rows = pd.DataFrame(compared["effects"])
    if not compared["settings"] or rows.empty:
        return None
    panels = list(rows.groupby("axis", sort=False))
    scale, label = _scale(compared["measure"])
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        lines, columns, figsize=(4.8 * columns, 3.4 * lines), squeeze=False, sharey=True, layout="constrained"
    )
    for axes, (axis, found) in zip(grid.flat, panels, strict=False):
        x = np.arange(len(found))
        for position, values in zip(x, found["values"], strict=True):
            there = np.full(len(values), position)
            axes.plot(there, scale * np.array(values, dtype=float), "o", color=SKY, markersize=5)
        axes.plot(x, scale * found["mean"].astype(float), "D-", color=BLUE, markersize=6)
        room = max(1, 44 // len(found))  # letters beside each other; a longer word stands upright
        upright = max(len(word) for level in found["level"] for word in level.split()) > room
        names = [fill(level, 20 if upright else room, break_long_words=False) for level in found["level"]]
        axes.set_xticks(x, names, fontsize=9, rotation=90 if upright else 0)
        axes.set(xlabel=axis, xlim=(-0.5, len(found) - 0.5))
        sns.despine(ax=axes)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    figure.supylabel(label, fontsize="medium")
    return figure


def differences(compared: dict) -> Figure | None:
    """Difference of each setting from the baseline with its 95 % interval, and that of each seed as a hollow dot.

    `compared` as `comparison.compare` returns it.
    """
    rows = [row for row in compared["differences"] if row["value"] is not None]
    if not rows:
        return None
    scale, label = _scale(compared["measure"])
    names = [fill(row["setting"], 40) for row in rows]
    height = 0.25 + 0.18 * max(name.count("\n") + 1 for name in names)
    figure, axes = plt.subplots(figsize=(8, 1.1 + height * len(rows)), layout="constrained")
    axes.axvline(0, linestyle="--", color="0.5")
    for y, row in enumerate(rows):
        axes.hlines(y, scale * row["low"], scale * row["high"], color=BLUE, linewidth=2)
        axes.plot(
            scale * np.array(row["by_seed"], dtype=float),
            np.full(len(row["seeds"]), y - 0.2),
            "o",
            color="0.4",
            markerfacecolor="white",
            markersize=4,
        )
        axes.plot(scale * row["value"], y, "D", color=BLUE)
    axes.set_yticks(range(len(rows)), names)
    axes.set(xlabel=fill(f"{label}, minus that of {compared['baseline']}", 80), ylim=(len(rows) - 0.4, -0.6))
    sns.despine(ax=axes)
    return figure


def _scale(measure: str) -> tuple[int, str]:
    name = measure.replace("_", " ")
    return (100, f"{name} (%)") if measure in SHARES else (1, name)
