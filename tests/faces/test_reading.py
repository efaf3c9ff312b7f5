"""One function reads every source: what it returns, what it refuses and how, what the cache does."""

import bz2
import csv
import gzip
import lzma
import os
import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import cv2
import numpy as np
import pandas as pd
import pytest
from _synthetic_faces import synthesize_sample
from face_files import IMAGES, rows, write_csv, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

import ageclf
from ageclf.faces import reading
from ageclf.faces.clusters import assign_parts, cluster_near_duplicates
from ageclf.faces.reading import describe, find_source, load_faces


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep the cache, the checkout's data and the user's environment out of the tests."""
    monkeypatch.setattr(reading.platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    monkeypatch.delenv("AGECLF_DATA", raising=False)
    return tmp_path / "cache" / "ageclf"


@pytest.fixture
def write(tmp_path):
    """Write the three faces, optionally with one cell changed, and return the file."""

    def write_file(row=0, column=None, value=None):
        return write_csv(tmp_path / "faces.csv", {(row, column): value} if column else None)

    return write_file


@pytest.fixture
def folder(tmp_path):
    """Three pictures and one without a usable name between them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, image in zip(("0_0_0_a.png", "1_1_4_a.png", "3_1_2_a.png"), IMAGES, strict=True):
        (folder / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    (folder / "2_2.png").touch()
    return folder


def test_pictures_and_columns_arrive_unchanged(write):
    faces = load_faces(write())
    np.testing.assert_array_equal(faces.images, IMAGES)
    assert faces.images.dtype == np.uint8
    assert list(faces.table) == ["row", "face_id", "age", "ethnicity", "gender", "img_name"]
    assert faces.table["row"].tolist() == [0, 1, 2]
    assert faces.table["age"].tolist() == [0, 25, 120]
    assert faces.table["ethnicity"].tolist() == [0, 4, 2]
    assert faces.table["gender"].tolist() == [0, 1, 1]
    assert faces.table["img_name"].tolist() == ["a.jpg", "NA", "a,b.jpg"]
    assert faces.table[["row", "age", "ethnicity", "gender", "img_name"]].dtypes.astype(str).tolist() == [
        *("int64", "int16", "Int8", "Int8", "string")
    ]
    assert faces.bad.empty
    assert list(faces.bad) == ["row", "column", "reason"]


def test_labels_that_a_file_lacks_are_na(tmp_path):
    rows().to_csv(tmp_path / "faces.csv", index=False, columns=["age", "pixels"])
    table = load_faces(tmp_path / "faces.csv").table[["ethnicity", "gender", "img_name"]]
    assert table.isna().all(axis=None)
    assert table.dtypes.astype(str).tolist() == ["Int8", "Int8", "string"]


def test_selected_faces_keep_pictures_and_table_together(write):
    faces = load_faces(write()).select(np.array([True, False, True]))
    np.testing.assert_array_equal(faces.images, IMAGES[[0, 2]])
    assert faces.table["row"].tolist() == [0, 2]
    assert faces.table.index.tolist() == [0, 1]


def test_the_source_names_file_and_content(write):
    path = write()
    content = sha256(path.read_bytes()).hexdigest()
    assert load_faces(path).source == {"name": "faces.csv", "sha256": content, "synthetic": False, "warnings": []}


def test_a_path_may_be_text(write, folder):
    for path in (write(), folder):
        assert load_faces(str(path)).source == load_faces(path).source


def test_a_face_id_is_the_hash_of_its_pixels(write):
    expected = [sha256(image.tobytes()).hexdigest()[:16] for image in IMAGES]
    assert load_faces(write()).table["face_id"].tolist() == expected


def test_the_same_faces_have_the_same_ids_and_parts_whichever_way_they_come_in(tmp_path):
    """With near-duplicates among them, and in the folder in another order."""
    images, table = synthesize_sample(80)
    table["img_name"] = [f"{i:017}.jpg.chip.png" for i in range(len(table))]
    (tmp_path / "folder").mkdir()
    for image, row in zip(images, table.itertuples(), strict=True):
        picture = cv2.imencode(".png", image)[1].tobytes()
        (tmp_path / "folder" / f"{row.age}_{row.gender}_{row.ethnicity}_{row.img_name}").write_bytes(picture)
    table["pixels"] = [" ".join(map(str, image.ravel())) for image in images]
    text = table.to_csv(index=False).encode()
    packed = {"csv": text, "csv.gz": gzip.compress(text), "csv.bz2": bz2.compress(text), "csv.xz": lzma.compress(text)}
    for ending, content in (packed | {"zip": zipped({"faces.csv": text})}).items():
        (tmp_path / f"faces.{ending}").write_bytes(content)
    expected = None
    for source in ("faces.csv", "faces.csv.gz", "faces.csv.bz2", "faces.csv.xz", "faces.zip", "folder"):
        faces = load_faces(source)
        clusters = cluster_near_duplicates(faces.images)
        found = faces.table.assign(part=assign_parts(faces.table["face_id"], clusters)).drop(columns="row")
        found = found.sort_values("img_name", ignore_index=True)
        expected = found if expected is None else expected
        pd.testing.assert_frame_equal(found, expected)
    assert expected["part"].nunique() == 3
    assert clusters.max() < len(images) - 1


def test_the_first_bad_row_is_refused_with_the_remedy(write):
    path = write(1, "age", "200")
    with pytest.raises(ValueError, match="data row 1") as info:
        load_faces(path)
    what = "data row 1 (the first is 0), column age: found '200' in line 3, expected whole numbers 0–120"
    assert str(info.value) == f"{path}: {what}; correct or remove that row, or read the file with on_bad_rows='drop'"


def test_a_refusal_says_how_many_rows_are_bad(tmp_path):
    path = write_csv(tmp_path / "faces.csv", {(2, "age"): "", (0, "pixels"): "1 2 3"})
    with pytest.raises(
        ValueError, match=r"data row 0 .*column pixels: .*separated by spaces \(the first of 2 bad rows\);"
    ):
        load_faces(path)


def test_bad_rows_are_dropped_on_request_and_listed(tmp_path):
    """The one found last, by its pixels, stands before the one found first, by its age."""
    path = write_csv(tmp_path / "faces.csv", {(0, "pixels"): "1 2 3", (2, "age"): "200"})
    faces = load_faces(path, on_bad_rows="drop")
    np.testing.assert_array_equal(faces.images, IMAGES[1:2])
    assert faces.table["row"].tolist() == [1]
    assert faces.bad.to_dict("list") == {
        "row": [0, 2],
        "column": ["pixels", "age"],
        "reason": [
            "found 3 numbers in line 2, expected 2,304 whole numbers 0–255 separated by spaces",
            "found '200' in line 4, expected whole numbers 0–120",
        ],
    }


def test_a_file_without_bad_rows_is_the_same_either_way(write):
    strict, dropped = load_faces(write()), load_faces(write(), on_bad_rows="drop")
    pd.testing.assert_frame_equal(strict.table, dropped.table)
    pd.testing.assert_frame_equal(strict.bad, dropped.bad)


@pytest.mark.parametrize("on_bad_rows", ["raise", "drop"])
@pytest.mark.parametrize("cached", [False, True])
def test_a_file_without_a_good_row_is_refused(tmp_path, on_bad_rows, cached):
    path = write_csv(tmp_path / "faces.csv", {(row, "age"): "old" for row in range(3)})
    for _ in range(1 + cached):
        with pytest.raises(
            ValueError, match=r"data row 0 .*'old'.*\(the first of 3 bad rows\); no row is good: see data"
        ):
            load_faces(path, cached, on_bad_rows)


@pytest.mark.parametrize("on_bad_rows", ["raise", "drop"])
def test_a_broken_file_is_refused_either_way(write, on_bad_rows):
    path = write()
    path.write_bytes(gzip.compress(path.read_bytes())[:3000])
    with pytest.raises(ValueError, match=r"faces\.csv: not a whole CSV or Parquet file .*; get the file again"):
        load_faces(path, on_bad_rows=on_bad_rows)


def test_another_value_of_on_bad_rows_is_refused(write):
    with pytest.raises(ValueError, match="on_bad_rows is 'raise' or 'drop', not 'ignore'"):
        load_faces(write(), on_bad_rows="ignore")


@pytest.mark.parametrize("on_bad_rows", ["raise", "drop"])
def test_bad_pictures_of_a_folder_are_always_dropped_and_listed(folder, on_bad_rows):
    faces = load_faces(folder, on_bad_rows=on_bad_rows)
    np.testing.assert_array_equal(faces.images, IMAGES)
    assert faces.table["row"].tolist() == [0, 1, 3]
    assert faces.bad[["row", "column"]].to_dict("list") == {"row": [2], "column": ["img_name"]}
    assert faces.source["name"] == "pictures"
    assert faces.source["synthetic"] is False


def test_a_folder_without_a_good_picture_is_refused(folder):
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"pictures: data row 0 .*no whole picture.*the first of 4 .*; no row is good"):
        load_faces(folder)


