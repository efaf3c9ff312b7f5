"""A person's own photos: the one call for the command line, 06_prediction and programs; the panel of a browser."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
from ipywidgets import VBox
from pandas import DataFrame
from tqdm import tqdm

import ageclf
from ageclf.display import panels, plots, tables
from ageclf.faces.photos import ENDINGS, list_photos, read_faces, read_photo
from ageclf.metrics.calibration import predictions_of_photos
from ageclf.network.checkpoints import find_checkpoint, load_checkpoint
from ageclf.network.prediction import predict_probabilities


def predict(photos, run="best", checkpoint="auto", cropped=False, save=None) -> tuple[DataFrame, DataFrame, dict]:
    """Predict the age group of every face in photos: the path of a file or of a folder, or several of them.

        from ageclf import predict
        faces, problems, network = predict("holiday/")
        faces[["photo", "face", "group", "confidence"]]

    Returns a table with a row for each face, with the columns of `photos.read_faces` and of
    `calibration.predictions_of_photos`; a table of the photos without an answer, `photo` and `reason`, whatever is
    wrong with them; and the metadata of the checkpoint, with its `path`. That is the checkpoint of a run, else the
    shipped one, or the .keras or .h5 file that is named.

    Pictures that are `cropped` already, as UTKFace's are, are taken whole. Each photo with faces becomes a picture in
    the folder `save`, if one is named: the photo with boxes and points, crops and answers. A terminal shows the
    progress. Raises FileNotFoundError without a checkpoint; ValueError for a damaged one, and where TensorFlow is
    missing, which finds the faces.
    """
    files = list_photos([photos] if isinstance(photos, str | Path) else photos)
    path = find_checkpoint("auto" if checkpoint == "auto" else Path(checkpoint).absolute(), run)
    model, metadata = load_checkpoint(path)
    faces, problems = _answers(tqdm(files, "photos", disable=None), cropped, model, metadata)
    for number, (file, figure) in enumerate(photo_figures(files, faces, metadata["groups"]) if save else (), start=1):
        name = f"{number}-{ageclf.printable(file.stem)[:60]}.png"  # a name may be as long as names can be already
        ageclf.atomic_write(Path(save, name), partial(figure.savefig, format="png"))
        plt.close(figure)
    return faces, problems, {"path": path, **metadata}


def _answers(files: Iterable[Path], cropped: bool, model: object, metadata: dict) -> tuple[DataFrame, DataFrame]:
    faces, crops, problems = read_faces(files, cropped)
    return predictions_of_photos(faces, predict_probabilities(model, crops), metadata), problems


def photo_figures(files: list[Path], faces: DataFrame, groups: list[str]) -> Iterator[tuple[Path, plt.Figure]]:
    """Yield each of the files with faces, and a figure: the photo with boxes and points, crops and answers.

    `faces` are those that `predict` found in the files, `groups` the names of all groups.
    """
    for photo, found in faces.groupby("photo", sort=False):
        file = next(file for file in files if ageclf.printable(file) == photo)
        yield file, plots.photo_faces(*read_photo(file), found, groups)


def photo_panel(checkpoint: str | Path = "auto") -> VBox:
    """Choose photos in a browser, and see what `predict` answers: a figure and a table of each, or why there are none.

    The network is read once, here; a photo is in a file as long as it takes. Raises the errors of `predict`.
    """
    path = find_checkpoint(checkpoint, "best")
    model, metadata = load_checkpoint(path)

    def answer(photo: Path, name: str) -> str:
        faces, problems = _answers([photo], False, model, metadata)
        shown = [panels.picture(figure, name) for _, figure in photo_figures([photo], faces, metadata["groups"])]
        table = tables.table(tables.photos_frame(faces).drop(columns="photo"), "Faces found in it").data
        return "".join([*shown, table] if shown else map(panels.paragraph, name + ": " + problems["reason"]))

    return panels.upload_panel(answer, ENDINGS, tables.network_text(path, metadata))
