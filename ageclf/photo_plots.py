"""Figures of a person's own photos."""

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ageclf.evaluation import probabilities
from ageclf.plots import BLUE, ORANGE

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
