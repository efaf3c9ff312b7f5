from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ageclf
from ageclf import reading
from ageclf.reading import find_source, load_faces

HEADER = "age,ethnicity,gender,img_name,pixels\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep the cache, the checkout's data and the user's environment out of the tests."""
    monkeypatch.setattr(reading.platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    monkeypatch.delenv("AGECLF_DATA", raising=False)
    return tmp_path / "cache" / "ageclf"


@pytest.fixture
def images():
    """Three pictures with numbers of one, two and three digits in every place."""
    return np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)


@pytest.fixture
def table(images):
    return pd.DataFrame(
        {
            "age": [0, 25, 120],
            "ethnicity": [0, 4, 2],
            "gender": [0, 1, 1],
            "img_name": ["a.jpg", "NA", "a,b.jpg"],
            "pixels": [" ".join(map(str, image.ravel())) for image in images],
        }
    )


@pytest.fixture
def write(tmp_path, table):
    """Write the table, with a cell changed if asked for, and return the file."""

    def write_file(row=None, column=None, value=None, name="faces.csv", **options):
        changed = table.astype(object)
        if column:
            changed.loc[row, column] = value
        changed.to_csv(tmp_path / name, index=False, **options)
        return tmp_path / name

    return write_file


def pixels_with(table, position, number):
    """The first row's pixels with one number replaced."""
    numbers = table["pixels"][0].split()
    numbers[position] = number
    return " ".join(numbers)


def test_pictures_and_columns_arrive_unchanged(write, images):
    faces = load_faces(write())
    np.testing.assert_array_equal(faces.images, images)
    assert faces.images.dtype == np.uint8
    assert list(faces.table) == ["row", "face_id", "age", "ethnicity", "gender", "img_name"]
    assert faces.table["row"].tolist() == [0, 1, 2]
    assert faces.table["age"].tolist() == [0, 25, 120]
    assert faces.table["ethnicity"].tolist() == [0, 4, 2]
    assert faces.table["gender"].tolist() == [0, 1, 1]
    assert faces.table["img_name"].tolist() == ["a.jpg", "NA", "a,b.jpg"]
    assert faces.table[["age", "ethnicity", "gender", "img_name"]].dtypes.astype(str).tolist() == [
        *("int16", "Int8", "Int8", "string")
    ]
    assert faces.bad.empty
    assert list(faces.bad) == ["row", "column", "reason"]


def test_selected_faces_keep_pictures_and_table_together(write, images):
    faces = load_faces(write()).select(np.array([True, False, True]))
    np.testing.assert_array_equal(faces.images, images[[0, 2]])
    assert faces.table["row"].tolist() == [0, 2]
    assert faces.table.index.tolist() == [0, 1]


def test_every_grey_value_is_read_as_itself_in_every_place(write, table):
    numbers = np.arange(48 * 48)
    for shift, row in ((0, 0), (100, 1), (250, 2)):
        table.loc[row, "pixels"] = " ".join(map(str, (numbers + shift) % 256))
    expected = [(numbers + shift) % 256 for shift in (0, 100, 250)]
    np.testing.assert_array_equal(load_faces(write()).images.reshape(3, -1), expected)


def test_the_source_names_file_and_content(write):
    path = write()
    content = sha256(path.read_bytes()).hexdigest()
    assert load_faces(path).source == {"name": "faces.csv", "sha256": content, "synthetic": False}


def test_a_face_id_is_the_hash_of_its_pixels(write, images):
    expected = [sha256(image.tobytes()).hexdigest()[:16] for image in images]
    assert load_faces(write()).table["face_id"].tolist() == expected


def test_rows_are_numbered_on_across_chunks(tmp_path, table):
    pd.concat([table] * 700).to_csv(tmp_path / "many.csv", index=False)
    faces = load_faces(tmp_path / "many.csv")
    assert faces.table["row"].tolist() == list(range(2100))
    assert (faces.images == np.tile(faces.images[:3], (700, 1, 1))).all()
    assert faces.table["age"].tolist() == [0, 25, 120] * 700


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_compressed_files_are_read(write, images, ending):
    path = write(name=f"faces.csv{ending}")
    magic = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ", ".zip": b"PK"}
    assert path.read_bytes().startswith(magic.get(Path(ending).suffix, b""))
    np.testing.assert_array_equal(load_faces(path).images, images)


def test_columns_may_come_in_any_order_with_others_between(write, table, images):
    table["x"] = ["1", "", "x"]
    path = write(columns=["pixels", "x", "gender", "age", "img_name", "ethnicity"])
    faces = load_faces(path)
    np.testing.assert_array_equal(faces.images, images)
    assert faces.table["ethnicity"].tolist() == [0, 4, 2]


