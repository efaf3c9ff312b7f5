"""Figures of the notebooks: each function takes data and returns a matplotlib Axes or Figure.

Groups come as integer codes (n,) that index `names`. What colour says, a marker, a hatch or a line style
says too.
"""

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy.stats import binomtest

from ageclf.metrics.evaluation import probabilities

BLUE, ORANGE, GREEN, *_, SKY = sns.color_palette("colorblind")


def face_grid(images, titles=None, columns: int = 10) -> Axes:
    """Show grey pictures (n, height, width) in rows of `columns`, on a fixed scale: 0 black, 255 white.

    `titles` is one short text a picture. Each picture has a thin grey frame, so that black and white edges show;
    every pixel is drawn as two by two, never smoothed.
    """
    images = np.asarray(images)
    n, height, width = images.shape
    gap, head = 5, 5 if titles is None else 12
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * (height + head), columns * (width + gap)), np.nan, dtype="float32")
    figure = plt.figure(figsize=(sheet.shape[1] / 50, sheet.shape[0] / 50), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for i, picture in enumerate(images):
        top, left = i // columns * (height + head) + head - 1, i % columns * (width + gap) + gap - 1
        sheet[top - 1 : top + height + 1, left - 1 : left + width + 1] = 190
        sheet[top : top + height, left : left + width] = picture
        if titles is not None:
            axes.text(left + width / 2, top - 2, titles[i], ha="center", va="bottom", fontsize=8)
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    return axes


def map_heat(map_, label: str, vmax: float | None = None, ax: Axes | None = None) -> Axes:
    """Show a value per pixel (height, width), from 0 to `vmax` (default: the largest), as a heat map."""
    ax = ax or plt.subplots(figsize=(4.5, 3.6), layout="constrained")[1]
    image = ax.imshow(map_, cmap="cividis", vmin=0, vmax=vmax, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label=label)
    ax.set(xlabel="column (pixels)", ylabel="row (pixels)")
    return ax


def histograms(samples: dict, label: str, bins=50, unit: str = "pictures") -> Axes:
    """Outline the histogram of up to three named samples over the same bins, as a share (%) of its `unit`."""
    _, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    edges = np.histogram_bin_edges(np.concatenate([np.ravel(values) for values in samples.values()]), bins)
    looks = zip((BLUE, ORANGE, GREEN), ("-", "--", ":"), strict=True)
    for (name, values), (colour, style) in zip(samples.items(), looks, strict=False):
        counts, _ = np.histogram(values, edges)
        ax.stairs(100 * counts / counts.sum(), edges, color=colour, linestyle=style, linewidth=1.8, label=name)
    ax.set(xlabel=label, ylabel=f"share of {unit} (%)", xlim=(edges[0], edges[-1]))
    ax.set_ylim(bottom=0)
    if len(samples) > 1:
        ax.legend(frameon=False)
    sns.despine(ax=ax)
    return ax


def by_group(values, groups, names: list[str], label: str, ax: Axes | None = None) -> Axes:
    """Box of `values` (n,) per group: median, quartiles, and whiskers at the 5th and 95th percentile."""
    ax = ax or plt.subplots(figsize=(6, 3.2), layout="constrained")[1]
    values, groups = np.asarray(values), np.asarray(groups)
    present = np.unique(groups)
    look = {"widths": 0.6, "patch_artist": True, "boxprops": {"facecolor": SKY}, "medianprops": {"color": "black"}}
    samples = [values[groups == group] for group in present]
    ax.boxplot(samples, positions=present, whis=(5, 95), showfliers=False, **look)
    ax.set_xticks(range(len(names)), names)
    ax.set(xlabel="age group (years)", ylabel=label)
    sns.despine(ax=ax)
    return ax


def share_by_group(flags, groups, names: list[str], label: str, ax: Axes | None = None) -> Axes:
    """Bar per group: the share (%) of true `flags` (n,), with Wilson's 95 % interval."""
    ax = ax or plt.subplots(figsize=(6, 3.2), layout="constrained")[1]
    flags, groups = np.asarray(flags, dtype=bool), np.asarray(groups)
    for position in np.unique(groups):
        inside = flags[groups == position]
        interval = binomtest(int(inside.sum()), inside.size).proportion_ci(method="wilson")
        ax.bar(position, 100 * inside.mean(), width=0.6, color=BLUE)
        ax.vlines(position, 100 * interval.low, 100 * interval.high, color="black")
    ax.set_xticks(range(len(names)), names)
    ax.set(xlabel="age group (years)", ylabel=label)
    ax.set_ylim(bottom=0)
    sns.despine(ax=ax)
    return ax


def confusion(counts, names: list[str]) -> Figure:
    """Confusion matrix (k, k), rows true, columns predicted: counts, and the share (%) of each true group."""
    counts = np.asarray(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.6), layout="constrained")
    look = {
        "cmap": "Blues",
        "vmin": 0,
        "square": True,
        "linewidths": 0.5,
        "xticklabels": names,
        "yticklabels": names,
    }
    sns.heatmap(counts, annot=True, fmt="d", ax=left, cbar=False, **look)
    sns.heatmap(shares, annot=True, fmt=".0f", vmax=100, ax=right, cbar=False, **look)
    left.set(title="pictures", xlabel="predicted group (years)", ylabel="true group (years)")
    right.set(title="share of the true group (%)", xlabel="predicted group (years)", ylabel="true group (years)")
    for axes in (left, right):
        axes.tick_params(axis="y", rotation=0)
    return figure