def test_a_folder_comes_from_the_cache_until_a_picture_changes(folder, cache, monkeypatch):
    first = load_faces(folder)
    with monkeypatch.context() as patched:
        patched.setattr(reading, "read_folder", None)
        second = load_faces(folder)
    np.testing.assert_array_equal(second.images, first.images)
    pd.testing.assert_frame_equal(second.table, first.table)
    pd.testing.assert_frame_equal(second.bad, first.bad)
    assert second.source == first.source
    (folder / "3_1_2_a.png").rename(folder / "4_1_2_a.png")
    third = load_faces(folder)
    assert third.table["age"].tolist() == [0, 1, 4]
    assert third.source["sha256"] != first.source["sha256"]


def test_a_path_where_there_is_nothing_is_named_with_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv: no such file or folder; give a CSV file or a folder"):
        load_faces(tmp_path / "nowhere.csv")


def test_a_second_load_reads_the_cache_and_gives_the_same(write, cache, monkeypatch):
    path = write(1, "gender", "")
    first = load_faces(path)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(reading, "read_csv", None)
    second = load_faces(path)
    np.testing.assert_array_equal(second.images, first.images)
    pd.testing.assert_frame_equal(second.table, first.table)
    pd.testing.assert_frame_equal(second.bad, first.bad)
    assert second.source == first.source


