"""Faces from a CSV file, a folder of pictures or the synthetic sample, checked and cached."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import platformdirs

import ageclf
from ageclf.faces.csv_table import SIZE, read_csv
from ageclf.faces.images import NEAR_BLACK
from ageclf.faces.utkface import PICTURES, files_in, folder_sha256, read_folder

TABLES = (".csv", ".tsv", ".parquet", ".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz")  # endings of what is looked for
CACHE_VERSION = 4  # part of a cached file's name: raise it when the same file would give other faces
SAMPLE = Path(__file__).with_name("sample.csv.bz2")  # 600 faces that benchmarks/_synthetic_faces.py made
LABELS = {"age": "int16", "ethnicity": "Int8", "gender": "Int8", "img_name": "string"}
DTYPES = {"row": "int64", **LABELS}
BAD_DTYPES = {"row": "int64", "column": "string", "reason": "string"}


class Faces(NamedTuple):
    """Faces in the order of their file; `images` and `table` have a row each for every face."""

    images: np.ndarray  # uint8 (n, 48, 48), grey values 0–255
    table: pd.DataFrame  # row (of the file's data, from 0), face_id, age in years, ethnicity, gender, img_name
    bad: pd.DataFrame  # rows left out: row, column, reason
    source: dict  # name of the file or "sample", sha256 of its content, synthetic (bool), warnings (list of sentences)

    def select(self, rows: np.ndarray) -> "Faces":
        """The faces at `rows`, indices or bool (n,)."""
        return self._replace(images=self.images[rows], table=self.table.iloc[rows].reset_index(drop=True))


def find_source(data: str | Path = "auto") -> Path | str:
    """Turn the notebooks' parameter `data` into the path of a file or a folder of pictures, or into `sample`.

    `auto` is the environment variable AGECLF_DATA when set, else the faces that lie in data/, `sample` when nothing
    does. A relative path is looked for in the working directory, then below the project's root; in a folder, a file of
    faces is looked for where there are no pictures. Raises FileNotFoundError for a path where there is nothing, and
    ValueError for a folder where there are no faces, or several files of them.
    """
    folder, named = ageclf.ROOT / "data", data if data != "auto" else os.environ.get("AGECLF_DATA")
    if (not named and {path.name for path in folder.glob("[!.]*")} <= {"README.md"}) or named == "sample":
        return "sample"
    places = dict.fromkeys((Path(named or folder).expanduser().absolute(), ageclf.resolve(named or folder)))
    path = next((path for path in places if path.is_file() or path.is_dir()), None)
    if path is None:
        what = "no such file or folder; give a CSV file or a folder of UTKFace pictures"
        raise FileNotFoundError(f"{' or '.join(map(str, places))}: {what} (see data/README.md) or 'sample'")
    pictures = {picture.parent for picture in files_in(path, PICTURES)}
    found = [*([Path(os.path.commonpath(pictures))] if pictures else []), *files_in(path, TABLES)]
    if path.is_file() or (named and path in found):
        return path
    if len(found) != 1:
        there = f"{' and '.join(map(str, found[:9]))} can be read" if found else "nothing in this folder can be read"
        raise ValueError(f"{path}: {there} as faces; give the path of what you mean (see data/README.md) or 'sample'")
    return found[0]


def load_faces(source: str | Path, cache: bool = True, on_bad_rows: str = "raise") -> Faces:
    """Read faces from a CSV file or a folder of UTKFace pictures, or the synthetic `sample`.

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
    synthetic = (path := find_source(source)) == "sample"
    images, table, bad, sha256 = _read(SAMPLE if synthetic else path, cache and not synthetic)
    if table.empty or (len(bad) and on_bad_rows == "raise" and not path.is_dir()):
        row, column, reason = bad.iloc[0]
        others = f" (the first of {len(bad):,} bad rows)" if len(bad) > 1 else ""
        remedy = "correct or remove that row, or read the file with on_bad_rows='drop'"
        remedy = "no row is good: see data/README.md for what belongs there" if table.empty else remedy
        raise ValueError(f"{path}: data row {row} (the first is 0), column {column}: {reason}{others}; {remedy}")
    table.insert(1, "face_id", [hashlib.sha256(image).hexdigest()[:16] for image in images])
    name = "sample" if synthetic else ageclf.printable(path.name)
    source = {"name": name, "sha256": sha256, "synthetic": synthetic}
    return Faces(images, table, bad, source | {"warnings": _warnings(images, table["age"])})


def _read(path: Path, cache: bool) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, str]:
    """Images, the table but for face ids, the table of bad rows, and the SHA-256 of what was read; no reason names the
    path. With `cache`, they come from the user's cache directory when the same content was read before.
    """
    folder, digest = platformdirs.user_cache_path("ageclf"), hashlib.sha256()
    sha256 = (folder_sha256 if path.is_dir() else ageclf.sha256)(path) if cache else ""
    # A file that is missing, cut off or damaged (Parquet has checksums) is written again.
    with contextlib.suppress(Exception):
        stored = folder / f"{sha256}-{CACHE_VERSION}.parquet"
        return *_split(pd.read_parquet(stored, page_checksum_verification=True)), sha256
    every = [
        (row, *what, image.tobytes(), None, None) if image is not None else (row, *[None] * 5, *what)
        for row, what, image in (read_folder if path.is_dir() else read_csv)(path, digest)
    ]
    rows, sha256 = pd.DataFrame(every, columns=[*DTYPES, "image", "column", "reason"]), digest.hexdigest()
    with contextlib.suppress(OSError):  # no place to write is no reason to fail
        if cache:  # under the hash of what was read: the file may have changed since it was looked for
            stored = folder / f"{sha256}-{CACHE_VERSION}.parquet"
            ageclf.atomic_write(stored, lambda partial: rows.to_parquet(partial, write_page_checksum=True))
    return *_split(rows), sha256


def _split(rows: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    good, bad = rows[rows["reason"].isna()], rows[rows["reason"].notna()]
    images = np.frombuffer(bytearray().join(good["image"]), dtype=np.uint8).reshape(len(good), SIZE, SIZE)
    tables = ((good, DTYPES), (bad, BAD_DTYPES))
    return images, *(table[list(dtypes)].astype(dtypes).reset_index(drop=True) for table, dtypes in tables)


def _warnings(images: np.ndarray, ages: pd.Series) -> list[str]:
    """Sentences on what is well formed and can hardly be meant."""
    darkest, brightest = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    dark, constant = (brightest <= NEAR_BLACK).mean(), (darkest == brightest).mean()
    found = {
        "all ages are below 10: are they years, or numbers of classes?": ages.max() < 10,
        f"{dark:.0%} of the pictures are almost black: are their grey values 0–255, not 0–1?": dark > 0.1,
        f"{constant:.0%} of the pictures have a single grey value: look at a few of them": constant > 0.1,
    }
    return [sentence for sentence, holds in found.items() if holds]


def describe(faces: Faces) -> str:
    """For the top of a notebook: where the faces come from, whether they are real, and a line for each warning."""
    source, left_out = faces.source, f" (bad rows left out: {len(faces.bad):,})" if len(faces.bad) else ""
    read = f"{source['name']}: {len(faces.images):,} faces{left_out}, SHA-256 {source['sha256'][:12]}…"
    if source["synthetic"]:
        read = f"SYNTHETIC sample: {len(faces.images):,} synthetic faces; no result applies to real faces"
    return "\n".join([read, *(f"warning: {sentence}" for sentence in source["warnings"])])
