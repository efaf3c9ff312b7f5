"""Three faces and files of them, for the tests of the modules that read faces."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

# Numbers of one, two and three digits in every place.
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)


def rows() -> pd.DataFrame:
    """Return the three faces as the text of a CSV file."""
    table = {
        "age": ["0", "25", "120"],
        "ethnicity": ["0", "4", "2"],
        "gender": ["0", "1", "1"],
        "img_name": ["a.jpg", "NA", "a,b.jpg"],
        "pixels": [" ".join(map(str, image.ravel())) for image in IMAGES],
    }
    return pd.DataFrame(table, dtype=object)


def write_csv(path: Path, cells: dict[tuple[int, str], str] | None = None, **options) -> Path:
    """Write the three faces, with some cells changed, and return the path."""
    table = rows()
    for (row, column), value in (cells or {}).items():
        table.loc[row, column] = value
    table.to_csv(path, index=False, **options)
    return path


def pixels_with(number: str, position: int) -> str:
    """Return the first face's pixels with one number replaced."""
    numbers = rows()["pixels"][0].split()
    numbers[position] = number
    return " ".join(numbers)


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of named entries, the same whenever it is made; a name that ends with a slash is a folder."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return content.getvalue()


def collected(faces: Iterator) -> tuple[np.ndarray, pd.DataFrame, dict[int, tuple[str, str]]]:
    """Return images, labels and {bad row: (column, reason)} of what a reader yields; rows must come in order."""
    faces = list(faces)
    assert [row for row, *_ in faces] == list(range(len(faces)))
    good = [(row, labels, image) for row, labels, image in faces if image is not None]
    labels = [(row, *each) for row, each, _ in good]
    table = pd.DataFrame(labels, columns=["row", "age", "ethnicity", "gender", "img_name"])
    bad = {row: reason for row, reason, image in faces if image is None}
    return np.array([image for *_, image in good]), table, bad
