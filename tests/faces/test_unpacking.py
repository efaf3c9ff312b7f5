"""Compressed files are told by their content; zips are taken for what they hold, and not trusted."""

import bz2
import gzip
import lzma
import zipfile

import pytest
from face_files import write_csv, zipped

from ageclf.faces.csv_table import open_unpacked, read_csv

TEXT = b"age,pixels\n25,1 2 3\n" * 50
PACKED = {
    "plain": TEXT,
    "gzip": gzip.compress(TEXT),
    "two gzips in a row": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]),
    "bz2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "zip": zipped({"age_gender.csv": TEXT}),
    "stored zip": zipped({"AGE.CSV": TEXT}, zipfile.ZIP_STORED),
}


@pytest.fixture
def archive(tmp_path):
    """Write a zip of entries and return its path."""

    def write(entries, name="faces.zip"):
        (tmp_path / name).write_bytes(zipped(entries))
        return tmp_path / name

    return write


def unpacked(path):
    with open_unpacked(path) as file:
        return file.read()


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("name", ["faces.csv", "faces.csv.gz", "faces.zip", "faces"])
def test_the_content_tells_how_a_file_is_compressed_whatever_its_name(tmp_path, kind, name):
    (tmp_path / name).write_bytes(PACKED[kind])
    assert unpacked(tmp_path / name) == TEXT


def test_litter_beside_the_csv_file_in_a_zip_is_ignored(archive):
    litter = dict.fromkeys(
        ["readme.txt", "__MACOSX/._a.csv", "__MACOSX/x/a.csv", "x/._a.csv", "b.csv/", "a.csv.bak"], b"?"
    )
    assert unpacked(archive({"x/": b"", **litter, "x/a.csv": TEXT})) == TEXT


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ({}, r"no CSV file in the zip \[\]; unpack it"),
        (
            {"1_1_1_a.jpg": b"", "__MACOSX/._a.csv": b""},
            r"no CSV file in the zip \['1_1_1_a.jpg', '__MACOSX/._a.csv'\]",
        ),
        ({"a.csv": TEXT, "x/b.CSV": TEXT}, r"2 CSV files in the zip \['a.csv', 'x/b.CSV'\]; .*give the CSV file"),
    ],
)
def test_a_zip_without_one_csv_file_is_refused_with_what_it_holds(archive, entries, what):
    with pytest.raises(ValueError, match=rf"faces\.zip: {what}"):
        open_unpacked(archive(entries))


@pytest.mark.parametrize(
    "name", ["/a.csv", "../a.csv", "x/../../a.csv", "..\\a.csv", "C:\\a.csv", "C:a.csv", "\\\\pc\\x"]
)
def test_a_zip_with_an_entry_that_points_outside_is_refused(archive, name):
    with pytest.raises(
        ValueError, match=r"faces\.zip: entry '.*' points outside the zip; get it from a source"
    ) as info:
        open_unpacked(archive({"faces.csv": TEXT, name: b"?"}))
    assert repr(name) in str(info.value)


def test_names_with_dots_point_nowhere(archive):
    assert unpacked(archive({"./x..y/a...csv": TEXT, "..x/b.txt": b""})) == TEXT


def test_an_encrypted_zip_is_refused(archive):
    path = archive({"faces.csv": TEXT})
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="encrypted") as info:
        list(read_csv(path))
    assert str(info.value) == f"{path}: 'faces.csv' is encrypted; unpack it, and give the CSV file"


def test_a_damaged_zip_is_not_quoted_at_length(archive):
    """Python's own message holds the entry's name, here 60,000 bytes of the rest."""
    path = archive({})
    path.write_bytes(zipped({"faces.csv": b"1" * 100_000}, zipfile.ZIP_STORED).replace(b"\x09\0", b"\x60\xea", 1))
    with pytest.raises(ValueError, match=r"\(File name in directory 'faces.csv' and header b'") as info:
        list(read_csv(path))
    assert len(str(info.value)) < 500


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zip"])
def test_a_compressed_file_that_is_cut_off_anywhere_is_refused(tmp_path, kind):
    text = write_csv(tmp_path / "faces.csv").read_bytes()
    pack = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": lambda x: zipped({"a.csv": x})}
    whole = pack[kind](text)
    for length in [*range(30), *range(30, len(whole), 97), *range(len(whole) - 30, len(whole))]:
        (tmp_path / "faces.csv").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"faces\.csv: not a whole CSV file.*get the file again"):
            list(read_csv(tmp_path / "faces.csv"))


@pytest.mark.parametrize("kind", ["gzip", "xz", "bz2", "zip"])
def test_a_compressed_file_with_a_wrong_bit_is_refused(tmp_path, kind):
    content = bytearray(PACKED[kind])
    content[content.index(b"age_gender.csv") + 20 if kind == "zip" else len(content) // 2] ^= 4
    (tmp_path / "faces.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"faces\.csv: not a whole CSV file"):
        list(read_csv(tmp_path / "faces.csv"))
