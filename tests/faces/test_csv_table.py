"""What a CSV file may look like, packed or not, what makes a row bad, and what is no file of faces at all."""

import bz2
import csv
import gzip
import json
import lzma
import tarfile
import tracemalloc
import zipfile
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from face_files import IMAGES, collected, pixels_with, rows, write_csv, zipped

from ageclf.faces import csv_table
from ageclf.faces.csv_table import open_unpacked, read_csv

HEADER = "age,ethnicity,gender,img_name,pixels\n"
EXPECTED = "expected 2,304 whole numbers 0–255 separated by spaces"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "faces.csv"


def read(path):
    return collected(read_csv(path, sha256()))


def assert_the_three_faces(path):
    images, table, bad = read(path)
    np.testing.assert_array_equal(images, IMAGES)
    assert images.dtype == np.uint8
    assert table["age"].tolist() == [0, 25, 120]
    assert bad == {}
    return table


def test_pictures_and_columns_arrive_unchanged(path):
    table = assert_the_three_faces(write_csv(path))
    assert list(table) == ["row", "age", "ethnicity", "gender", "img_name"]
    assert table["row"].tolist() == [0, 1, 2]
    assert table["ethnicity"].tolist() == [0, 4, 2]
    assert table["gender"].tolist() == [0, 1, 1]
    assert table["img_name"].tolist() == ["a.jpg", "NA", "a,b.jpg"]


def test_a_path_may_be_text(path):
    assert len(list(read_csv(str(write_csv(path)), sha256()))) == 3


def test_every_grey_value_is_read_as_itself_in_every_place(path):
    values = [(np.arange(48 * 48) + shift) % 256 for shift in (0, 100, 250)]
    write_csv(path, {(row, "pixels"): " ".join(map(str, numbers)) for row, numbers in enumerate(values)})
    np.testing.assert_array_equal(read(path)[0].reshape(3, -1), values)


@pytest.mark.parametrize("between", [" ", "\t"])
@pytest.mark.parametrize("width", [3, 5])
def test_leading_zeros_change_no_value(path, between, width):
    padded = between.join(f"{value:0{width}}" for value in IMAGES[0].ravel())
    assert_the_three_faces(write_csv(path, {(0, "pixels"): padded}))


def test_neighbours_do_not_run_together(path):
    values = np.arange(48 * 48) % 3  # any two of them would be a grey value, too
    write_csv(path, {(row, "pixels"): " ".join(map(str, values)) for row in range(3)})
    np.testing.assert_array_equal(read(path)[0].reshape(3, -1), [values] * 3)


def test_a_long_file_keeps_its_order(path):
    pd.concat([rows()] * 200).to_csv(path, index=False)
    images, table, bad = read(path)
    assert table["row"].tolist() == list(range(600))
    assert (images == np.tile(IMAGES, (200, 1, 1))).all()
    assert table["age"].tolist() == [0, 25, 120] * 200
    assert bad == {}


def test_columns_may_come_in_any_order_with_others_between(path):
    table = rows().assign(x=["1", "", "x"])
    table.to_csv(path, index=False, columns=["pixels", "x", "gender", "age", "img_name", "ethnicity"])
    assert assert_the_three_faces(path)["ethnicity"].tolist() == [0, 4, 2]


def test_spaces_around_names_and_numbers_are_ignored(path):
    write_csv(path, {(1, "age"): " 25 ", (1, "pixels"): f" {rows()['pixels'][1].replace(' ', '  ')}\t"})
    path.write_text(path.read_text().replace("age,ethnicity", "age , ethnicity", 1))
    assert assert_the_three_faces(path)["ethnicity"].tolist() == [0, 4, 2]


def test_whole_numbers_may_be_written_as_decimals(path):
    table = assert_the_three_faces(write_csv(path, {(1, "age"): "25.0", (1, "ethnicity"): "4.", (1, "gender"): "1.00"}))
    assert table.loc[1, ["ethnicity", "gender"]].tolist() == [4, 1]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_the_line_ends_of_any_system_are_accepted(path, end):
    write_csv(path, encoding="utf-8-sig", lineterminator=end)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfage")
    assert_the_three_faces(path)


