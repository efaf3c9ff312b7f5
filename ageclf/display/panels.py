"""Panels for a live notebook: they show the result of what is set. The only module that uses ipywidgets.

Everything can be set from the keyboard, and nothing is plotted while a slider still moves.
"""

import io
from base64 import b64encode
from html import escape

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ageclf.display import plots
from ageclf.network.model import augmentation

WHOLE = {"style": {"description_width": "initial"}}  # no description is cut off
SNUG = WHOLE | {"layout": {"width": "auto"}}


def augmentation_panel(images: np.ndarray, strengths: dict[str, float | bool], seed: int = 0) -> widgets.VBox:
    """Show pictures (n, 48, 48) in 0–255, each in a row: as it is, then with nine random changes.

    `strengths` are those of `model.augmentation`: a number gets a slider from 0 to 0.5 (to itself where it is more),
    True or False a checkbox. Another strength shows the same changes, stronger or weaker; the button makes others.
    """
    pictures = np.asarray(images, dtype="float32")[..., np.newaxis]
    controls = {name: _strength(name, strength) for name, strength in strengths.items()}
    again, shown = widgets.Button(description="other changes"), widgets.HTML()

    def show(_=None) -> None:
        chosen = {name: control.value for name, control in controls.items()}
        change = augmentation(**chosen, seed=seed)
        changed = [np.asarray(change(pictures, training=True)) for _ in range(9)]
        gallery = np.stack([pictures, *changed], axis=1).reshape(-1, *pictures.shape[1:3])
        caption = ", ".join(f"{name} {value}" for name, value in chosen.items())
        shown.value = picture(plots.face_grid(gallery).figure, f"Each face as it is, then nine changes with {caption}")

    def change_again(_) -> None:
        nonlocal seed
        seed += 1
        show()

    for control in controls.values():
        control.observe(show, "value")
    again.on_click(change_again)
    show()
    return _panel([*controls.values(), again], shown)


def _strength(name: str, strength: float | bool) -> widgets.Widget:
    if isinstance(strength, bool):
        return widgets.Checkbox(strength, description=name, indent=False, **SNUG)
    limits = {"min": 0, "max": max(0.5, strength), "step": 0.01}
    return widgets.FloatSlider(strength, **limits, description=name, continuous_update=False, **WHOLE)


def prediction_panel(
    images: np.ndarray, probabilities: np.ndarray, names: list[str], true: np.ndarray, at_once: int = 6
) -> widgets.VBox:
    """Page through faces (n, height, width) beside their probabilities (n, k), `at_once` on a page.

    `names` are those of the groups, `true` codes (n,). A checkbox leaves the mistakes only, a list the faces of one
    true group only; either begins at the first page again.
    """
    wrong, found = probabilities.argmax(axis=1) != true, np.arange(len(true))
    mistakes = widgets.Checkbox(description="only mistakes", indent=False, **SNUG)
    codes = [("all", -1), *zip(names, range(len(names)), strict=True)]
    group = widgets.Dropdown(options=codes, description="true group", **SNUG)
    page = widgets.IntSlider(1, 1, 1, description="page", continuous_update=False, **WHOLE)
    following, shown = widgets.Button(description="next faces"), widgets.HTML()

    def choose(_=None) -> None:
        nonlocal found
        inside = (group.value < 0) | (true == group.value)
        found = np.flatnonzero(inside & wrong if mistakes.value else inside)
        page.value, page.max = 1, max(1, -(-len(found) // at_once))
        show()

    def show(_=None) -> None:
        first = at_once * (page.value - 1)
        faces = found[first : first + at_once]
        caption = f"Faces {first + 1}–{first + len(faces)} of {len(found)}" if len(found) else "No such face"
        bars = plots.probability_bars(images[faces], probabilities[faces], names, true[faces])
        shown.value = picture(bars, caption)

    mistakes.observe(choose, "value")
    group.observe(choose, "value")
    page.observe(show, "value")
    following.on_click(lambda _: page.set_trait("value", page.value % page.max + 1))
    choose()
    return _panel([mistakes, group, page, following], shown)


def _panel(controls: list[widgets.Widget], shown: widgets.HTML) -> widgets.VBox:
    beside = widgets.HBox(controls, layout={"flex_flow": "row wrap", "grid_gap": "0 1.5em"})
    return widgets.VBox([beside, shown])


def picture(figure: Figure, caption: str) -> str:
    """Turn a figure into HTML with a caption, which is its alternative text too; the figure is closed."""
    png = io.BytesIO()
    figure.savefig(png, format="png")
    plt.close(figure)
    source, caption = f"data:image/png;base64,{b64encode(png.getvalue()).decode()}", escape(caption)
    shown = f'<img src="{source}" alt="{caption}" style="max-width: 100%">'
    return f'<figure style="margin: 0"><figcaption>{caption}</figcaption>{shown}</figure>'
