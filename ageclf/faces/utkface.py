"""Faces from a folder of UTKFace pictures, turned into what the CSV file has of them."""

import contextlib
import hashlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import ageclf
from ageclf.faces.csv_table import SIZE

PICTURES = (".jpg", ".jpeg", ".png")
NAME = re.compile(r"(1[01][0-9]|120|[0-9]{1,2})_([01])_([0-4])_([^\ud800-\udfff]+)")  # the rest: any valid Unicode


def read_folder(folder: str | Path, digest: "hashlib._Hash") -> Iterator[tuple[int, tuple, np.ndarray | None]]:
    """Yield each picture's number, its age, ethnicity, gender and img_name, and its image, uint8 (48, 48).

    Square pictures named `age_gender_race_date…`, of any size from 48×48, made grey and resized bilinearly: for the
    aligned and cropped UTKFace that gives the values of the CSV file. Any other picture comes as its number, a column
    with the reason, and no image; other files do not count. Pictures of subfolders are read where there are none above
    them. The order is that of names, numbers start from 0. `digest` is updated with what is read: see `folder_sha256`.
    Raises ValueError when no picture has such a name.
    """
    names = {path: NAME.fullmatch(path.name) for path in files_in(folder, PICTURES)}
    if not any(names.values()):
        what = f"none of the {len(names):,} pictures in this folder is named like 26_1_2_20170116184134921.jpg"
        raise ValueError(f"{folder}: {what} (age_gender_race_date); name the folder that holds the pictures themselves")
    for row, (path, name) in enumerate(names.items()):
        content = path.read_bytes()
        digest.update(_entry(hashlib.sha256(content).hexdigest(), path))
        picture = None
        with contextlib.suppress(cv2.error):  # an empty file, or a picture of more than a thousand million pixels
            picture = cv2.imdecode(np.frombuffer(mended(content), dtype=np.uint8), cv2.IMREAD_COLOR)
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
    parts = (_entry(ageclf.sha256(path), path) for path in files_in(folder, PICTURES))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _entry(sha256: str, path: Path) -> bytes:
    return sha256.encode() + os.fsencode(path.name) + b"\0"


def files_in(folder: str | Path, endings: tuple[str, ...]) -> list[Path]:
    """Files with one of these endings by name: those in the folder, else those one folder down, else two."""
    for level in ("[!.]*", "[!.]*/[!.]*", "[!.]*/[!.]*/[!.]*"):  # macOS adds hidden files
        paths = (path for path in Path(folder).glob(level) if path.suffix.lower() in endings and path.is_file())
        if found := sorted(paths):
            return found
    return []


def mended(content: bytes) -> bytes:
    """Add to a JPEG the marker of its end, the last two bytes, where nothing else is missing.

    A decoder goes on with whatever follows: where it needs more than the marker, what follows changes the picture.
    """
    if content.startswith(b"\xff\xd8") and not content.endswith(b"\xff\xd9"):
        whole = content.removesuffix(b"\xff") + b"\xff\xd9"
        with contextlib.suppress(Exception):  # other damage is for others to name
            contents = whole, whole[:-2] + b"\x55" * 999 + whole[-2:]
            one, other = (Image.open(io.BytesIO(each), formats=["JPEG"]) for each in contents)
            return whole if one == other else content
    return content