def test_a_last_line_without_an_end_is_read(path):
    write_csv(path).write_text(path.read_text().rstrip("\n"))
    assert_the_three_faces(path)


@pytest.mark.parametrize("in_the_header", [True, False])
def test_a_comma_at_the_end_of_every_row_shifts_nothing(path, in_the_header):
    text = write_csv(path).read_text().replace("\n", ",\n")
    path.write_text(text if in_the_header else text.replace("pixels,", "pixels"))
    assert_the_three_faces(path)


def test_cells_in_quotes_may_hold_commas_quotes_and_line_ends(path):
    names = ["a,b", 'say "a"', "one\ntwo\r\nthree"]
    in_lines = [text.replace(" ", "\n", 40) for text in rows()["pixels"]]
    cells = {(row, "img_name"): name for row, name in enumerate(names)}
    write_csv(path, cells | {(row, "pixels"): text for row, text in enumerate(in_lines)}, quoting=csv.QUOTE_ALL)
    assert assert_the_three_faces(path)["img_name"].tolist() == names


@pytest.mark.parametrize("delimiter", [";", "\t", ",", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_any_of_the_usual_delimiters_is_recognised(path, delimiter, quoting):
    table = assert_the_three_faces(write_csv(path, sep=delimiter, quoting=quoting))
    assert table["img_name"].tolist() == ["a.jpg", "NA", "a,b.jpg"]


@pytest.mark.parametrize("change", [str.upper, str.title, lambda header: f"\n\n{header}"])
def test_the_header_may_be_in_capitals_and_below_blank_lines(path, change):
    header, rest = write_csv(path).read_text().split("\n", 1)
    path.write_text(f"{change(header)}\n{rest}")
    assert assert_the_three_faces(path)["ethnicity"].tolist() == [0, 4, 2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_other_encodings_are_read(path, encoding, delimiter):
    table = assert_the_three_faces(write_csv(path, {(0, "img_name"): "Müße.jpg"}, encoding=encoding, sep=delimiter))
    assert table["img_name"][0] == "Müße.jpg"


def as_numpy_prints(image):
    with np.printoptions(threshold=10_000):
        return str(image)


@pytest.mark.parametrize(
    "write", [as_numpy_prints, lambda image: str(image.ravel().tolist()), lambda image: json.dumps(image.tolist())]
)
def test_pixels_may_be_lists_as_numpy_or_json_write_them(path, write):
    assert_the_three_faces(write_csv(path, {(row, "pixels"): write(image) for row, image in enumerate(IMAGES)}))


def test_a_list_that_numpy_shortened_is_named(path):
    bad = read(write_csv(path, {(1, "pixels"): str(IMAGES[1].ravel())}))[2]
    assert bad[1][1].startswith("found '...' as number 4 in line 3")


@pytest.mark.parametrize(
    "pixels", [lambda image: " ".join(map(str, image.ravel())), lambda image: image.ravel().tolist(), np.ndarray.tolist]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda content: zipped({"faces.parquet": content})])
def test_parquet_is_read_whether_pixels_are_text_or_lists(path, pixels, pack):
    table = rows().assign(pixels=[pixels(image) for image in IMAGES]).astype({"age": int, "gender": float})
    path.write_bytes(pack(table.rename(columns=str.upper).to_parquet()))
    assert assert_the_three_faces(path)["gender"].tolist() == [0, 1, 1]


def test_a_bad_row_of_a_parquet_file_is_named_by_its_number(path):
    rows().assign(age=[1, None, 200]).to_parquet(path)
    assert read(path)[2] == {
        1: ("age", "found '' in row 1, expected whole numbers 0–120"),
        2: ("age", "found '200.0' in row 2, expected whole numbers 0–120"),
    }
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match="not a whole CSV or Parquet file"):
        read(path)


@pytest.mark.parametrize("pack", ["w", "w:gz", "w:xz"])
def test_a_tar_archive_is_named_with_what_to_type(path, pack):
    write_csv(path)
    with tarfile.open(path.with_name("faces.tar"), pack) as archive:
        archive.add(path, "age_gender.csv")
    with pytest.raises(
        ValueError, match=r"faces\.tar: a tar archive; unpack it \(tar -xf faces\.tar\), and give what was"
    ):
        read(path.with_name("faces.tar"))


def test_optional_columns_are_none_where_the_file_lacks_them(path):
    rows().to_csv(path, index=False, columns=["age", "pixels"])
    assert assert_the_three_faces(path)[["ethnicity", "gender", "img_name"]].isna().all(axis=None)


@pytest.mark.parametrize("column", ["ethnicity", "gender", "img_name"])
def test_an_empty_cell_of_an_optional_column_is_none(path, column):
    assert read(write_csv(path, {(1, column): ""}))[1][column].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("position", [0, 1000, 2303])
@pytest.mark.parametrize(
    "number", ["256", "300", "1000", "65536", "4294967296", "-1", "1.5", "x", "0x1F", "1e1", "٣", "1\0", "²"]
)
def test_a_pixel_that_is_no_grey_value_makes_its_row_bad(path, position, number):
    images, table, bad = read(write_csv(path, {(0, "pixels"): pixels_with(number, position)}))
    found = f"found {number!r} as number {position + 1:,} in line 2"
    assert bad == {0: ("pixels", f"{found}, {EXPECTED}")}
    np.testing.assert_array_equal(images, IMAGES[1:])
    assert table["row"].tolist() == [1, 2]


@pytest.mark.parametrize("change", [1, -1])
def test_a_number_more_or_less_makes_its_row_bad(path, change):
    numbers = rows()["pixels"][1].split()
    bad = read(write_csv(path, {(1, "pixels"): " ".join([*numbers, "7"] if change == 1 else numbers[:-1])}))[2]
    assert bad == {1: ("pixels", f"found {2304 + change:,} numbers in line 3, {EXPECTED}")}


def test_a_number_that_slipped_into_the_next_row_is_noticed(path):
    """Three rows with the right total of numbers, two of them with the wrong count."""
    first, last = rows()["pixels"][0].rsplit(" ", 1)
    images, _, bad = read(write_csv(path, {(0, "pixels"): first, (1, "pixels"): f"{last} {rows()['pixels'][1]}"}))
    assert [reason[:20] for _, reason in bad.values()] == ["found 2,303 numbers ", "found 2,305 numbers "]
    np.testing.assert_array_equal(images, IMAGES[2:])


def test_a_row_without_pixels_is_bad(path):
    assert read(write_csv(path, {(2, "pixels"): ""}))[2] == {2: ("pixels", f"found 0 numbers in line 4, {EXPECTED}")}


@pytest.mark.parametrize("age", ["-1", "121", "25.5", "", "old", "inf", "nan", "1e1", "1e30", "٣", "2\x005", "1 2"])
def test_an_age_that_is_none_makes_its_row_bad(path, age):
    bad = read(write_csv(path, {(1, "age"): age}))[2]
    assert bad == {1: ("age", f"found {age!r} in line 3, expected whole numbers 0–120")}


@pytest.mark.parametrize(
    ("column", "value"), [("ethnicity", "5"), ("ethnicity", "256"), ("gender", "2"), ("gender", "m")]
)
def test_an_unknown_code_makes_its_row_bad(path, column, value):
    highest = {"ethnicity": 4, "gender": 1}[column]
    bad = read(write_csv(path, {(1, column): value}))[2]
    assert bad == {1: (column, f"found {value!r} in line 3, expected whole numbers 0–{highest}")}


def test_a_row_that_is_bad_in_two_columns_is_listed_once_with_the_first(path):
    bad = read(write_csv(path, {(1, "pixels"): "1 2 3", (1, "gender"): "7", (1, "ethnicity"): "9"}))[2]
    assert bad == {1: ("ethnicity", "found '9' in line 3, expected whole numbers 0–4")}


@pytest.mark.parametrize(
    ("line", "column", "cells"),
    [("25,4,1,b.jpg", "pixels", 4), ("25", "ethnicity", 1), ("25,4,1,a,b.jpg,1", "pixels", 6)],
)
def test_a_row_with_cells_more_or_less_is_bad_and_shifts_no_other(path, line, column, cells):
    lines = write_csv(path).read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, lines[3]]))
    images, table, bad = read(path)
    assert bad == {1: (column, f"found {cells} cells in line 3, expected 5 as in the header")}
    np.testing.assert_array_equal(images, IMAGES[[0, 2]])
    assert table["row"].tolist() == [0, 2]


