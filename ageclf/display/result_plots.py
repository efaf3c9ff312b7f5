"""Figures of training, measures and comparisons: each function takes data and returns a matplotlib Axes or Figure."""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from ageclf.display.plots import BLUE, GREEN, ORANGE, SKY, label_axes
from ageclf.display.tables import label
from ageclf.metrics.evaluation import SHARES


def interval_rows(models: dict[str, dict], names: list[str]) -> plt.Axes:
    """Dot and 95 % interval of measures, shares, by name in a row each, for up to four `models` side by side.

    Undefined measures are left out.
    """
    _, ax = plt.subplots(figsize=(7, 0.9 + 0.22 * len(names) * len(models)), layout="constrained")
    for i, (model, colour, marker) in enumerate(zip(models, (BLUE, ORANGE, GREEN, SKY), "osD^", strict=False)):
        rows = pd.DataFrame([models[model][name] for name in names]).dropna()
        y = rows.index + (i - (len(models) - 1) / 2) / (len(models) + 1)
        _intervals(ax, rows, y, color=colour, marker=marker, label=label(model))
    return _rows_of_shares(ax, "value and 95 % interval (%)", [label(name) for name in names])


def slice_accuracy(frame: pd.DataFrame, overall: float) -> plt.Axes:
    """Accuracy of each slice of a `slice_frame`, with its 95 % interval and number of faces, beside that of all.

    Slices too small to be ranked are hollow.
    """
    _, ax = plt.subplots(figsize=(6.5, 0.9 + 0.3 * len(frame)), layout="constrained")
    ax.axvline(100 * overall, linestyle="--", color="0.5", label="all faces")
    for ranked, rows in frame.groupby("ranked", sort=False):
        face, text = (BLUE, "accuracy, 95 % interval") if ranked else ("white", "too few faces to judge")
        look = {"color": BLUE, "marker": "o", "markerfacecolor": face, "clip_on": False}  # 0 and 100 % lie on the frame
        _intervals(ax, rows, rows.index, **look, label=text)
    return _rows_of_shares(ax, "accuracy (%)", list(map("{}  ({:,})".format, frame["slice"], frame["n"])))


def _intervals(ax: plt.Axes, rows: pd.DataFrame, y, scale: int = 100, **look) -> None:
    """Draw the value, with a look, and the interval of rows with value, low and high, at heights y (n,)."""
    ax.hlines(y, scale * rows["low"], scale * rows["high"], color=look["color"])
    ax.plot(scale * rows["value"], y, linestyle="none", **look)


def _rows_of_shares(ax: plt.Axes, xlabel: str, names: list[str]) -> plt.Axes:
    ax.grid(axis="x", color="0.9")
    ax.figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    rows = {"yticks": range(len(names)), "yticklabels": names, "ylim": (len(names) - 0.5, -0.5)}
    return label_axes(ax, xlabel, xlim=(0, 100), axisbelow=True, **rows)


def reliability(panels: dict[str, np.ndarray]) -> plt.Figure:
    """Accuracy, with its 95 % interval, against confidence in each bin; below it, how many faces each bin holds.

    `panels` are `calibration.bin_sums`, (1 + resamples, bins, 3), by title. Bins of fewer than five faces have no dot.
    """
    size = {"figsize": (4 * len(panels), 4.6), "height_ratios": (3, 1), "layout": "constrained"}
    figure, axes = plt.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, **size)
    for (title, sums), (above, below) in zip(panels.items(), axes.T, strict=True):
        shown = sums[0, :, 0] >= 5
        n, confidence, right = np.moveaxis(sums[:, shown], -1, 0)
        with np.errstate(invalid="ignore"):
            x, accuracy = 100 * confidence[0] / n[0], 100 * right / n
        above.plot((0, 100), (0, 100), "--", color="0.5", label="perfect calibration")
        above.vlines(x, *np.nanpercentile(accuracy[1:], [2.5, 97.5], axis=0), color=BLUE)
        above.plot(x, accuracy[0], "o", color=BLUE, markersize=5, clip_on=False, label="accuracy, 95 % interval")
        label_axes(above, "", "accuracy (%)", title=title, xlim=(0, 100), ylim=(0, 100))
        below.stairs(sums[0, :, 0], np.linspace(0, 100, sums.shape[1] + 1), fill=True, color=SKY)
        label_axes(below, "confidence (%)", "faces")
    axes[0, 0].legend(frameon=False, loc="upper left", fontsize=9)
    return figure


def accuracy_curve(x, frame: pd.DataFrame, xlabel: str, overall: float, ax: plt.Axes | None = None) -> plt.Axes:
    """Accuracy with its 95 % interval, the columns value, low and high of a frame, against x (n,).

    A dashed line is the accuracy `overall`, of all faces as they are.
    """
    ax = ax or plt.subplots(figsize=(6, 3.2), layout="constrained")[1]
    ax.axhline(100 * overall, linestyle="--", color="0.5", label="all faces as they are")
    ax.fill_between(x, 100 * frame["low"], 100 * frame["high"], color=SKY, alpha=0.5)
    ax.plot(x, 100 * frame["value"], "o-", color=BLUE, clip_on=False, label="accuracy, 95 % interval")
    ax.legend(frameon=False, fontsize=9)
    return label_axes(ax, xlabel, "accuracy (%)")


