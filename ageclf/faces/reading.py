"""Faces from a CSV file, a folder of pictures or the synthetic sample, checked and cached."""

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import platformdirs

import ageclf
from ageclf.faces import sample
from ageclf.faces.csv_table import SIZE, read_csv
from ageclf.faces.utkface import folder_sha256, read_folder

DEFAULT_NAMES = (*(f"age_gender.csv{ending}" for ending in ("", ".gz", ".bz2", ".xz", ".zip")), "age_gender.zip")
CACHE_VERSION = 3  # part of a cached file's name: raise it when the same file would give other faces
DTYPES = {"row": "int64", **sample.DTYPES}
BAD_DTYPES = {"row": "int64", "column": "string", "reason": "string"}


class Faces(NamedTuple):
    """Faces in the order of their file; `images` and `table` have a row each for every face."""

    images: np.ndarray  # uint8 (n, 48, 48), grey values 0–255
    table: pd.DataFrame  # row (of the file's data, from 0), face_id, age in years, ethnicity, gender, img_name
    bad: pd.DataFrame  # rows left out: row, column, reason
    source: dict  # name of the file or "sample", sha256 of its content, synthetic (bool)

    def select(self, rows: np.ndarray) -> "Faces":
        """The faces at `rows`, indices or bool (n,)."""
        return self._replace(images=self.images[rows], table=self.table.iloc[rows].reset_index(drop=True))


def find_source(data: str | Path = "auto") -> Path | str:
    """Turn the notebooks' parameter `data` into the path of a file or folder, or into `sample`.

    `auto` is the environment variable AGECLF_DATA when set, else data/age_gender.csv, compressed or not, when
    it is there, else `sample`. Raises FileNotFoundError for a path where there is nothing.
    """
    if data == "auto":
        default = (ageclf.ROOT / "data" / name for name in DEFAULT_NAMES)
        data = os.environ.get("AGECLF_DATA") or next(filter(Path.is_file, default), "sample")
    if data == "sample":
        return "sample"
    path = ageclf.resolve(data)
    if not path.is_file() and not path.is_dir():
        what = "no such file or folder; give a CSV file or a folder of UTKFace pictures"
        raise FileNotFoundError(f"{path}: {what} (see data/README.md) or 'sample'")
    return path


def load_faces(source: str | Path, cache: bool = True, on_bad_rows: str = "raise") -> Faces:
    """Read faces from a CSV file or a folder of UTKFace pictures, or synthesize the `sample`.

    A CSV file (plain, gzip, bz2, xz, or the only one in a zip) has columns `age` (whole years, 0–120) and `pixels`
    (2,304 grey values 0–255 separated by spaces, row by row); `ethnicity` (0–4), `gender` (0–1) and `img_name` are
    optional and NA where the file lacks them. A file with other rows is refused when `on_bad_rows` is "raise"; with
    "drop" they are listed in `bad`. `utkface.read_folder` describes a folder; its bad pictures are always dropped.
    `face_id` is the first 16 hex digits of the SHA-256 of a face's pixels. With `cache`, the same content comes from
    the user's cache directory the next time. Raises FileNotFoundError where there is nothing, and ValueError, which
    names path, row, column and remedy, for a bad row, or when no faces can be read at all.
    """
    if on_bad_rows not in ("raise", "drop"):
        raise ValueError(f"on_bad_rows is 'raise' or 'drop', not {on_bad_rows!r}")
    path = find_source(source)
    if path == "sample":
        name, (images, table) = "sample", sample.synthesize_sample()
        sha256 = hashlib.sha256(images.tobytes() + table.to_csv().encode()).hexdigest()
        table.insert(0, "row", np.arange(len(table)))
        bad = pd.DataFrame(columns=list(BAD_DTYPES)).astype(BAD_DTYPES)
    else:
        name, sha256 = path.name, (folder_sha256 if path.is_dir() else ageclf.sha256)(path)
        images, table, bad = _read_cached(path, sha256) if cache else _read(path)
        if table.empty or (len(bad) and on_bad_rows == "raise" and not path.is_dir()):
            row, column, reason = bad.iloc[0]
            others = f" (the first of {len(bad):,} bad rows)" if len(bad) > 1 else ""
            remedy = "correct or remove that row, or read the file with on_bad_rows='drop'"
            remedy = "no row is good: see data/README.md for what belongs there" if table.empty else remedy
            raise ValueError(f"{path}: data row {row} (the first is 0), column {column}: {reason}{others}; {remedy}")
    table.insert(1, "face_id", [hashlib.sha256(image).hexdigest()[:16] for image in images])
    return Faces(images, table, bad, {"name": name, "sha256": sha256, "synthetic": path == "sample"})


def _read_cached(path: Path, sha256: str) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """As `_read`, from the user's cache directory when the same content was read before."""
    cached = platformdirs.user_cache_path("ageclf") / f"{sha256}-{CACHE_VERSION}.npz"
    # A file that is missing, cut off or damaged (the format has checksums) is written again.
    with contextlib.suppress(Exception), np.load(cached, allow_pickle=False) as stored:
        table, bad = (pd.read_parquet(io.BytesIO(stored[name])) for name in ("table", "bad"))
        return stored["images"], table, bad
    images, *tables = _read(path)
    table, bad = (np.frombuffer(each.to_parquet(), dtype=np.uint8) for each in tables)
    with contextlib.suppress(OSError):  # no place to write is no reason to fail
        ageclf.atomic_write(cached, lambda partial: np.savez(partial, images=images, table=table, bad=bad))
    return images, *tables


def _read(path: Path) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Images, the table but for face ids, and the table of bad rows; no reason names the path."""
    rows = list((read_folder if path.is_dir() else read_csv)(path))
    images = [image for *_, image in rows if image is not None]
    table = pd.DataFrame([(row, *labels) for row, labels, image in rows if image is not None], columns=list(DTYPES))
    bad = pd.DataFrame([(row, *why) for row, why, image in rows if image is None], columns=list(BAD_DTYPES))
    images = np.array(images, dtype=np.uint8).reshape(-1, SIZE, SIZE)
    return images, table.astype(DTYPES), bad.astype(BAD_DTYPES)


def describe(faces: Faces) -> str:
    """One line for the top of a notebook: where the faces come from, and whether they are real."""
    if faces.source["synthetic"]:
        return f"SYNTHETIC sample: {len(faces.images):,} synthetic faces; no result applies to real faces"
    left_out = f" (bad rows left out: {len(faces.bad):,})" if len(faces.bad) else ""
    return f"{faces.source['name']}: {len(faces.images):,} faces{left_out}, SHA-256 {faces.source['sha256'][:12]}…"
