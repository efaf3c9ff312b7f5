"""Faces from a CSV file, checked number by number and cached, or from the drawn sample."""

import contextlib
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import platformdirs

import ageclf
from ageclf.sample import draw_sample

SIZE = 48  # pixels a side
HIGHEST = {"age": 120, "ethnicity": 4, "gender": 1}  # whole numbers from 0
OPTIONAL = ("ethnicity", "gender", "img_name")  # columns that may be absent or have empty cells
ENDINGS = ("", ".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz")
DEFAULT_NAMES = (*(f"age_gender.csv{ending}" for ending in ENDINGS), "age_gender.zip")
CACHE_VERSION = 1  # part of a cached file's name: raise it when the same file would give other faces


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
    """Turn the notebooks' parameter `data` into the path of a file, or into `sample`.

    `auto` is the environment variable AGECLF_DATA when set, else data/age_gender.csv, compressed or not, when
    it is there, else `sample`. Raises FileNotFoundError for a file that is not there.
    """
    if data == "auto":
        default = (ageclf.ROOT / "data" / name for name in DEFAULT_NAMES)
        data = os.environ.get("AGECLF_DATA") or next(filter(Path.is_file, default), "sample")
    if data == "sample":
        return "sample"
    path = ageclf.resolve(data)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a CSV file (data/README.md says where from) or 'sample'")
    return path


def load_faces(source: str | Path, cache: bool = True) -> Faces:
    """Read faces from a CSV file, plain or compressed in any way pandas reads, or draw the `sample`.

    Columns `age` (whole years, 0–120) and `pixels` (2,304 grey values 0–255 separated by spaces, row by row);
    `ethnicity` (0–4), `gender` (0–1) and `img_name` are optional and NA where the file lacks them. `face_id` is
    the first 16 hex digits of the SHA-256 of a face's pixels. With `cache`, a file of the same content comes
    from the user's cache directory the next time. Raises FileNotFoundError for a file that is not there, and
    ValueError, which names file, row and column, for one that is no such CSV.
    """
    path = find_source(source)
    if path == "sample":
        name, (images, table) = "sample", draw_sample()
        sha256 = hashlib.sha256(images.tobytes() + table.to_csv().encode()).hexdigest()
    else:
        with path.open("rb") as file:
            name, sha256 = path.name, hashlib.file_digest(file, "sha256").hexdigest()
        images, table = _read_cached(path, sha256) if cache else _read_csv(path)
    face_ids = [hashlib.sha256(image).hexdigest()[:16] for image in images]
    table = pd.DataFrame({"row": np.arange(len(table)), "face_id": face_ids}).join(table)
    bad = pd.DataFrame({"row": np.empty(0, dtype=np.int64), "column": [], "reason": []})
    return Faces(images, table, bad, {"name": name, "sha256": sha256, "synthetic": path == "sample"})


def _read_cached(path: Path, sha256: str) -> tuple[np.ndarray, pd.DataFrame]:
    """As `_read_csv`, from the user's cache directory when a file of this content was read before."""
    cached = platformdirs.user_cache_path("ageclf") / f"{sha256}-{CACHE_VERSION}.npz"
    # Not there yet, cut off, garbage (the format has checksums): whatever it is, it is written anew.
    with contextlib.suppress(Exception), np.load(cached, allow_pickle=False) as stored:
        return stored["images"], pd.read_parquet(io.BytesIO(stored["table"]))
    images, table = _read_csv(path)
    with contextlib.suppress(OSError):  # no place to write is no reason to fail
        cached.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed, so that nobody ever reads half a file.
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            aside = Path(folder, cached.name)
            np.savez(aside, images=images, table=np.frombuffer(table.to_parquet(), dtype=np.uint8))
            aside.replace(cached)
    return images, table