def test_the_cache_knows_the_bad_rows_and_the_path_that_is_asked_for(write, cache, monkeypatch):
    path = write(1, "age", "old")
    dropped = load_faces(path, on_bad_rows="drop")
    moved = path.rename(path.with_name("moved.csv"))
    monkeypatch.setattr(reading, "read_csv", None)
    pd.testing.assert_frame_equal(load_faces(moved, on_bad_rows="drop").bad, dropped.bad)
    with pytest.raises(ValueError, match=r"moved\.csv: data row 1 .*'old'"):
        load_faces(moved)
    assert len(list(cache.iterdir())) == 1


def test_without_cache_nothing_is_written(write, cache):
    load_faces(write(), cache=False)
    assert not cache.exists()


def test_a_changed_file_is_read_anew(write):
    path = write()
    load_faces(path)
    path.write_text(path.read_text().replace("\n25,", "\n26,"))
    assert load_faces(path).table["age"].tolist() == [0, 26, 120]


@pytest.mark.parametrize("damage", ["cut off", "garbage", "empty", "one byte", "a folder"])
def test_a_damaged_cache_is_rebuilt_in_silence(write, cache, damage):
    path = write()
    load_faces(path)
    (cached,) = cache.iterdir()
    whole = cached.read_bytes()
    middle = whole.index(IMAGES[1].tobytes())
    cached.unlink()
    if damage == "a folder":
        cached.mkdir()
    else:
        one_byte = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        cached.write_bytes(
            {"cut off": whole[:3000], "garbage": b"?" * 5000, "empty": b"", "one byte": one_byte}[damage]
        )
    np.testing.assert_array_equal(load_faces(path).images, IMAGES)
    if damage != "a folder":
        assert cached.read_bytes()[middle : middle + 2304] == IMAGES[1].tobytes()


