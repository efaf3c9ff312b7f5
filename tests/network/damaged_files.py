"""Files that were not received whole, or are something else, for the tests of modules that read weights."""

from pathlib import Path

CONTENTS = {
    "empty": (b"", "it is empty"),
    "page": (b"\n <!DOCTYPE html><html>Sign in", "it is a web page"),
    "text": (b"version https://git-lfs", "it is neither HDF5 nor .keras"),
    "half": (None, "it is cut short or damaged"),
}


def damage(path: Path, kind: str) -> str:
    """Give a good file another content, and return the beginning of the reason that an error names."""
    content, reason = CONTENTS[kind]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    return reason