def _read_csv(path: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Images and the table's columns age, ethnicity, gender and img_name."""
    images, tables = [], []
    for chunk in _chunks(path):
        images.append(_pixels(chunk["pixels"], path))
        tables.append(_table(chunk, path))
    return np.concatenate(images), pd.concat(tables, ignore_index=True)


def _chunks(path: Path) -> Iterator[pd.DataFrame]:
    """Yield 2,000 rows of text at a time; a column that a file may lack is empty text then."""
    as_text = {"dtype": object, "keep_default_na": False, "index_col": False}
    try:
        with pd.read_csv(path, chunksize=2000, **as_text) as chunks:
            for chunk in chunks:
                if not {"age", "pixels"} <= set(chunk):
                    raise ValueError(f"its columns are {', '.join(map(str, chunk))[:200]}")
                if chunk.empty:
                    raise ValueError("no row below the header")
                yield chunk.assign(**{name: "" for name in OPTIONAL if name not in chunk})
    except Exception as error:  # every compression has errors of its own
        wrong = f"{path}: not a whole CSV file with columns age and pixels ({str(error).strip()})"
        raise ValueError(f"{wrong}; get the file again, or see data/README.md for its columns") from error


def _table(chunk: pd.DataFrame, path: Path) -> pd.DataFrame:
    table = pd.DataFrame({name: _whole_numbers(chunk[name], path) for name in HIGHEST})
    return table.astype({"age": np.int16}).assign(img_name=chunk["img_name"].astype("string").replace("", pd.NA))


def _whole_numbers(text: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    fine = numbers.between(0, HIGHEST[text.name]) & (numbers % 1 == 0)
    if text.name in OPTIONAL:
        fine |= text == ""
    if not fine.all():
        row = fine.idxmin()
        raise _bad_value(path, row, text.name, repr(text[row][:40]), f"whole numbers 0–{HIGHEST[text.name]}")
    return numbers.astype("Int8")


def _pixels(texts: pd.Series, path: Path) -> np.ndarray:
    """Grey values, uint8 (n, 48, 48), of pixel texts; 16 at a time, which stay in the processor's cache."""
    parts = [texts.iloc[first : first + 16] for first in range(0, len(texts), 16)]
    return np.concatenate([_parse(part, path) for part in parts]).reshape(-1, SIZE, SIZE)


def _parse(texts: pd.Series, path: Path) -> np.ndarray:
    """All values of texts with 2,304 numbers 0–255 each, uint8 in one row; `_parse_carefully` when in doubt.

    Works on the bytes of all texts at once: a value is put together where its last digit stands. (NumPy's own
    `fromstring` turns 300 into 44 in silence when asked for uint8, and is slower.)
    """
    raw = np.frombuffer(f"   {' '.join(texts)} ".encode(), dtype=np.uint8)
    digits = raw - np.uint8(ord("0"))  # wraps: all that is no digit comes out above 9
    is_digit = digits < 10
    ends = np.flatnonzero(is_digit[:-1] > is_digit[1:])
    row_ends = np.cumsum([len(text) + 1 for text in texts]) + 1
    too_long = is_digit[3:] & is_digit[2:-1] & is_digit[1:-2] & is_digit[:-3]
    if (~is_digit & (raw != ord(" "))).any() or too_long.any():
        return _parse_carefully(texts, path)
    if len(ends) != len(texts) * SIZE**2 or (ends[SIZE**2 - 1 :: SIZE**2] != row_ends).any():
        return _parse_carefully(texts, path)
    digits *= is_digit
    below_100 = digits[1:] + digits[:-1] * np.uint8(10)
    hundreds = digits[:-2] * is_digit[1:-1]
    values = below_100[ends - 1] + hundreds[ends - 2] * np.uint16(100)
    return values.astype(np.uint8) if values.max() <= 255 else _parse_carefully(texts, path)


def _parse_carefully(texts: pd.Series, path: Path) -> np.ndarray:
    """The same number by number, for any white space; raises ValueError for the first bad row."""
    rows = []
    for row, text in texts.items():
        words = text.split()
        odd = [i for i, word in enumerate(words) if not (re.fullmatch("[0-9]{1,9}", word) and int(word) <= 255)]
        if odd or len(words) != SIZE**2:
            found = f"{words[odd[0]][:40]!r} as number {odd[0] + 1:,}" if odd else f"{len(words):,} numbers"
            raise _bad_value(path, row, "pixels", found, f"{SIZE**2:,} whole numbers 0–255 separated by spaces")
        rows.append([int(word) for word in words])
    return np.array(rows, dtype=np.uint8).ravel()


def _bad_value(path: Path, row: int, column: str, found: str, expected: str) -> ValueError:
    where = f"{path}: data row {row} (the first is 0; line {row + 2}), column {column}"
    return ValueError(f"{where}: found {found}, expected {expected}; correct or remove that row")


def describe(faces: Faces) -> str:
    """One line for the top of a notebook: where the faces come from, and whether they are real."""
    if faces.source["synthetic"]:
        return f"SYNTHETIC sample: {len(faces.images):,} drawn faces; nothing here says anything about real ones"
    return f"{faces.source['name']}: {len(faces.images):,} faces, SHA-256 {faces.source['sha256'][:12]}…"