def test_byte_order_mark_and_windows_line_ends_are_accepted(write, images):
    path = write(encoding="utf-8-sig", lineterminator="\r\n")
    assert path.read_bytes().startswith(b"\xef\xbb\xbfage")
    np.testing.assert_array_equal(load_faces(path).images, images)


def test_a_comma_at_the_end_of_every_row_shifts_nothing(write, images):
    path = write()
    path.write_text(path.read_text().replace("\n", ",\n").replace("pixels,", "pixels"))
    np.testing.assert_array_equal(load_faces(path).images, images)


def test_optional_columns_are_na_where_the_file_lacks_them(write):
    table = load_faces(write(columns=["age", "pixels"])).table
    assert table[["ethnicity", "gender", "img_name"]].isna().all(axis=None)
    assert table[["ethnicity", "gender", "img_name"]].dtypes.astype(str).tolist() == ["Int8", "Int8", "string"]


@pytest.mark.parametrize("column", ["ethnicity", "gender", "img_name"])
def test_an_empty_cell_of_an_optional_column_is_na(write, column):
    assert load_faces(write(1, column, "")).table[column].isna().tolist() == [False, True, False]


def test_any_white_space_may_separate_the_numbers(write, table, images):
    path = write(1, "pixels", f" {table['pixels'][1].replace(' ', '  ')}\t")
    np.testing.assert_array_equal(load_faces(path).images, images)


@pytest.mark.parametrize("position", [0, 1000, 2303])
@pytest.mark.parametrize("number", ["256", "300", "1000", "65536", "4294967296", "-1", "1.5", "x", "0x1F", "1e1", "٣"])
def test_a_pixel_that_is_no_grey_value_is_refused(write, table, position, number):
    path = write(0, "pixels", pixels_with(table, position, number))
    with pytest.raises(
        ValueError, match=r"faces\.csv: data row 0 .*line 2.*column pixels.*whole numbers 0–255"
    ) as info:
        load_faces(path)
    assert f"found {number!r} as number {position + 1:,}," in str(info.value)


@pytest.mark.parametrize("change", [1, -1])
def test_a_row_with_a_number_more_or_less_is_refused(write, table, change):
    numbers = table["pixels"][1].split()
    path = write(1, "pixels", " ".join([*numbers, "7"] if change == 1 else numbers[:-1]))
    with pytest.raises(
        ValueError, match=f"data row 1 .*column pixels: found {2304 + change:,} numbers, expected 2,304"
    ):
        load_faces(path)


def test_a_number_that_slipped_into_the_next_row_is_noticed(write, table):
    """Three rows with the right total of numbers, two of them with the wrong count."""
    first, last = table["pixels"][0].rsplit(" ", 1)
    table.loc[0, "pixels"] = first
    table.loc[1, "pixels"] = f"{last} {table['pixels'][1]}"
    with pytest.raises(ValueError, match=r"data row 0 .*column pixels: found 2,303 numbers"):
        load_faces(write())


def test_a_row_without_pixels_is_refused(write):
    with pytest.raises(ValueError, match=r"data row 2 .*column pixels: found 0 numbers"):
        load_faces(write(2, "pixels", ""))


@pytest.mark.parametrize("age", ["-1", "121", "25.5", "", "old", "inf", "1e30"])
def test_an_age_that_is_none_is_refused(write, age):
    with pytest.raises(ValueError, match=f"data row 1 .*column age: found '{age}', expected whole numbers 0–120"):
        load_faces(write(1, "age", age))


@pytest.mark.parametrize(
    ("column", "value"), [("ethnicity", "5"), ("ethnicity", "256"), ("gender", "2"), ("gender", "m")]
)
def test_an_unknown_code_is_refused(write, column, value):
    with pytest.raises(ValueError, match=f"data row 1 .*column {column}: found '{value}'"):
        load_faces(write(1, column, value))


