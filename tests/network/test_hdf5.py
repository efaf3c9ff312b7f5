"""Whatever an HDF5 file can make HDF5 do beyond reading its own arrays is refused before it is done."""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from ageclf.network.backend import keras
from ageclf.network.hdf5 import assign, find_arrays, read_text, refusing


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file with two arrays in a layer, a user's file that it must not read, and a pipe that nobody writes to."""
    monkeypatch.chdir(tmp_path)
    np.arange(12, dtype="f4").tofile("secret")
    os.mkfifo("pipe")
    with h5py.File("other.h5", "w") as other:
        other["x"] = np.zeros(12, "f4")
    with h5py.File("weights.h5", "w") as file:
        file["layer/kernel"], file["layer/bias"] = np.ones((3, 4), "f4"), np.ones(4, "f4")
        yield file


def outside(name: str):
    return lambda file: file.create_dataset("layer/x", (12,), "f4", external=[(name, 0, h5py.h5f.UNLIMITED)])


def linked(link):
    return lambda file: file["layer"].__setitem__("x", link)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((12,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (12,))
    file.create_virtual_dataset("layer/x", layout)


def endless(file: h5py.File) -> None:
    """An array as long as another, in a file that HDF5 opens when it is asked for the shape."""
    made, size = h5py.h5p.create(h5py.h5p.DATASET_CREATE), (h5py.h5s.UNLIMITED,)
    space = h5py.h5s.create_simple((12,), size)
    space.select_hyperslab((0,), size, (1,), (1,))
    made.set_virtual(space, b"pipe", b"x", space)
    h5py.h5d.create(file["layer"].id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((12,), size), made)


def deep(file: h5py.File) -> None:
    for _ in range(600):
        file = file.create_group("x")


ATTACKS = {
    "values in a file of the user's": outside("secret"),
    "values in a pipe": outside("pipe"),
    "values in part in another file": lambda file: file.create_dataset(
        "layer/x", (12,), "f4", external=[("weights.h5", 0, 8), ("secret", 0, 40)]
    ),
    "a link to another file": linked(h5py.ExternalLink("other.h5", "/x")),
    "a link to a pipe": linked(h5py.ExternalLink("pipe", "/x")),
    "a link to this file": linked(h5py.ExternalLink("weights.h5", "/layer/bias")),
    "a soft link": linked(h5py.SoftLink("/layer/bias")),
    "a soft link to itself": linked(h5py.SoftLink("/layer/x")),
    "a link to nowhere": linked(h5py.SoftLink("/nowhere")),
    "an array with two names": lambda file: file["layer"].__setitem__("x", file["layer/bias"]),
    "a group in itself": lambda file: file["layer"].__setitem__("x", file["layer"]),
    "the file in a group": lambda file: file["layer"].__setitem__("x", file),
    "values from another file": virtual,
    "as many values as a pipe holds": endless,
    "values of which none is stored": lambda file: file.create_dataset("layer/x", (10**12,), "f4", chunks=(10**6,)),
    "compressed values": lambda file: file.create_dataset("layer/x", (10**6,), "f4", compression="gzip"),
    "a type": lambda file: file["layer"].__setitem__("x", np.dtype("f4")),
    "six hundred groups deep": deep,
}


def test_the_arrays_of_a_file_are_found_by_their_path(file):
    assert find_arrays(file).keys() == {"layer/kernel", "layer/bias"}


@pytest.mark.parametrize("what", ATTACKS)
def test_what_leads_out_of_the_file_is_refused_before_it_is_followed(what, file):
    ATTACKS[what](file)
    with pytest.raises(ValueError, match=r"its part (layer/)?x\S* is a link, a second name, or no array that lies in"):
        find_arrays(file)


def test_a_link_whose_name_is_a_path_is_refused(file):
    """HDF5 writes no such name, but a file can be changed by hand."""
    file["layer/aXb"] = np.ones(3, "f4")
    file.close()
    changed = Path("weights.h5").read_bytes().replace(b"aXb", b"a/b")
    Path("changed.h5").write_bytes(changed)
    with h5py.File("changed.h5", "r") as read, pytest.raises(ValueError, match="its part layer/a/b is a link"):
        find_arrays(read)


NOT_FLOATS = {
    "whole numbers": np.ones(4, "i4"),
    "truth": np.ones(4, bool),
    "complex numbers": np.ones(4, "c8"),
    "texts": np.array([b"a"] * 4),
    "records": np.zeros(4, [("a", "f4"), ("b", "f4")]),
    "arrays": np.zeros(4, [("a", "f4", 3)])["a"],
}


@pytest.mark.parametrize("what", [*NOT_FLOATS, "texts of any length", "lists", "references", "nothing", "no space"])
def test_an_array_of_anything_but_floats_that_are_all_present_is_refused(what, file):
    variable = keras.Variable(np.zeros(4, "f4"))
    kinds = {"texts of any length": h5py.string_dtype(), "lists": h5py.vlen_dtype("f4"), "references": h5py.ref_dtype}
    if what in NOT_FLOATS:
        file["x"] = NOT_FLOATS[what]
    elif what == "no space":
        file["x"] = h5py.Empty("f4")
    else:
        file.create_dataset("x", (4,), kinds.get(what, "f4"))
    with pytest.raises(ValueError, match=r"the array /x (is of .*, or not whole|has shape .*, not \(4,\))"):
        assign({"x": variable}, [("x", find_arrays(file)["x"])])
    np.testing.assert_array_equal(variable, np.zeros(4))


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f4", "f8"])
def test_floats_of_any_kind_are_read(dtype, file):
    variable = keras.Variable(np.zeros(3, "f4"))
    file["x"] = np.arange(3, dtype=dtype)
    assign({"x": variable}, [("x", find_arrays(file)["x"])])
    np.testing.assert_array_equal(variable, [0, 1, 2])


def test_an_array_of_another_size_is_refused_unread(file):
    file.create_dataset("x", (10**12,), "f4")
    with pytest.raises(ValueError, match=r"the array /x has shape \(1000000000000,\), not \(4,\)"):
        assign({"x": keras.Variable(np.zeros(4, "f4"))}, [("x", find_arrays(file)["x"])])


def test_one_text_is_read_and_anything_that_could_be_endless_refused(file):
    file.attrs.update({"text": "a", "bytes": b"a", "fixed": np.bytes_("a"), "number": 1, "many": [b"a"] * 3})
    assert [len(read_text(file, name)) for name in ("text", "bytes", "fixed")] == [1, 1, 1]
    file.attrs["reference"] = file["layer"].ref
    for name in ("number", "many", "reference"):
        with pytest.raises(ValueError, match=f"its attribute {name} is no text"):
            read_text(file, name)


def test_a_refusal_is_one_line_without_control_characters(tmp_path):
    path = tmp_path / "some.h5"
    path.touch()
    with (
        pytest.raises(ValueError, match=re.escape(f"{path}: no good: a [2J b c; get another")) as refusal,
        refusing(path, "no good", "get another"),
    ):
        raise ValueError("a\x1b[2J\nb\u202ec")
    assert str(refusal.value).isprintable()
    with pytest.raises(ValueError, match="it is no regular file of up to 2048 MiB"), refusing(tmp_path, "a", "b"):
        pass
    with path.open("wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(ValueError, match="it is no regular file of up to 2048 MiB"), refusing(path, "a", "b"):
        pass
