"""Faces from a CSV or Parquet file, plain or compressed, every cell checked."""

import bz2
import codecs
import csv
import gzip
import hashlib
import io
import lzma
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import pyarrow.parquet as pq

SIZE = 48  # pixels a side
HIGHEST = {"age": 120, "ethnicity": 4, "gender": 1}  # whole numbers from 0
OPTIONAL = ("ethnicity", "gender", "img_name")  # columns that may be absent or have empty cells
# Of the pixels' text; brackets and commas are those of lists as NumPy and JSON write them.
DIGITS, BETWEEN = b"0123456789 ", bytes.maketrans(b"\t\n\v\f\r[],", b" " * 8)

# What is not UTF-8 is read as Latin-1, byte by byte: only names of pictures can have such letters.
codecs.register_error("as Latin-1", lambda error: (error.object[error.start : error.end].decode("latin-1"), error.end))

# UTKFace has 23,705 rows of 8,500 characters, 200 million in all. A small archive can unpack to a thousand times that:
# reading stops at limits that no file of faces reaches, and unpacks no more than a row at a time.
MOST_CHARACTERS, MOST_LINES, LONGEST_LINE = 2**31, 10**6, 2**18


class _BadCell(Exception):
    """Column, what was found there, what was expected."""


def read_csv(path: str | Path, digest: "hashlib._Hash") -> Iterator[tuple[int, tuple, np.ndarray | None]]:
    """Yield each row's number, its age, ethnicity, gender and img_name, and its image, uint8 (48, 48).

    A bad row comes as its number, its first bad column with the reason, and no image. The file may be compressed, or a
    Parquet file. Numbers start from 0, blank lines have none. `digest` is updated with the bytes that are read: a file
    that is replaced meanwhile has another hash. Raises ValueError, which names file and remedy, for anything but a
    whole file with columns age and pixels, in the middle of reading if need be.
    """
    rows = _rows(Path(path), digest)
    _, names = next(rows)
    for row, (place, cells) in enumerate(rows):
        try:
            yield row, *_face(names, cells)
        except _BadCell as error:
            column, found, expected = error.args
            yield row, (column, f"found {found} in {place}, expected {expected}"), None


def _rows(path: Path, digest: "hashlib._Hash") -> Iterator[tuple[str, list[str]]]:
    """Yield where a row starts, such as `line 2`, and its cells: the header's, then those of one row or more.

    Split by Python, not by `pyarrow.csv`: that takes a quote that never ends, and text behind one, for part of a cell,
    skips rows with other numbers of cells, and cannot name the line of the file that a row is on.
    """
    place, rows = "the beginning", -1
    try:
        with path.open("rb") as file:
            content = file.read(min(MOST_CHARACTERS + 1, path.stat().st_size))
        digest.update(content)
        with io.BufferedReader(open_unpacked(path, content)) as file:
            start = file.peek(262)
            if start[257:262] == b"ustar":
                raise ValueError(f"{path}: a tar archive; unpack it (tar -xf {path.name}), and give what was in it")
            for place, cells in _parquet(file) if start.startswith(b"PAR1") else _csv(file, start):
                yield place, cells if rows >= 0 else _header(cells)
                rows += 1
        if rows < 1:
            raise ValueError("the file is empty" if rows < 0 else "no row below the header")
    except Exception as error:  # every format has errors of its own, some quote half the file
        if str(error).startswith(f"{path}: "):
            raise
        what = f"after {place}: {error}" if isinstance(error, csv.Error) else str(error) or type(error).__name__
        what = f"not a whole CSV or Parquet file with columns age and pixels ({' '.join(what.split())[:200]})"
        raise ValueError(f"{path}: {what}; get the file again, or see data/README.md for its columns") from None


def _csv(file: BinaryIO, start: bytes) -> Iterator[tuple[str, list[str]]]:
    encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    header = start.decode(encoding, "ignore").lstrip().partition("\n")[0]
    lines = _lines(io.TextIOWrapper(file, encoding, "as Latin-1", newline=""))
    reader, number = csv.reader(lines, delimiter=max(",;\t|", key=header.count), strict=True), 1
    for cells in reader:
        if "".join(cells).strip():
            yield f"line {number}", cells
        number = reader.line_num + 1  # a row may take several