def heat_over_faces(images: np.ndarray, maps: np.ndarray, titles: list[str]) -> plt.Figure:
    """Each face (n, height, width) as it is, and below it with a map (n, height, width) in 0–1 laid over it.

    What is above a half is coloured, brighter where it is hotter; the rest is darkened.
    """
    figure, axes = plt.subplots(2, len(images), figsize=(1.5 * len(images), 3.3), squeeze=False, layout="constrained")
    for image, map_, title, (plain, heated) in zip(images, maps, titles, axes.T, strict=True):
        for panel in (plain, heated):
            panel.imshow(image, cmap="gray", vmin=0, vmax=255)
            panel.set_axis_off()
        plain.set_title(title, fontsize=9)
        hot = map_ > 0.5
        heated.imshow(map_ * hot, cmap="inferno", vmin=0, vmax=1, alpha=np.where(hot, 0.4, 0.65))
    return figure


def training_curves(history: pd.DataFrame) -> plt.Figure:
    """Loss, accuracy and learning rate, which ends at 0, by epoch (the index); columns as Keras' CSV log names them."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for ax, name, scale, unit in ((axes[0], "loss", 1, "cross-entropy, nats"), (axes[1], "accuracy", 100, "%")):
        curves = pd.DataFrame({"validation": scale * history[f"val_{name}"], "train": scale * history[name]})
        sns.lineplot(curves, markers=True, palette=[BLUE, ORANGE], ax=ax)
        ax.legend(frameon=False)
        label_axes(ax, "epoch", f"{name} ({unit})")
    sns.lineplot(history["learning_rate"], marker="o", color=GREEN, ax=axes[2])
    label_axes(axes[2], "epoch", "learning rate at its end", ylim=(0, None))
    return figure


def sweep_curves(configurations: list[dict], histories: dict[str, pd.DataFrame]) -> plt.Figure:
    """Validation accuracy and loss by epoch of every configuration: a look for each setting, a line for each seed.

    Both as `comparison.read_sweep` returns them, with at least one history. The marker is on the epoch that was kept,
    of the lowest loss.
    """
    curves = pd.concat(histories, names=["configuration"]).reset_index()
    curves = curves.merge(pd.DataFrame(configurations), on="configuration")
    curves["val_accuracy"] *= 100
    kept = curves[curves["epoch"] == curves["best_epoch"]]
    settings = curves["setting"].unique()
    columns = max(1, 90 // (max(map(len, settings)) + 8))
    height = 3.4 + 0.22 * -(-len(settings) // columns)
    figure, axes = plt.subplots(1, 2, figsize=(9.6, height), layout="constrained")
    names = {"val_accuracy": "validation accuracy (%)", "val_loss": "validation loss (nats)"}
    for ax, (y, ylabel) in zip(axes, names.items(), strict=True):
        look = {"x": "epoch", "y": y, "hue": "setting", "style": "setting", "palette": "colorblind", "ax": ax}
        lines = {"units": "configuration", "estimator": None, "linewidth": 1.2, "markersize": 7}
        sns.lineplot(curves, **look, **lines, markers=True, markevery=[])  # markers in the legend alone
        sns.scatterplot(kept, **look, s=50, legend=False, zorder=3)
        label_axes(ax, "epoch", ylabel)
        ax.get_legend().remove()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)
    return figure


def differences(compared: dict) -> plt.Figure | None:
    """Difference of each setting from the baseline with its 95 % interval, and that of each seed as a hollow dot.

    `compared` as `comparison.compare` returns it.
    """
    rows = pd.DataFrame([row for row in compared["differences"] if row["value"] is not None])
    if rows.empty:
        return None
    scale = 100 if compared["measure"] in SHARES else 1
    names = [fill(setting, 40) for setting in rows["setting"]]
    height = 0.25 + 0.18 * max(name.count("\n") + 1 for name in names)
    _, ax = plt.subplots(figsize=(8, 1.1 + height * len(rows)), layout="constrained")
    ax.axvline(0, linestyle="--", color="0.5")
    by_seed = scale * rows["by_seed"].explode().astype(float)
    ax.plot(by_seed, by_seed.index - 0.2, "o", color="0.4", markerfacecolor="white", markersize=4)
    _intervals(ax, rows, rows.index, scale, color=BLUE, marker="D")
    xlabel = fill(f"{label(compared['measure'], unit=True)}, minus that of {compared['baseline']}", 80)
    return label_axes(ax, xlabel, yticks=rows.index, yticklabels=names, ylim=(len(rows) - 0.4, -0.6)).figure