def test_a_cache_that_cannot_be_written_is_no_error(write, cache):
    cache.parent.write_text("a file where the folder should be")
    np.testing.assert_array_equal(load_faces(write()).images, IMAGES)


def test_loads_at_the_same_time_do_not_disturb_each_other(write, cache):
    path = write()
    with ThreadPoolExecutor(8) as pool:
        for faces in pool.map(load_faces, [path] * 32):
            np.testing.assert_array_equal(faces.images, IMAGES)
    assert [file.suffix for file in cache.iterdir()] == [".parquet"]


def test_the_sample_is_marked_as_synthetic():
    faces = load_faces("sample")
    assert faces.images.shape == (600, 48, 48)
    assert faces.source["name"] == "sample"
    assert faces.source["synthetic"] is True
    assert faces.source == load_faces("sample").source
    assert describe(faces).startswith("SYNTHETIC sample: 600 synthetic faces")
    assert list(faces.table) == ["row", "face_id", "age", "ethnicity", "gender", "img_name"]
    assert faces.table["row"].tolist() == list(range(600))
    assert faces.bad.empty


def test_a_description_says_how_many_faces_there_are_and_how_many_rows_were_left_out(write, folder):
    path = write()
    content = sha256(path.read_bytes()).hexdigest()[:12]
    assert describe(load_faces(path)) == f"faces.csv: 3 faces, SHA-256 {content}…"
    faces = load_faces(write(1, "age", "old"), on_bad_rows="drop")
    assert describe(faces).startswith("faces.csv: 2 faces (bad rows left out: 1), SHA-256 ")
    assert describe(load_faces(folder)).startswith("pictures: 3 faces (bad rows left out: 1), SHA-256 ")


def test_auto_is_the_environment_then_the_data_folder_then_the_sample(tmp_path, monkeypatch):
    assert find_source() == "sample"
    (tmp_path / "data").mkdir()
    for name in ("README.md", ".gitignore", ".gitkeep"):
        (tmp_path / "data" / name).touch()
        assert find_source("auto") == "sample"
    (tmp_path / "data" / "any.csv").touch()
    assert find_source("auto") == tmp_path / "data" / "any.csv"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.csv").touch()
    monkeypatch.setenv("AGECLF_DATA", "other.csv")
    assert find_source("auto") == tmp_path / "other.csv"
    monkeypatch.setenv("AGECLF_DATA", "sample")
    assert find_source("auto") == "sample"


AS_TABLES = ["age_gender.csv", "Age_Gender.CSV", "archive.zip", "age_gender.csv.gz", "x.tsv", "x.parquet", "a/b/x.csv"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        *(([name], name) for name in AS_TABLES),
        (["UTKFace/1_0_0_a.jpg"], "UTKFace"),
        (["UTKFace/part1/1_0_0_a.jpg", "UTKFace/part2/1_0_0_b.jpg"], "UTKFace"),
        (["1_0_0_a.jpg", "licence.txt"], "."),
        (["faces.csv", "licence.txt"], "faces.csv"),
    ],
)
def test_whatever_can_be_read_as_faces_is_taken_from_the_data_folder(tmp_path, files, expected):
    for name in ["README.md", *files]:
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    assert find_source("auto") == tmp_path / "data" / expected
    assert find_source(find_source("auto")) == find_source("auto")


