"""Figures of faces, their labels and their predictions: each function takes data and returns an Axes or Figure.

Groups come as integer codes (n,) that index `names`. Whatever a colour shows, a marker, hatch or line style shows too.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from scipy.stats import binomtest

from ageclf.faces.photos import crop_face
from ageclf.metrics.evaluation import probabilities as probabilities_of

BLUE, ORANGE, GREEN, *_, SKY = sns.color_palette("colorblind")
PHOTO_FACES = 6  # faces of a photo whose probabilities are plotted; what others are stands in the photo
PHOTO_SIDE = 800  # pixels of the longer side that a photo is plotted with at least, if it has them


def label_axes(ax: plt.Axes, xlabel: str, ylabel: str = "", **properties) -> plt.Axes:
    """Label axes without a frame above and on the right, and set other properties of theirs; epochs are integers."""
    ax.set(xlabel=xlabel, ylabel=ylabel, **properties)
    if xlabel == "epoch":
        ax.locator_params(axis="x", integer=True)
    sns.despine(ax=ax)
    return ax


def face_grid(images, titles=(), columns: int = 10) -> plt.Axes:
    """Show grey pictures (n, height, width) in rows of `columns`, on a fixed scale: 0 black, 255 white.

    `titles` is one short text a picture. Each picture has a thin grey frame, so that black and white edges show;
    every pixel is shown as two by two, never smoothed.
    """
    columns, head = min(columns, len(images)), 12 if len(titles) else 5
    rows = -(-len(images) // columns)
    framed = np.pad(np.asarray(images, dtype="float32"), ((0, 0), (1, 1), (1, 1)), constant_values=190)
    empty = rows * columns - len(images)
    cells = np.pad(framed, ((0, empty), (head - 2, 0), (3, 0)), constant_values=np.nan)
    sheet = np.vstack([np.hstack(row) for row in np.split(cells, rows)])
    _, height, width = cells.shape
    figure = plt.figure(figsize=(columns * width / 50, rows * height / 50), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for i, title in enumerate(titles):
        x, y = i % columns * width + (width + 3) / 2, i // columns * height + head - 3
        axes.text(x, y, title, ha="center", va="bottom", fontsize=8)
    return axes


def map_heat(map_, label: str, vmax: float | None = None, ax: plt.Axes | None = None) -> plt.Axes:
    """Show a value per pixel (height, width), from 0 to `vmax` (default: the largest), as a heat map."""
    ax = ax or plt.subplots(figsize=(4.5, 3.6), layout="constrained")[1]
    image = ax.imshow(map_, cmap="cividis", vmin=0, vmax=vmax, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label=label)
    ax.set(xlabel="column (pixels)", ylabel="row (pixels)")
    return ax


def histograms(samples: dict, label: str, bins, unit: str = "pictures") -> plt.Axes:
    """Outline the histogram of up to three named samples over the same bins, as a share (%) of its `unit`."""
    _, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for (name, values), colour, style in zip(samples.items(), (BLUE, ORANGE, GREEN), ("-", "--", ":"), strict=False):
        counts, _ = np.histogram(values, bins)
        ax.stairs(100 * counts / counts.sum(), bins, color=colour, linestyle=style, linewidth=1.8, label=name)
    if len(samples) > 1:
        ax.legend(frameon=False)
    return label_axes(ax, label, f"share of {unit} (%)", xlim=(bins[0], bins[-1]), ylim=(0, None))


def by_group(values, groups, names: list[str], label: str, ax: plt.Axes) -> plt.Axes:
    """Box of `values` (n,) per group: median, quartiles, and whiskers at the 5th and 95th percentile."""
    look = {"widths": 0.6, "patch_artist": True, "boxprops": {"facecolor": SKY}, "medianprops": {"color": "black"}}
    samples = pd.Series(values).groupby(groups).agg(list)
    ax.boxplot(samples.tolist(), positions=samples.index, whis=(5, 95), showfliers=False, **look)
    return label_axes(ax, "age group (years)", label, xticks=range(len(names)), xticklabels=names)


def share_by_group(flags, groups, names: list[str], label: str, ax: plt.Axes) -> plt.Axes:
    """Bar per group: the share (%) of true `flags` (n,), with Wilson's 95 % interval."""
    for position, inside in pd.Series(flags).groupby(groups):
        interval = binomtest(inside.sum(), inside.size).proportion_ci(method="wilson")
        ax.bar(position, 100 * inside.mean(), width=0.6, color=BLUE)
        ax.vlines(position, 100 * interval.low, 100 * interval.high, color="black")
    return label_axes(ax, "age group (years)", label, ylim=(0, None), xticks=range(len(names)), xticklabels=names)


def confusion(counts, names: list[str]) -> plt.Figure:
    """Confusion matrix (k, k), rows true, columns predicted: counts, and the share (%) of each true group."""
    true, predicted = (pd.Index(names, name=f"{of} group (years)") for of in ("true", "predicted"))
    counts = pd.DataFrame(counts, true, predicted)
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.6), layout="constrained")
    look = {"cmap": "Blues", "vmin": 0, "square": True, "linewidths": 0.5, "annot": True, "cbar": False}
    sns.heatmap(counts, fmt="d", ax=left, **look).set_title("pictures")
    sns.heatmap(shares, fmt=".0f", vmax=100, ax=right, **look).set_title("share of the true group (%)")
    for ax in (left, right):
        ax.tick_params(axis="y", rotation=0)
    return figure