def _parquet(file: BinaryIO) -> Iterator[tuple[str, list[str]]]:
    table = pq.ParquetFile(io.BytesIO(file.read(MOST_CHARACTERS)))
    yield "the header", table.schema_arrow.names
    rows = (row for batch in table.iter_batches(100) for row in batch.to_pylist())
    for number, row in enumerate(rows):
        yield f"row {number}", ["" if value is None else str(value) for value in row.values()]


def _lines(file: TextIO) -> Iterator[str]:
    total = 0
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), start=1):
        total += len(line)
        if len(line) == LONGEST_LINE or number > MOST_LINES or total > MOST_CHARACTERS:
            limits = f"{LONGEST_LINE:,} characters a line, {MOST_LINES:,} lines or {MOST_CHARACTERS:,} characters"
            raise ValueError(f"line {number:,} passes the limit of {limits}, far more than faces take")
        yield line


def _header(cells: list[str]) -> list[str]:
    names = [name.strip().lower()[:40] for name in cells]
    for name in ("age", "pixels", *OPTIONAL):
        if names.count(name) > 1 or name not in (*names, *OPTIONAL):
            is_it = "repeated in" if name in names else "missing from"
            raise ValueError(f"column {name!r} is {is_it} the header {names}"[:250])
    return names


def _face(names: list[str], cells: list[str]) -> tuple[tuple[int | str | None, ...], np.ndarray]:
    """Return age, ethnicity, gender and img_name, and the image. Raises _BadCell."""
    if len(cells) < len(names) or any(cells[len(names) :]):  # commas at the end are allowed
        column = names[min(len(cells), len(names) - 1)]
        raise _BadCell(column, f"{len(cells):,} cells", f"{len(names):,} as in the header")
    row, numbers = dict(zip(names, cells, strict=False)), []
    for column, highest in HIGHEST.items():
        text = row.get(column, "").strip()
        number = re.fullmatch(r"([0-9]{1,9})(\.0*)?", text)
        if (number and int(number[1]) > highest) or not (number or (text == "" and column in OPTIONAL)):
            raise _BadCell(column, repr(text[:40]), f"whole numbers 0–{highest}")
        numbers.append(int(number[1]) if number else None)
    return (*numbers, row.get("img_name") or None), _image(row["pixels"].encode().translate(BETWEEN).strip())


def _image(text: bytes) -> np.ndarray:
    """Image, uint8 (48, 48), of 2,304 numbers 0–255 with spaces between. Raises _BadCell."""
    if not text.translate(None, DIGITS):
        values = np.fromstring(text, dtype=np.int64, sep=" ")
        if len(values) == SIZE**2 and values.max() <= 255:
            return values.astype(np.uint8).reshape(SIZE, SIZE)
    words = text.split()
    odd = next((i for i, word in enumerate(words) if not word.isdigit() or float(word) > 255), None)
    found = f"{len(words):,} numbers" if odd is None else f"{words[odd].decode()[:40]!r} as number {odd + 1:,}"
    raise _BadCell("pixels", found, f"{SIZE**2:,} whole numbers 0–255 separated by spaces")


def open_unpacked(path: Path, content: bytes) -> BinaryIO:
    """Open the content of a plain, gzip, bz2 or xz file, or the one table in a zip, to read it as bytes.

    Its first bytes decide, not its name: browsers unpack without renaming. Raises ValueError, which names file and
    remedy, for a zip that holds no table or several, or that is not to be trusted. Damage raises whatever the
    format's module raises, some of it only while the content is read.
    """
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
    opener = next((opener for magic, opener in openers.items() if content.startswith(magic)), lambda file: file)
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):  # the second is of a zip without entries
        return _open_zip(path, content)
    return opener(io.BytesIO(content))


def _open_zip(path: Path, content: bytes) -> BinaryIO:
    archive = zipfile.ZipFile(io.BytesIO(content))
    # macOS adds a `__MACOSX/._name.csv` to every `name.csv`.
    names = [name for name in archive.namelist() if "__MACOSX" not in name and not Path(name).name.startswith(".")]
    found = [name for name in names if name.lower().endswith((".csv", ".tsv", ".parquet"))]
    if len(found) != 1:
        what = f"{len(found)} CSV files in the zip {found}" if found else f"no CSV file in the zip {names}"
        remedy = f"unpack it (unzip {path.name} -d faces), and give the CSV file, or the folder of the pictures"
        raise ValueError(f"{path}: {what[:250]}; {remedy}")
    if archive.getinfo(found[0]).flag_bits & 1:
        raise ValueError(f"{path}: {found[0][:80]!r} is encrypted; unpack it, and give the CSV file")
    return archive.open(found[0])
