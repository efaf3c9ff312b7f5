"""Faces from a folder of UTKFace pictures, turned into what the CSV file has of them."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import ageclf
from ageclf.faces.csv_table import SIZE

ENDINGS = (".jpg", ".jpeg", ".png")
NAME = re.compile(r"(1[01][0-9]|120|[0-9]{1,2})_([01])_([0-4])_([^\ud800-\udfff]+)")  # the rest: any valid Unicode


def read_folder(folder: str | Path) -> Iterator[tuple[int, tuple, np.ndarray | None]]:
    """Yield each picture's number, its age, ethnicity, gender and img_name, and its image, uint8 (48, 48).

    Square pictures named `age_gender_race_date…`, of any size from 48×48, made grey and resized bilinearly: for the
    aligned and cropped UTKFace that gives the values of the CSV file. Any other picture comes as its number, a column
    with the reason, and no image; other files do not count. The order is that of names, numbers start from 0. Raises
    ValueError when no picture has such a name.
    """
    names = {path: NAME.fullmatch(path.name) for path in _pictures(folder)}
    if not any(names.values()):
        what = f"none of the {len(names):,} pictures in this folder is named like 26_1_2_20170116184134921.jpg"
        raise ValueError(f"{folder}: {what} (age_gender_race_date); name the folder that holds the pictures themselves")
    for row, (path, name) in enumerate(names.items()):
        picture = _decoded(path)
        if not name:
            expected = "age_gender_race_date, ages 0–120, gender 0–1, race 0–4"
            yield row, ("img_name", f"found {path.name!r}, expected {expected}"), None
        elif picture is None or picture.shape[0] != picture.shape[1] or len(picture) < SIZE:
            found = "no whole picture" if picture is None else "{1}×{0} pixels".format(*picture.shape)
            expected = f"a square face of {SIZE}×{SIZE} or more"
            yield row, ("pixels", f"found {found} in {path.name!r}, expected {expected}"), None
        else:
            yield row, (int(name[1]), int(name[3]), int(name[2]), name[4]), shrink(picture)


def shrink(picture: np.ndarray) -> np.ndarray:
    """Make a square picture, uint8 (side, side, 3) of blue, green, red, what the CSV file has: grey, uint8 (48, 48)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def folder_sha256(folder: str | Path) -> str:
    """Return the SHA-256 of the names and contents of a folder's pictures, 64 hexadecimal digits."""
    parts = (ageclf.sha256(path).encode() + os.fsencode(path.name) + b"\0" for path in _pictures(folder))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _pictures(folder: str | Path) -> list[Path]:
    """Files with the ending of a picture, by name, without the hidden ones that macOS adds."""
    paths = (path for path in Path(folder).iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    return sorted((path for path in paths if not path.name.startswith(".")), key=lambda path: path.name)


def _decoded(path: Path) -> np.ndarray | None:
    """The colours of a picture, uint8 (height, width, 3), as it is seen upright; None when it is damaged."""
    try:
        return cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # an empty file, or a picture of more than a thousand million pixels
        return None
