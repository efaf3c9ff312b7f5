"""Panels for a live notebook: they show the result of what is set. The only module that uses ipywidgets.

Everything can be set from the keyboard, and nothing is plotted while a slider still moves.
"""

import io
import tempfile
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np

from ageclf.display import plots
from ageclf.network.model import augmentation

WHOLE = {"style": {"description_width": "initial"}}  # no description is cut off
SNUG = WHOLE | {"layout": {"width": "auto"}}


def augmentation_panel(images: np.ndarray, strengths: dict[str, float | bool], seed: int = 0) -> widgets.VBox:
    """Show pictures (n, 48, 48) in 0–255, each in a row: as it is, then with nine random changes.

    `strengths` are those of `model.augmentation`: a number gets a slider from 0 to 0.5 (to itself where it is more),
    True or False a checkbox. Another strength shows the same changes, stronger or weaker; another seed, others.
    """
    pictures = np.asarray(images, dtype="float32")[..., np.newaxis]
    controls = {name: _strength(name, strength) for name, strength in strengths.items()}
    controls["seed"] = widgets.BoundedIntText(seed, 0, 2**31 - 1, description="seed", **WHOLE)

    def show(**chosen) -> tuple[plt.Figure, str]:
        change = augmentation(**chosen)
        changed = [np.asarray(change(pictures, training=True)) for _ in range(9)]
        gallery = np.stack([pictures, *changed], axis=1).reshape(-1, *pictures.shape[1:3])
        caption = ", ".join(f"{name} {value}" for name, value in chosen.items())
        return plots.face_grid(gallery).figure, f"Each face as it is, then nine changes with {caption}"

    return _panel(controls, show)


def _strength(name: str, strength: float | bool) -> widgets.Widget:
    if isinstance(strength, bool):
        return widgets.Checkbox(strength, description=name, indent=False, **SNUG)
    limits = {"min": 0, "max": max(0.5, strength), "step": 0.01}
    return widgets.FloatSlider(strength, **limits, description=name, continuous_update=False, **WHOLE)


def prediction_panel(
    images: np.ndarray, probabilities: np.ndarray, names: list[str], true: np.ndarray, ages: np.ndarray, shown: int = 6
) -> widgets.VBox:
    """Page through faces (n, height, width) beside their probabilities (n, k), `shown` on a page.

    `names` are those of the groups, `true` codes (n,), `ages` years (n,). A checkbox leaves the mistakes only, a list
    the faces of one true group only; either begins at the first page again.
    """
    wrong = probabilities.argmax(axis=1) != true
    mistakes = widgets.Checkbox(description="only mistakes", indent=False, **SNUG)
    codes = [("all", -1), *zip(names, range(len(names)), strict=True)]
    group = widgets.Dropdown(options=codes, description="true group", **SNUG)
    slider = widgets.IntSlider(1, 1, 1, description="page", continuous_update=False, **WHOLE)
    following = widgets.Button(description="next faces")
    following.on_click(lambda _: slider.set_trait("value", slider.value % slider.max + 1))
    for chosen in (mistakes, group):
        chosen.observe(lambda _: slider.set_trait("value", 1), "value")

    def show(mistakes: bool, group: int, page: int) -> tuple[plt.Figure, str]:
        found = np.flatnonzero((wrong | (not mistakes)) & ((true == group) | (group < 0)))
        slider.max = max(1, -(-len(found) // shown))
        first = shown * (page - 1)
        faces = found[first : first + shown]
        caption = f"Faces {first + 1}–{first + len(faces)} of {len(found)}" if len(found) else "No such face"
        return plots.probability_bars(images[faces], probabilities[faces], names, true[faces], ages[faces]), caption

    return _panel({"mistakes": mistakes, "group": group, "page": slider}, show, following)


def upload_panel(answer: Callable[[Path, str], str], endings: Sequence[str], note: str) -> widgets.VBox:
    """Choose files with one of the endings; show the HTML that `answer` makes of each and of its name, one below the
    other. What it raises is shown as well. A file is on the disk only as long as that takes.
    """
    upload = widgets.FileUpload(accept=",".join(endings), multiple=True, description="choose photos")
    upload.layout.width = "max-content"
    said, shown = widgets.HTML(paragraph(note)), widgets.HTML()
    shown.add_class("jp-RenderedHTMLCommon")  # tables look as those of a notebook

    def update(change: dict) -> None:
        answers = []
        for file in change["new"]:
            said.value = paragraph(f"{len(answers) + 1} of {len(change['new'])}: {file['name']} …")
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "photo").with_suffix(Path(file["name"]).suffix)
                try:
                    path.write_bytes(file["content"])
                    answers.append(answer(path, file["name"]))
                except Exception as error:  # nobody sees what a widget raises, and one file must not cost the others
                    answers.append(paragraph(f"{file['name']}: {error}"))
            shown.value = "".join(answers)
        said.value = paragraph(note)
        upload.value = ()  # the same file may be chosen again

    upload.observe(update, "value")
    return widgets.VBox([upload, said, shown])


def paragraph(text: str) -> str:
    """Turn a text into a paragraph of HTML."""
    return f"<p>{escape(text)}</p>"


def _panel(controls: dict[str, widgets.Widget], show: Callable[..., tuple[plt.Figure, str]], *buttons) -> widgets.VBox:
    """Show the figure and caption for what is set, now and whenever it changes."""
    shown = widgets.HTML()

    def update(_=None) -> None:
        shown.value = picture(*show(**{name: control.value for name, control in controls.items()}))

    for control in controls.values():
        control.observe(update, "value")
    update()
    above = widgets.HBox([*controls.values(), *buttons], layout={"flex_flow": "row wrap", "grid_gap": "0 1.5em"})
    return widgets.VBox([above, shown])


def picture(figure: plt.Figure, caption: str) -> str:
    """Turn a figure into HTML with a caption, which is its alternative text too; the figure is closed."""
    png = io.BytesIO()
    figure.savefig(png, format="png")
    plt.close(figure)
    source, caption = f"data:image/png;base64,{b64encode(png.getvalue()).decode()}", escape(caption)
    shown = f'<img src="{source}" alt="{caption}" style="max-width: 100%">'
    return f'<figure style="margin: 0"><figcaption>{caption}</figcaption>{shown}</figure>'
