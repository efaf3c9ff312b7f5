"""The one call for a person's own photos, behind the command line, 06_prediction and other programs."""

from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
from pandas import DataFrame
from tqdm import tqdm

import ageclf
from ageclf.display import plots
from ageclf.faces.photos import list_photos, read_faces, read_photo
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
    faces, crops, problems = read_faces(tqdm(files, "photos", disable=None), cropped)
    faces = predictions_of_photos(faces, predict_probabilities(model, crops), metadata)
    for number, (photo, found) in enumerate(faces.groupby("photo", sort=False) if save else (), start=1):
        file = next(file for file in files if ageclf.printable(file) == photo)
        figure = plots.photo_faces(*read_photo(file), found, metadata["groups"])
        name = f"{number}-{ageclf.printable(file.stem)[:60]}.png"  # a name may be as long as names can be already
        ageclf.atomic_write(Path(save, name), partial(figure.savefig, format="png"))
        plt.close(figure)
    return faces, problems, {"path": path, **metadata}