def age_counts(ages) -> plt.Axes:
    """Faces of each year of age (n,); years that end in 0 or 5 are darker and hatched."""
    _, ax = plt.subplots(figsize=(10, 3), layout="constrained")
    counts = pd.Series(np.bincount(ages))
    others, rounds = counts[counts.index % 5 > 0], counts[::5]
    ax.bar(others.index, others, width=0.9, color=SKY, label="other years")
    ax.bar(rounds.index, rounds, width=0.9, color=BLUE, hatch="//", edgecolor="white", label="years ending in 0 or 5")
    ax.legend(frameon=False)
    return label_axes(ax, "age (years)", "faces", xlim=(-1, len(counts)))


def probability_bars(images, probabilities, names: list[str], true, ages, columns: int = 3) -> plt.Figure:
    """Each face (n, height, width) with its true age (n,), beside its probabilities (n, k) in %; `true` are codes (n,).

    The predicted bar is blue, or orange and hatched where it is wrong; the true group is marked and bold.
    """
    rows = max(1, -(-len(images) // columns))  # no wrong face at all: an empty figure
    figure = plt.figure(figsize=(3.7 * columns, 1.75 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 2 * columns, width_ratios=[1, 1.2] * columns)
    for i, (image, of_face) in enumerate(zip(images, probabilities, strict=True)):
        face, bars = (figure.add_subplot(grid[i // columns, i % columns * 2 + side]) for side in (0, 1))
        face.imshow(image, cmap="gray", vmin=0, vmax=255)
        face.set_axis_off()
        face.set_title(f"{ages[i]:.0f} years", fontsize=9)
        wrong = np.argmax(of_face) != true[i]
        labels = [f"▸ {name}" if code == true[i] else name for code, name in enumerate(names)]
        _bars(bars, of_face, labels, hatched=wrong)
        bars.set_title("✗ wrong" if wrong else "✓ right", fontsize=9, loc="left")
        bars.get_yticklabels()[true[i]].set_fontweight("bold")
    figure.supxlabel("probability (%);  ▸ true group;  coloured bar: predicted group", fontsize=9)
    return figure


def photo_faces(photo: np.ndarray, reduced: float, faces: pd.DataFrame, names: list[str]) -> plt.Figure:
    """Show a photo, uint8 (height, width, 3), with its faces' boxes and points; beside it crops and probabilities.

    `faces` are the photo's rows of `calibration.predictions_of_photos`, in pixels of one `reduced` times as large.
    Where the confidence is below the checkpoint's threshold, the box is dashed and the bar hatched; what is doubtful
    about a crop is written below it, and how far a photo was turned, above it.
    """
    columns = 1 if len(faces) < 2 else 2
    shown = faces.head(PHOTO_FACES)
    rows = -(-len(shown) // columns)
    figure = plt.figure(figsize=(4.6 + 3.5 * columns, max(3.4, 1.7 * rows)), layout="constrained")
    grid = figure.add_gridspec(rows, 1 + 2 * columns, width_ratios=[4.6, *[1.1, 2.4] * columns])
    _photo(figure.add_subplot(grid[:, 0]), photo, faces, reduced)
    for i, (of_face, face) in enumerate(zip(probabilities_of(shown), shown.itertuples(), strict=True)):
        seen, ax = (figure.add_subplot(grid[i // columns, i % columns * 2 + j], anchor="N") for j in (1, 2))
        points = np.dot(face.points, [1, 1j]) / reduced if face.points else None
        seen.imshow(crop_face(photo, points)[0], cmap="gray", vmin=0, vmax=255)
        seen.text(23.5, 50, face.doubts.replace(", ", "\n"), ha="center", va="top", fontsize=8)
        seen.set_axis_off()
        below = face.above_threshold is False
        _bars(ax, of_face, names, hatched=below)
        title = f"{face.face} · {f'not sure, {face.group}?' if below else face.group}"
        ax.set_title(title, fontsize=9, fontweight="bold", loc="left")
    figure.supxlabel("probability (%)", fontsize=9, x=0.75)
    return figure


def _photo(ax: plt.Axes, photo: np.ndarray, faces: pd.DataFrame, reduced: float) -> None:
    step = max(1, max(photo.shape) // PHOTO_SIDE)  # matplotlib takes seconds for millions of pixels
    ax.imshow(photo[::step, ::step], extent=(0, photo.shape[1] * reduced, photo.shape[0] * reduced, 0))
    ax.set_axis_off()
    for face in faces.itertuples():
        for colour, width in (("black", 3.5), ("white", 1.5)):  # seen on any photo
            style = "--" if face.above_threshold is False and colour == "white" else "-"
            look = {"fill": False, "edgecolor": colour, "linewidth": width, "linestyle": style}
            ax.add_patch(plt.Rectangle((face.x, face.y), face.width, face.height, **look))
        ax.scatter(*np.reshape(face.points, (-1, 2)).T, s=9, color="white", edgecolor="black", linewidth=0.8, zorder=2)
        label = {"facecolor": "black", "edgecolor": "white", "pad": 2}
        text = face.face if face.face <= PHOTO_FACES else f"{face.face} · {face.group}"
        ax.text(face.x, face.y, text, color="white", fontsize=9, fontweight="bold", va="bottom", bbox=label)
    ax.set_title(f"turned by {faces['turn'].max()}° clockwise to find them" if faces["turn"].any() else "", fontsize=9)


def _bars(ax: plt.Axes, probabilities: np.ndarray, labels: list[str], hatched: bool) -> None:
    """Bars of a face's probabilities (k,) in %; the predicted one is blue, or orange and hatched."""
    bars = ax.barh(range(len(labels)), 100 * np.asarray(probabilities), color="0.8")
    bars[np.argmax(probabilities)].set(facecolor=ORANGE if hatched else BLUE, hatch="////" if hatched else None)
    ax.tick_params(labelsize=8)
    ax.invert_yaxis()
    label_axes(ax, "", xlim=(0, 100), xticks=(0, 50, 100), yticks=range(len(labels)), yticklabels=labels)
