"""A file's content, whether it is plain, compressed or in a zip."""

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path, PureWindowsPath
from typing import BinaryIO


def open_unpacked(path: Path) -> BinaryIO:
    """Open a plain, gzip, bz2 or xz file, or the one CSV file in a zip, to read its content as bytes.

    The first bytes tell which it is: browsers unpack without renaming. Raises ValueError, which names file and
    remedy, for a zip that holds no CSV file or several, or that is not to be trusted. Damage raises whatever the
    format's module raises, some of it only while the content is read.
    """
    with path.open("rb") as file:
        start = file.read(6)
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
    openers |= {b"PK\x03\x04": _open_zip, b"PK\x05\x06": _open_zip}  # the second: no entry
    return next((openers[magic] for magic in openers if start.startswith(magic)), open)(path, "rb")


def _open_zip(path: Path, mode: str) -> BinaryIO:
    with zipfile.ZipFile(path) as archive:  # the entry keeps the file open
        names = archive.namelist()
        for name in names:
            windows = PureWindowsPath(name)  # takes / and \ for separators, and knows drives
            if windows.drive or windows.root or ".." in windows.parts:
                raise ValueError(f"{path}: entry {name[:80]!r} points outside the zip; get it from a source you trust")
        found = [name for name in names if _is_csv(name)]
        if len(found) != 1:
            what = f"{len(found)} CSV files in the zip {found}" if found else f"no CSV file in the zip {names}"
            raise ValueError(f"{path}: {what[:250]}; unpack it, and give the CSV file, or the folder of the pictures")
        if archive.getinfo(found[0]).flag_bits & 1:
            raise ValueError(f"{path}: {found[0][:80]!r} is encrypted; unpack it, and give the CSV file")
        return archive.open(found[0])


def _is_csv(name: str) -> bool:
    """Tell a CSV file from what else is in a zip; macOS adds a `__MACOSX/._name.csv` to every `name.csv`."""
    return name.lower().endswith(".csv") and not any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)
