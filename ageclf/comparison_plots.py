"""Figures of a batch: each function takes data and returns a matplotlib Figure, or None when there is nothing to show.

What colour says, a marker and a line style say too.
"""

from itertools import cycle
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ageclf.evaluation import SHARES
from ageclf.plots import BLUE, SKY

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
