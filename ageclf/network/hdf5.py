"""Arrays out of HDF5 files, whoever wrote them, and nothing else that such a file can make HDF5 do."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from ageclf.network.backend import keras

PLAIN = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS)  # layouts of arrays whose values lie in the file as they are
MOST = 2**31  # bytes of a file: EfficientNetV2L with the moments of its optimizer has 1.4 GB
MOST_TEXT = 2**25  # bytes of JSON: the hashes of 1.6 million faces; the longest configuration of a network has 1 MB


@contextmanager
def refusing(path: Path, what: str, remedy: str, most: int = MOST) -> Iterator[None]:
    """Turn any error that a damaged or hostile file causes into a ValueError of one sentence about `path`."""
    try:
        if not path.is_file() or path.stat().st_size > most:  # a pipe, or a device that never ends
            raise ValueError(f"it is no regular file of up to {most / 2**20:g} MiB")
        yield
    except Exception as error:
        shown = (letter if letter.isprintable() else " " for letter in str(error))  # names in it are the file's
        reason = " ".join("".join(shown).split())[:300]
        reason = reason if isinstance(error, ValueError) else f"it is cut short or damaged ({reason})"
        raise ValueError(f"{path}: {what}: {reason}; {remedy}") from error


def is_hdf5(path: Path) -> bool:
    """Distinguish HDF5 from .keras (a zip archive) by its first bytes. Raises ValueError for anything else."""
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith((b"\x89HDF", b"PK")):
        what = "a web page" if start[:1] == b"<" else "neither HDF5 nor .keras" if start else "empty"
        raise ValueError(f"it is {what}")
    return start.startswith(b"\x89HDF")


def find_arrays(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Find all arrays of a file, by their path in it.

    Raises ValueError, with the path, for anything that leads out of the file, in a circle, or to more than it holds:
    links that are not hard, a second name of anything, values that lie elsewhere, are computed or are compressed.
    """
    found, seen, groups = {}, {h5py.h5o.get_info(file.id).addr}, [("", file)]
    while groups:
        above, group = groups.pop()
        for name in group:
            path = above + name
            hard = "/" not in name and isinstance(group.get(name, getlink=True), h5py.HardLink)
            part = group[name] if hard and len(path) < 1000 else None
            address = part and h5py.h5o.get_info(part.id).addr
            # No shape may be read before this: that would open the files that some arrays are computed from.
            inside = isinstance(part, h5py.Dataset) and part.id.get_create_plist().get_layout() in PLAIN
            plain = inside and not part.external
            if address in seen or not (plain or isinstance(part, h5py.Group)):
                raise ValueError(f"its part {path} is a link, a second name, or no array that lies in it as it is")
            seen.add(address)
            if plain:
                found[path] = part
            else:
                groups.append((f"{path}/", part))
    return found


def read_text(part: h5py.Group, name: str) -> str | bytes:
    """Read an attribute that is one text. Raises ValueError for another: many could all be the same long one."""
    found = part.attrs.get_id(name)
    if found.shape != () or not h5py.check_string_dtype(found.dtype):
        raise ValueError(f"its attribute {name} is no text")
    return part.attrs[name]


def assign(variables: dict[str, keras.Variable], arrays: Iterable[tuple[str, h5py.Dataset]]) -> None:
    """Assign to variables, by name, the arrays of the same names.

    Raises ValueError unless each array fits one of them in shape, is whole and of floats, and none is missing.
    """
    missing = dict(variables)
    for name, array in arrays:
        variable = missing.pop(name, None)
        if variable is None:
            raise ValueError(f"the array {array.name} belongs to no layer of the network")
        if array.shape != tuple(variable.shape):
            raise ValueError(f"the array {array.name} has shape {array.shape}, not {tuple(variable.shape)}")
        if array.dtype.kind != "f" or array.id.get_storage_size() != array.nbytes or not np.isfinite(array[()]).all():
            raise ValueError(f"the array {array.name} is of {array.dtype}, not of finite floats, or not whole")
        variable.assign(array[()])
    if missing:
        raise ValueError(f"the array {min(missing)} is missing")