def test_a_bad_row_is_named_as_an_editor_counts(tmp_path, table):
    many = pd.concat([table] * 700, ignore_index=True)
    many.loc[2050, "age"] = 200
    many.to_csv(tmp_path / "many.csv", index=False)
    with pytest.raises(ValueError, match=r"data row 2050 \(the first is 0; line 2052\), column age: found '200'"):
        load_faces(tmp_path / "many.csv")
    assert (tmp_path / "many.csv").read_text().splitlines()[2051].startswith("200,")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        HEADER.encode(),
        b"a,b\n1,2\n",
        b"\x89PNG\r\n\x1a\n\0\xff",
        b"age,img_name\n25,a.jpg\n",
        b'age,pixels\n"1,2',
    ],
    ids=["empty", "blank", "header only", "other columns", "a picture", "no pixels", "open quote"],
)
def test_a_file_that_is_no_csv_of_faces_is_refused(tmp_path, content):
    (tmp_path / "faces.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"faces\.csv: not a whole CSV file with columns age and pixels"):
        load_faces(tmp_path / "faces.csv")


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zip", ".tar"])
def test_a_compressed_file_that_is_cut_off_is_refused(write, ending):
    path = write(name=f"faces.csv{ending}")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="not a whole CSV file"):
        load_faces(path)


def test_a_file_that_is_not_there_is_named_with_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv: no such file; give a CSV file"):
        load_faces(tmp_path / "nowhere.csv")


def test_a_second_load_reads_the_cache_and_gives_the_same(write, cache, monkeypatch):
    path = write(1, "gender", "")
    first = load_faces(path)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(reading, "_read_csv", None)
    second = load_faces(path)
    np.testing.assert_array_equal(second.images, first.images)
    pd.testing.assert_frame_equal(second.table, first.table)
    assert second.source == first.source


def test_without_cache_nothing_is_written(write, cache):
    load_faces(write(), cache=False)
    assert not cache.exists()


def test_a_changed_file_is_read_anew(write):
    path = write()
    load_faces(path)
    path.write_text(path.read_text().replace("\n25,", "\n26,"))
    assert load_faces(path).table["age"].tolist() == [0, 26, 120]


@pytest.mark.parametrize("damage", ["cut off", "garbage", "empty", "one byte", "a folder"])
def test_a_damaged_cache_is_rebuilt_in_silence(write, cache, images, damage):
    path = write()
    load_faces(path)
    (cached,) = cache.iterdir()
    whole = cached.read_bytes()
    middle = whole.index(images[1].tobytes())
    cached.unlink()
    if damage == "a folder":
        cached.mkdir()
    else:
        one_byte = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        cached.write_bytes(
            {"cut off": whole[:3000], "garbage": b"?" * 5000, "empty": b"", "one byte": one_byte}[damage]
        )
    np.testing.assert_array_equal(load_faces(path).images, images)
    if damage != "a folder":
        assert cached.read_bytes()[middle : middle + 2304] == images[1].tobytes()


def test_a_cache_that_cannot_be_written_is_no_error(write, cache, images):
    cache.parent.write_text("a file where the folder should be")
    np.testing.assert_array_equal(load_faces(write()).images, images)


def test_loads_at_the_same_time_do_not_disturb_each_other(write, cache, images):
    path = write()
    with ThreadPoolExecutor(8) as pool:
        for faces in pool.map(load_faces, [path] * 32):
            np.testing.assert_array_equal(faces.images, images)
    assert [file.suffix for file in cache.iterdir()] == [".npz"]


def test_the_sample_is_marked_as_synthetic():
    faces = load_faces("sample")
    assert faces.images.shape == (600, 48, 48)
    assert faces.source["name"] == "sample"
    assert faces.source["synthetic"] is True
    assert faces.source == load_faces("sample").source
    assert list(faces.table) == ["row", "face_id", "age", "ethnicity", "gender", "img_name"]


def test_auto_is_the_environment_then_the_data_folder_then_the_sample(tmp_path, monkeypatch):
    assert find_source() == "sample"
    (tmp_path / "data").mkdir()
    for name in ("README.md", "age_gender.csv.part", "age_gender.zip", "age_gender.csv.gz", "age_gender.csv"):
        (tmp_path / "data" / name).touch()
        found = {"README.md": "sample", "age_gender.csv.part": "sample"}.get(name, tmp_path / "data" / name)
        assert find_source("auto") == found
    (tmp_path / "other.csv").touch()
    monkeypatch.setenv("AGECLF_DATA", "other.csv")
    assert find_source("auto") == tmp_path / "other.csv"
    monkeypatch.setenv("AGECLF_DATA", "sample")
    assert find_source("auto") == "sample"


def test_an_explicit_source_beats_the_environment(tmp_path, monkeypatch):
    (tmp_path / "mine.csv").touch()
    monkeypatch.setenv("AGECLF_DATA", "theirs.csv")
    assert find_source("mine.csv") == tmp_path / "mine.csv"
    assert find_source(tmp_path / "mine.csv") == tmp_path / "mine.csv"
    assert find_source("sample") == "sample"
    with pytest.raises(FileNotFoundError, match="theirs"):
        find_source("auto")