def test_a_bad_row_is_named_by_the_line_that_an_editor_shows(path):
    """Blank lines are no rows, and a row with line ends in its cells takes several lines."""
    table = pd.concat([rows()] * 20, ignore_index=True)
    table.loc[7, "img_name"] = "one\ntwo\nthree"
    table.loc[50, "age"] = "200"
    text = table.to_csv(index=False)
    path.write_text("\n  \n" + text.replace("\n120,", "\n\n\n120,", 3))
    bad = read(path)[2]
    (column, reason) = bad.pop(50)
    assert not bad
    assert column == "age"
    line = int(reason.split("line ")[1].split(",")[0])
    assert path.read_text().split("\n")[line - 1].startswith("200,")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (HEADER.encode(), "no row below the header"),
        (b"a,b\n1,2\n", "column 'age' is missing from the header ['a', 'b']"),
        (b"age,img_name\n25,a.jpg\n", "column 'pixels' is missing from the header ['age', 'img_name']"),
        (b"age,age,pixels\n25,26,1 2\n", "column 'age' is repeated in the header ['age', 'age', 'pixels']"),
        (b"\x89PNG\r\n\x1a\n\0\xff", "column 'age' is missing from the header ['\\x89png']"),
        ("age,pixels\n".encode("utf-16"), "no row below the header"),
        (b"%PDF-1.7\n", "column 'age' is missing from the header ['%pdf-1.7']"),
        (b'age,pixels\n25,1\n\n26,"1,2', "after line 2: unexpected end of data"),
        (b'age,pixels\n25,"1"2"\n', "after line 1: ',' expected after '\"'"),
    ],
    ids=[
        *("empty", "blank", "header only", "other columns", "no pixels", "a column twice"),
        *("a picture", "UTF-16", "a PDF", "open quote", "odd quote"),
    ],
)
def test_what_is_no_csv_of_faces_is_refused_with_reason_and_remedy(path, content, what):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a whole CSV") as info:
        read(path)
    remedy = "get the file again, or see data/README.md for its columns"
    assert str(info.value) == f"{path}: not a whole CSV or Parquet file with columns age and pixels ({what}); {remedy}"
    assert info.value.__cause__ is None
    assert info.value.__suppress_context__