@pytest.mark.parametrize(
    "files", [["archive.zip", "age_gender.csv"], ["UTKFace/1_0_0_a.jpg", "faces.csv"], ["a.csv", "b/c.csv", "d.csv"]]
)
def test_of_several_none_is_taken_and_all_are_named(tmp_path, files):
    for name in files:
        (tmp_path / "data" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "data" / name).touch()
    with pytest.raises(ValueError, match=" can be read as faces; give the path of what you mean") as info:
        find_source("auto")
    for name in {name.split("/1_0")[0] for name in files} - {"b/c.csv"}:  # deeper than the others
        assert str(tmp_path / "data" / name) in str(info.value)


@pytest.mark.parametrize("name", ["faces.rar", "age_gender.xlsx", "age_gender.csv.part", "UTKFace/notes.txt"])
def test_what_cannot_be_read_in_the_data_folder_does_not_give_way_to_the_sample(tmp_path, name):
    (tmp_path / "data" / name).parent.mkdir(parents=True)
    (tmp_path / "data" / name).touch()
    with pytest.raises(ValueError, match=r"/data: nothing in this folder can be read as faces; .* or 'sample'$"):
        find_source("auto")


def test_a_folder_with_the_file_of_faces_stands_for_it_and_pictures_in_a_named_folder_come_first(tmp_path):
    (tmp_path / "kaggle" / "deep").mkdir(parents=True)
    path = write_csv(tmp_path / "kaggle" / "deep" / "faces.csv")
    assert find_source(tmp_path / "kaggle") == path
    assert load_faces(tmp_path / "kaggle").source["name"] == "faces.csv"
    (tmp_path / "kaggle" / "1_0_0_a.jpg").touch()
    assert find_source(tmp_path / "kaggle") == tmp_path / "kaggle"