def training_curves(history: pd.DataFrame) -> Figure:
    """Loss, accuracy and learning rate by epoch (the index); columns as Keras' CSV log names them."""
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for axes, measure, scale in zip(panels, ("loss", "accuracy"), (1, 100), strict=False):
        axes.plot(scale * history[measure], "o--", color=ORANGE, markersize=3, label="train")
        axes.plot(scale * history[f"val_{measure}"], "s-", color=BLUE, markersize=3, label="validation")
        axes.legend(frameon=False)
    panels[2].plot(history["learning_rate"], "o-", color=GREEN, markersize=3)
    labels = ("loss (cross-entropy, nats)", "accuracy (%)", "learning rate")
    for axes, label in zip(panels, labels, strict=True):
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        sns.despine(ax=axes)
    panels[2].set_yscale("log")
    return figure


def probability_bars(images, probabilities, names: list[str], true, predicted) -> Figure:
    """Each face (n, height, width) beside its probabilities (n, k) in %; `true`, `predicted`: codes (n,).

    The predicted bar is blue, or orange and hatched where it is wrong; the true group is marked and bold.
    """
    columns = 3
    rows = max(1, -(-len(images) // columns))  # no wrong face at all: an empty figure
    figure = plt.figure(figsize=(3.7 * columns, 1.75 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 2 * columns, width_ratios=[1, 1.2] * columns)
    for i, (image, shares) in enumerate(zip(images, probabilities, strict=True)):
        face = figure.add_subplot(grid[i // columns, i % columns * 2])
        face.imshow(image, cmap="gray", vmin=0, vmax=255)
        face.set_axis_off()
        bars = figure.add_subplot(grid[i // columns, i % columns * 2 + 1])
        drawn = bars.barh(range(len(names)), 100 * np.asarray(shares), color="0.8")
        right = true[i] == predicted[i]
        drawn[predicted[i]].set(facecolor=BLUE if right else ORANGE, hatch=None if right else "////")
        bars.set_title("✓ right" if right else "✗ wrong", fontsize=9, loc="left")
        labels = [f"▸ {name}" if code == true[i] else name for code, name in enumerate(names)]
        bars.set_yticks(range(len(names)), labels, fontsize=8)
        bars.get_yticklabels()[true[i]].set_fontweight("bold")
        bars.set(xlim=(0, 100), xticks=(0, 50, 100))
        bars.tick_params(axis="x", labelsize=8)
        bars.invert_yaxis()
        sns.despine(ax=bars)
    figure.supxlabel("probability (%);  ▸ true group;  coloured bar: predicted group", fontsize=9)
    return figure


def age_counts(ages) -> Axes:
    """Faces of each year of age (n,); years that end in 0 or 5 are darker and hatched."""
    _, ax = plt.subplots(figsize=(10, 3), layout="constrained")
    counts = np.bincount(np.asarray(ages, dtype=int))
    years = np.arange(len(counts))
    for round_, colour, hatch, label in (
        (False, SKY, None, "other years"),
        (True, BLUE, "//", "years ending in 0 or 5"),
    ):
        shown = (years % 5 == 0) == round_
        ax.bar(years[shown], counts[shown], width=0.9, color=colour, hatch=hatch, edgecolor="white", label=label)
    ax.set(xlabel="age (years)", ylabel="faces", xlim=(-1, len(counts)))
    ax.legend(frameon=False)
    sns.despine(ax=ax)
    return ax


SHOWN = 6  # faces whose probabilities are drawn; more are numbered in the photo, and in the table


LARGEST = 800  # pixels a side, as a photo is drawn


def photo_faces(photo: np.ndarray, faces: pd.DataFrame, names: list[str]) -> Figure:
    """Show a photo, uint8 (height, width, 3), with its faces in numbered boxes, beside the probabilities of each.

    `faces` are the photo's rows of `photos.tell`. Where the network is not sure, the box is dashed and the bar hatched.
    """
    columns = 1 if len(faces) < 2 else 2
    drawn = faces.head(SHOWN)
    rows = -(-len(drawn) // columns)
    figure = plt.figure(figsize=(4.6 + 2.4 * columns, max(3.4, 1.7 * rows)), layout="constrained")
    grid = figure.add_gridspec(rows, 1 + columns, width_ratios=[4.6, *[2.4] * columns])
    _photo(figure.add_subplot(grid[:, 0]), photo, faces)
    for i, (shares, face) in enumerate(zip(probabilities(drawn), drawn.itertuples(), strict=True)):
        ax = figure.add_subplot(grid[i // columns, 1 + i % columns])
        _bars(ax, 100 * shares, names, unsure=face.sure is False)
        said = f"not sure, {face.group}?" if face.sure is False else face.group
        ax.set_title(f"{face.face} · {said}", fontsize=9, fontweight="bold", loc="left")
    figure.supxlabel("probability (%)", fontsize=9, x=0.75)
    return figure


def _photo(ax: Axes, photo: np.ndarray, faces: pd.DataFrame) -> None:
    shrunk = min(1.0, LARGEST / max(photo.shape))
    small = cv2.resize(photo, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA) if shrunk < 1 else photo
    ax.imshow(small, extent=(0, photo.shape[1], photo.shape[0], 0))
    ax.set_axis_off()
    for face in faces.itertuples():
        for colour, width in (("black", 3.5), ("white", 1.5)):  # seen on any photo
            style = "--" if face.sure is False and colour == "white" else "-"
            look = {"fill": False, "edgecolor": colour, "linewidth": width, "linestyle": style}
            ax.add_patch(Rectangle((face.x, face.y), face.width, face.height, **look))
        label = {"facecolor": "black", "edgecolor": "white", "pad": 2}
        ax.text(face.x, face.y, face.face, color="white", fontsize=9, fontweight="bold", va="bottom", bbox=label)


def _bars(ax: Axes, shares: np.ndarray, names: list[str], unsure: bool) -> None:
    bars = ax.barh(range(len(names)), shares, color="0.8")
    bars[shares.argmax()].set(facecolor=ORANGE if unsure else BLUE, hatch="////" if unsure else None)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set(xlim=(0, 100), xticks=(0, 50, 100))
    ax.tick_params(axis="x", labelsize=8)
    ax.invert_yaxis()
    sns.despine(ax=ax)