def test_an_error_without_a_text_is_named(path, monkeypatch):
    def fail(path, content):
        raise MemoryError

    write_csv(path)
    monkeypatch.setattr(csv_table, "open_unpacked", fail)
    with pytest.raises(ValueError, match=r"not a whole CSV or Parquet file .*\(MemoryError\)"):
        read(path)


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, lambda content: zipped({"a.csv": content})]
)
def test_a_bomb_is_refused_before_it_fills_the_memory(path, pack):
    path.write_bytes(pack(b"age,pixels\n" + b"1" * 2**25))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"line 2 passes the limit of 262,144 characters a line.*far more than faces"):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size < 2**16
    assert peak < 2**24  # xz takes 2**23 for itself


@pytest.mark.parametrize("limit", ["MOST_LINES", "MOST_CHARACTERS"])
def test_lines_and_characters_without_end_are_refused(path, monkeypatch, limit):
    needed = 4 if limit == "MOST_LINES" else len(write_csv(path).read_text())
    monkeypatch.setattr(csv_table, limit, needed)
    assert_the_three_faces(write_csv(path))
    monkeypatch.setattr(csv_table, limit, needed - 1)
    with pytest.raises(ValueError, match="line 4 passes the limit"):
        read(path)


def test_a_row_in_quotes_without_end_is_refused(path):
    path.write_text('age,pixels\n25,"' + "1 2 3\n" * 30_000)
    with pytest.raises(ValueError, match=r"after line 1: field larger than field limit"):
        read(path)