def test_a_path_is_looked_for_in_the_working_directory_then_in_the_project(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(FileNotFoundError, match=rf"^{tmp_path}/here/mix\.csv or {tmp_path}/mix\.csv: no such file"):
        find_source("mix.csv")
    for folder in (tmp_path, tmp_path / "here"):
        (folder / "mix.csv").touch()
        assert find_source("mix.csv") == folder / "mix.csv"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_what_is_no_regular_file_is_never_waited_for(tmp_path, make):
    make(tmp_path / "faces.csv")
    with pytest.raises((FileNotFoundError, ValueError), match=r"faces\.csv: no"):
        load_faces(tmp_path / "faces.csv")


def test_an_explicit_source_beats_the_environment(tmp_path, monkeypatch):
    (tmp_path / "mine.csv").touch()
    monkeypatch.setenv("AGECLF_DATA", "theirs.csv")
    assert find_source("mine.csv") == tmp_path / "mine.csv"
    assert find_source(tmp_path / "mine.csv") == tmp_path / "mine.csv"
    assert find_source("sample") == "sample"
    with pytest.raises(FileNotFoundError, match="theirs"):
        find_source("auto")


@pytest.mark.parametrize("how", ["written over", "put in its place"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_was_read_is_stored_under_its_own_hash_when_the_source_changes_meanwhile(
    write, folder, tmp_path, monkeypatch, kind, how
):
    """The other faces come after the file was looked for in the cache, and before it is read."""
    path = write() if kind == "file" else folder
    reader = f"read_{'csv' if kind == 'file' else 'folder'}"
    changed = path if kind == "file" else folder / "3_1_2_a.png"
    old = changed.read_bytes()
    new = old.replace(b"\n25,", b"\n26,") if kind == "file" else (folder / "1_1_4_a.png").read_bytes()

    def put(content):
        target = changed if how == "written over" else tmp_path / "other"
        target.write_bytes(content)
        target.replace(changed)

    read = getattr(reading, reader)

    def read_after_a_change(*arguments):
        put(new)
        yield from read(*arguments)
        put(old)

    with monkeypatch.context() as patched:
        patched.setattr(reading, reader, read_after_a_change)
        during = load_faces(path)
    after = load_faces(path)
    put(new)
    again = load_faces(path)
    assert during.source == again.source != after.source
    assert during.table["face_id"].tolist() == again.table["face_id"].tolist()
    assert during.table["age"].tolist() == again.table["age"].tolist()
    assert (during.table != after.table).any(axis=None)


@pytest.mark.parametrize("damage", ["too few images", "short images", "other columns"])
def test_a_cached_table_that_does_not_hold_together_is_written_anew(write, cache, damage):
    path = write()
    load_faces(path)
    (cached,) = cache.iterdir()
    stored = pd.read_parquet(cached)
    if damage == "too few images":
        stored.loc[0, "image"] = None
    elif damage == "short images":
        stored["image"] = [image[:100] for image in stored["image"]]
    else:
        stored = stored.rename(columns={"age": "years"})
    stored.to_parquet(cached)
    np.testing.assert_array_equal(load_faces(path).images, IMAGES)
    assert pd.read_parquet(cached)["image"].str.len().tolist() == [2304] * 3


BLACK = " ".join(["0"] * 2304)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({}, []),
        ({(1, "age"): "5", (2, "age"): "3"}, ["all ages are below 10: are they years, or numbers of classes?"]),
        (
            {(row, "pixels"): " ".join(map(str, np.arange(2304) % 2)) for row in range(3)},
            ["100% of the pictures are almost black: are their grey values 0–255, not 0–1?"],
        ),
        (
            {(0, "pixels"): BLACK},
            [
                "33% of the pictures are almost black: are their grey values 0–255, not 0–1?",
                "33% of the pictures have a single grey value: look at a few of them",
            ],
        ),
        (
            {(0, "pixels"): BLACK.replace("0", "128")},
            ["33% of the pictures have a single grey value: look at a few of them"],
        ),
    ],
    ids=["as usual", "numbers of classes", "divided by 255", "black", "grey"],
)
def test_what_can_hardly_be_meant_is_read_with_a_warning(tmp_path, cells, expected):
    path = write_csv(tmp_path / "faces.csv", cells)
    for _ in range(2):  # the second time from the cache
        faces = load_faces(path)
        assert faces.source["warnings"] == expected
        assert describe(faces).split("\n")[1:] == [f"warning: {sentence}" for sentence in expected]


def test_the_name_of_a_source_can_be_written_anywhere(write, tmp_path):
    path = write().rename(tmp_path / os.fsdecode(b"Gr\xfc\xdfe\x1b.csv"))
    assert load_faces(path).source["name"] == r"Gr\udcfc\udcdfe\x1b.csv"


# Random damage; the same on every machine, so that a failure can be repeated.

CHANCE = settings(derandomize=True, deadline=None, database=None, max_examples=200)
VALID = rows().to_csv(index=False).encode()
PACK = {
    "plain": lambda content: content,
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda content: zipped({"faces.csv": content}),
}
PACKED = {kind: pack(VALID) for kind, pack in PACK.items()}
TOKENS = [
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"0",
    b"256",
    b"-",
    b".",
    b"\t",
    b"\xff",
    "é".encode(),
    b'""',
    b"1,2\n",
]
START = st.integers(0, 80)  # the header and the first row's labels, where most can go wrong
EDITS = st.lists(
    st.tuples(START | st.integers(0, len(VALID)), st.integers(0, 60), st.sampled_from(TOKENS) | st.binary(max_size=9)),
    min_size=1,
    max_size=4,
)


def edited(content, edits, cut=None):
    """Replace stretches of the content, each given by its place, its length and the replacement."""
    for place, length, new in edits:
        content = content[:place] + new + content[place + length :]
    return content[:cut]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Load a content and return faces that hold together, or the text of one clear refusal."""
    path = tmp_path_factory.mktemp("chance") / "faces.csv"

    def load(content, on_bad_rows="drop"):
        path.write_bytes(content)
        refusal = None
        try:
            images, table, bad, _ = load_faces(path, cache=False, on_bad_rows=on_bad_rows)
        except ValueError as error:
            refusal = error
        if refusal:
            assert type(refusal) is ValueError
            assert re.fullmatch(f"{re.escape(str(path))}: .{{20,600}}; .{{20,200}}", str(refusal))
            return str(refusal)
        assert images.shape == (len(table), 48, 48)
        assert images.dtype == np.uint8
        assert len(table) > 0
        assert table["age"].between(0, 120).all()
        assert table["ethnicity"].dropna().between(0, 4).all()
        assert table["gender"].dropna().between(0, 1).all()
        assert table["row"].is_monotonic_increasing
        assert bad["row"].is_monotonic_increasing
        assert sorted([*table["row"], *bad["row"]]) == list(range(len(table) + len(bad)))
        assert bad["reason"].str.len().between(20, 200).all()
        assert on_bad_rows == "drop" or bad.empty
        return images, table, bad

    return load


@CHANCE
@given(start=st.sampled_from([b"", b"age,pixels\n", *(packed[:9] for packed in PACKED.values())]), rest=st.binary())
def test_any_bytes_are_refused_with_one_clear_error(outcome, start, rest):
    assert isinstance(outcome(start + rest), str)


@CHANCE
@given(st.sampled_from(sorted(PACK)), EDITS, st.none() | st.integers(0, len(VALID)))
def test_an_edited_file_gives_sound_faces_or_one_clear_error_packed_or_not(outcome, kind, edits, cut):
    content = PACK[kind](edited(VALID, edits, cut))
    dropped, refused = outcome(content), outcome(content, "raise")
    if isinstance(dropped, str) or len(dropped[2]):
        assert isinstance(refused, str)
    else:
        np.testing.assert_array_equal(refused[0], dropped[0])


@CHANCE
@given(st.sampled_from(["gzip", "bz2", "xz", "zip"]), EDITS, st.none() | st.integers(0, len(VALID)))
def test_an_edited_archive_gives_the_original_faces_or_one_clear_error(outcome, kind, edits, cut):
    found = outcome(edited(PACKED[kind], edits, cut))
    if not isinstance(found, str):
        np.testing.assert_array_equal(found[0], IMAGES)
        assert found[1]["age"].tolist() == [0, 25, 120]


NO_NUMBER = st.text(st.characters(codec="utf-8", categories=["L", "P", "S", "Z", "C"]), min_size=1).filter(str.strip)
BAD_CELLS = {
    "age": st.sampled_from(["", "-1", "121", "25.5", "1e1", "0x1", "1_0", "25\0", "+5"]) | NO_NUMBER,
    "ethnicity": st.sampled_from(["-1", "5", "256", "0.5"]) | NO_NUMBER,
    "gender": st.sampled_from(["-1", "2", "257", "0.5"]) | NO_NUMBER,
    "pixels": st.sampled_from(["", "0", "256 " * 2304, rows()["pixels"][0] + " 0", rows()["pixels"][0][:-4]])
    | NO_NUMBER,
}
BAD_CELL = st.one_of(st.tuples(st.just(column), texts) for column, texts in BAD_CELLS.items())


@CHANCE
@given(st.dictionaries(st.integers(0, 8), BAD_CELL, max_size=6))
def test_bad_rows_do_no_harm_to_good_ones(outcome, cells):
    table = pd.concat([rows()] * 3, ignore_index=True)
    for row, (column, text) in cells.items():
        table.loc[row, column] = text
    images, found, bad = outcome(table.to_csv(index=False, quoting=csv.QUOTE_ALL).encode())
    assert dict(zip(bad["row"], bad["column"], strict=True)) == {row: column for row, (column, _) in cells.items()}
    good = [row for row in range(9) if row not in cells]
    assert found["row"].tolist() == good
    np.testing.assert_array_equal(images, IMAGES[np.array(good) % 3])
