"""Faces from a CSV file, plain or compressed, row by row, every cell checked."""

import bz2
import contextlib
import csv
import gzip
import io
import itertools
import lzma
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SIZE = 48  # pixels a side
HIGHEST = {"age": 120, "ethnicity": 4, "gender": 1}  # whole numbers from 0
OPTIONAL = ("ethnicity", "gender", "img_name")  # columns that may be absent or have empty cells
GREY_VALUES = {str(value).lstrip("0"): value for value in range(256)}  # without their leading zeros

# UTKFace has 23,705 rows of 8,500 characters, 200 million in all. A small archive can unpack to a thousand times that:
# reading stops at limits that no file of faces reaches, and never holds more than a row.
MOST_CHARACTERS, MOST_LINES, LONGEST_LINE = 2**31, 10**6, 2**18
LINES_IN_A_ROW = 100  # at most: a cell in quotes may hold line ends


class _BadCell(Exception):
    """Column, what was found there, what was expected."""


def read_csv(path: str | Path) -> Iterator[tuple[int, tuple, np.ndarray | None]]:
    """Yield each row's number, its age, ethnicity, gender and img_name, and its image, uint8 (48, 48).

    A bad row comes as its number, its first bad column with the reason, and no image. The file may be compressed.
    Numbers start from 0, blank lines have none. Raises ValueError, which names file and remedy, for anything but a
    whole CSV file with columns age and pixels, in the middle of reading if need be.
    """
    rows = _rows(Path(path))
    _, names = next(rows)
    for row, (line, cells) in enumerate(rows):
        try:
            yield row, *_face(names, cells)
        except _BadCell as error:
            column, found, expected = error.args
            yield row, (column, f"found {found} in line {line}, expected {expected}"), None


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line that a row starts on, and its cells: the header's, then those of one row or more.

    Split by Python, not by `pyarrow.csv`: that takes a quote that never ends, and text behind one, for part of a cell,
    skips rows with other numbers of cells, and cannot name the line of the file that a row is on.
    """
    number, rows = 0, -1
    try:
        with io.TextIOWrapper(open_unpacked(path), encoding="utf-8-sig", newline="") as file:
            lines = _lines(file)
            for number, line in lines:
                cells = line.rstrip("\r\n").split(",")
                if '"' in line:  # the row may continue in the next lines
                    following = (line for _, line in itertools.islice(lines, LINES_IN_A_ROW))
                    cells = next(csv.reader(itertools.chain([line], following), strict=True))
                if line.strip():
                    yield number, cells if rows >= 0 else _header(cells)
                    rows += 1
        if rows < 1:
            raise ValueError("the file is empty" if rows < 0 else "no row below the header")
    except Exception as error:  # every format has errors of its own, some quote half the file
        if str(error).startswith(f"{path}: "):
            raise
        what = f"line {number}: {error}" if isinstance(error, csv.Error) else str(error) or type(error).__name__
        what = " ".join(what.split())[:200].partition(" in position ")[0]  # it counts in some block of bytes
        remedy = "get the file again, or see data/README.md for its columns"
        raise ValueError(f"{path}: not a whole CSV file with columns age and pixels ({what}); {remedy}") from None


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    """Yield numbered lines, the first is 1, within the limits."""
    total = 0
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), start=1):
        total += len(line)
        if len(line) == LONGEST_LINE or number > MOST_LINES or total > MOST_CHARACTERS:
            limits = f"{LONGEST_LINE:,} characters a line, {MOST_LINES:,} lines or {MOST_CHARACTERS:,} characters"
            raise ValueError(f"line {number:,} passes the limit of {limits}, far more than faces take")
        yield number, line


def _header(cells: list[str]) -> list[str]:
    names = [name.strip()[:40] for name in cells]
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
    return (*numbers, row.get("img_name") or None), _image(row["pixels"])


def _image(text: str) -> np.ndarray:
    """Image, uint8 (48, 48), of 2,304 numbers 0–255 with any white space between. Raises _BadCell."""
    with contextlib.suppress(pa.ArrowInvalid):  # what it refuses is read word by word
        values = pc.split_pattern(pa.array([text]), " ").flatten().cast(pa.uint8())
        if len(values) == SIZE**2 and "x" not in text.lower():  # it reads 0x1F as 31
            return values.to_numpy().reshape(SIZE, SIZE)
    words = text.split()
    values = [GREY_VALUES.get(word.lstrip("0")) for word in words]
    odd = values.index(None) if None in values else None
    if odd is not None or len(words) != SIZE**2:
        found = f"{len(words):,} numbers" if odd is None else f"{words[odd][:40]!r} as number {odd + 1:,}"
        raise _BadCell("pixels", found, f"{SIZE**2:,} whole numbers 0–255 separated by spaces")
    return np.array(values, dtype=np.uint8).reshape(SIZE, SIZE)


def open_unpacked(path: str | Path) -> BinaryIO:
    """Open a plain, gzip, bz2 or xz file, or the one CSV file in a zip, to read its content as bytes.

    Its first bytes decide, not its name: browsers unpack without renaming. Raises ValueError, which names file and
    remedy, for a zip that holds no CSV file or several, or that is not to be trusted. Damage raises whatever the
    format's module raises, some of it only while the content is read.
    """
    with Path(path).open("rb") as file:
        start = file.read(6)
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
    openers |= {b"PK\x03\x04": _open_zip, b"PK\x05\x06": _open_zip}  # the second is of a zip without entries
    return next((opener for magic, opener in openers.items() if start.startswith(magic)), open)(path, "rb")


def _open_zip(path: str | Path, mode: str) -> BinaryIO:
    with zipfile.ZipFile(path) as archive:  # the entry keeps the file open
        names = archive.namelist()
        for name in names:
            windows = PureWindowsPath(name)  # takes / and \ for separators, and knows drives
            if windows.drive or windows.root or ".." in windows.parts:
                raise ValueError(f"{path}: entry {name[:80]!r} points outside the zip; get it from a source you trust")
        # macOS adds a `__MACOSX/._name.csv` to every `name.csv`.
        visible = [name for name in names if not any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)]
        found = [name for name in visible if name.lower().endswith(".csv")]
        if len(found) != 1:
            what = f"{len(found)} CSV files in the zip {found}" if found else f"no CSV file in the zip {names}"
            raise ValueError(f"{path}: {what[:250]}; unpack it, and give the CSV file, or the folder of the pictures")
        if archive.getinfo(found[0]).flag_bits & 1:
            raise ValueError(f"{path}: {found[0][:80]!r} is encrypted; unpack it, and give the CSV file")
        return archive.open(found[0])