# Compressed files: their content decides which they are; of a zip, one CSV file is read, and nothing else is trusted.

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
    with open_unpacked(path, path.read_bytes()) as file:
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
            r"no CSV file in the zip \['1_1_1_a.jpg'\]",
        ),
        ({"a.csv": TEXT, "x/b.CSV": TEXT}, r"2 CSV files in the zip \['a.csv', 'x/b.CSV'\]; .*give the CSV file"),
    ],
)
def test_a_zip_without_one_csv_file_is_refused_with_what_it_holds(archive, entries, what):
    with pytest.raises(ValueError, match=rf"faces\.zip: {what}"):
        unpacked(archive(entries))


@pytest.mark.parametrize("name", ["/a.csv", "../a.csv", "x/../../a.csv", "C:\\a.csv", "\\\\pc\\x.csv"])
def test_an_entry_that_points_outside_the_zip_is_read_and_written_nowhere(archive, tmp_path, name):
    path = archive({name: TEXT})
    assert unpacked(path) == TEXT
    assert list(tmp_path.iterdir()) == [path]


def test_names_with_dots_point_nowhere(archive):
    assert unpacked(archive({"./x..y/a...csv": TEXT, "..x/b.txt": b""})) == TEXT


def test_an_encrypted_zip_is_refused(archive):
    path = archive({"faces.csv": TEXT})
    content = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="encrypted") as info:
        list(read_csv(path, sha256()))
    assert str(info.value) == f"{path}: 'faces.csv' is encrypted; unpack it, and give the CSV file"


def test_a_damaged_zip_is_not_quoted_at_length(archive):
    """Python's own message holds the entry's name, here 60,000 bytes of the rest."""
    path = archive({})
    path.write_bytes(zipped({"faces.csv": b"1" * 100_000}, zipfile.ZIP_STORED).replace(b"\x09\0", b"\x60\xea", 1))
    with pytest.raises(ValueError, match=r"\(File name in directory 'faces.csv' and header b'") as info:
        list(read_csv(path, sha256()))
    assert len(str(info.value)) < 500


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zip"])
def test_a_compressed_file_that_is_cut_off_anywhere_is_refused(tmp_path, kind):
    text = write_csv(tmp_path / "faces.csv").read_bytes()
    pack = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": lambda x: zipped({"a.csv": x})}
    whole = pack[kind](text)
    for length in [*range(30), *range(30, len(whole), 293), *range(len(whole) - 30, len(whole))]:
        (tmp_path / "faces.csv").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"faces\.csv: not a whole CSV or Parquet file.*get the file again"):
            list(read_csv(tmp_path / "faces.csv", sha256()))


@pytest.mark.parametrize("kind", ["gzip", "xz", "bz2", "zip"])
def test_a_compressed_file_with_a_wrong_bit_is_refused(tmp_path, kind):
    content = bytearray(PACKED[kind])
    content[content.index(b"age_gender.csv") + 20 if kind == "zip" else len(content) // 2] ^= 4
    (tmp_path / "faces.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"faces\.csv: not a whole CSV or Parquet file"):
        list(read_csv(tmp_path / "faces.csv", sha256()))
