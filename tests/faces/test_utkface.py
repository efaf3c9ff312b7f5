"""A folder of UTKFace pictures: names hold the labels, pictures are reduced to those of the CSV file."""

import os
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
from _synthetic_faces import synthesize_sample
from face_files import collected

from ageclf.faces.utkface import folder_sha256, read_folder

NAME = "26_1_2_20170116184134921.jpg.chip.jpg"


@pytest.fixture(scope="module")
def faces():
    return synthesize_sample(8)[0]


@pytest.fixture(scope="module")
def picture(faces):
    """A face in colour, uint8 (200, 200, 3), as UTKFace has them."""
    large = [cv2.resize(face, (200, 200), interpolation=cv2.INTER_CUBIC) for face in faces[:3]]
    return np.stack(large, axis=2)


def read(folder):
    return collected(read_folder(folder, sha256()))


def save(path, picture, ending=None, size=None):
    """Write a picture in the format of its name, or another; as much of it as asked for."""
    path.write_bytes(cv2.imencode(ending or path.suffix, picture)[1].tobytes()[:size])
    return path


def assert_bad(folder, column, reason):
    """One picture is bad, with this reason, and the good one beside it is read."""
    images, table, bad = read(folder)
    assert list(bad.values()) == [(column, reason)]
    assert len(images) == len(table) == 1


def test_a_name_is_age_gender_race_and_the_name_of_the_csv_file(tmp_path, picture):
    save(tmp_path / NAME, picture)
    images, table, bad = read(tmp_path)
    assert images.shape == (1, 48, 48)
    assert images.dtype == np.uint8
    assert table.to_dict("records") == [
        {"row": 0, "age": 26, "ethnicity": 2, "gender": 1, "img_name": "20170116184134921.jpg.chip.jpg"}
    ]
    assert bad == {}


def test_a_path_may_be_text(tmp_path, picture):
    save(tmp_path / NAME, picture)
    assert len(list(read_folder(str(tmp_path), sha256()))) == 1
    assert folder_sha256(str(tmp_path)) == folder_sha256(tmp_path)


def test_any_age_from_0_to_120_is_read(tmp_path, faces):
    for age in range(121):
        save(tmp_path / f"{age}_0_0_a.png", faces[0])
    assert sorted(read(tmp_path)[1]["age"]) == list(range(121))


def test_colours_become_grey_by_their_brightness_and_pixels_are_interpolated(tmp_path, picture):
    save(tmp_path / "1_0_0_a.png", picture)
    grey = picture @ [0.114, 0.587, 0.299]  # blue, green, red
    at = (np.arange(48) + 0.5) * 200 / 48 - 0.5
    first, fraction = at.astype(int), at % 1
    for axis in (0, 1):
        part = fraction[:, None] if axis == 0 else fraction
        grey = np.take(grey, first, axis) * (1 - part) + np.take(grey, first + 1, axis) * part
    np.testing.assert_allclose(read(tmp_path)[0][0], grey, atol=1.5)


def test_the_usual_ending_is_that_of_jpeg(tmp_path, picture):
    save(tmp_path / "1_0_0_a.png", picture)
    save(tmp_path / "1_0_0_b.JPG", picture, ".jpg")
    save(tmp_path / "1_0_0_c.jpeg", picture)
    exact, *jpegs = read(tmp_path)[0].astype(int)
    assert [np.abs(jpeg - exact).mean() < 3 for jpeg in jpegs] == [True, True]


def test_grey_pictures_of_the_right_size_arrive_unchanged(tmp_path, faces):
    for i, face in enumerate(faces):
        save(tmp_path / f"{i}_0_0_a.png", face)
    np.testing.assert_array_equal(read(tmp_path)[0], faces)


def test_rows_are_all_pictures_by_name_and_nothing_else(tmp_path, faces):
    for name in ("9_0_0_a.png", "10_0_0_a.png", "1_0_0_b.png", "1_0_0_a.png"):
        save(tmp_path / name, faces[int(name.split("_")[0]) % 8])
    (tmp_path / "10_0_bad.png").touch()
    (tmp_path / "2_0_0_empty.png").touch()
    for name in ("labels.csv", "._1_0_0_a.png", "Thumbs.db", "3_0_0_a.txt", "0"):
        (tmp_path / name).touch()
    (tmp_path / "1_0_0_folder.png").mkdir()
    (tmp_path / "4_0_0_gone.png").symlink_to(tmp_path / "nowhere.png")
    images, table, bad = read(tmp_path)
    assert table["row"].tolist() == [0, 2, 3, 5]
    assert table["img_name"].tolist() == ["a.png", "a.png", "b.png", "a.png"]
    assert table["age"].tolist() == [10, 1, 1, 9]
    np.testing.assert_array_equal(images, faces[[2, 1, 1, 1]])
    assert {row: column for row, (column, _) in bad.items()} == {1: "img_name", 4: "pixels"}


@pytest.mark.parametrize(
    "name",
    [
        *("39_1_20170116174525125.jpg.chip.jpg", "61_3_20170109150557335.jpg.chip.jpg", "55_0_0.jpg", "_1_0_a.jpg"),
        *("121_0_0_a.jpg", "1000_0_0_a.jpg", "-1_0_0_a.jpg", "2.5_0_0_a.jpg", "1_2_0_a.jpg", "1_0_5_a.jpg", "x.jpg"),
        *("1_0_0_\udcff.jpg", "٣_0_0_a.jpg", " 1_0_0_a.jpg"),
    ],
)
def test_a_picture_with_another_name_is_left_out_and_listed(tmp_path, picture, name):
    save(tmp_path / NAME, picture)
    save(tmp_path / name, picture)
    expected = "expected age_gender_race_date, ages 0–120, gender 0–1, race 0–4"
    assert_bad(tmp_path, "img_name", f"found {name!r}, {expected}")


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.99])
def test_a_picture_that_is_cut_off_is_left_out_and_listed(tmp_path, picture, ending, part):
    save(tmp_path / NAME, picture)
    size = save(tmp_path / f"1_0_0_a{ending}", picture).stat().st_size
    save(tmp_path / f"1_0_0_a{ending}", picture, size=int(part * size))
    assert_bad(
        tmp_path, "pixels", f"found no whole picture in '1_0_0_a{ending}', expected a square face of 48×48 or more"
    )


@pytest.mark.parametrize(("missing", "images"), [(1, 1), (2, 1), (3, 0), (9, 0)])
def test_a_jpeg_that_lacks_only_its_end_is_read(tmp_path, picture, missing, images):
    path = save(tmp_path / "1_0_0_a.jpg", picture)
    whole = read(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-missing])
    found, _, bad = read(tmp_path)
    assert (len(found), len(bad)) == (images, 1 - images)
    assert np.array_equal(found, whole) == bool(images)


@pytest.mark.parametrize("place", ["{}", "part{}", "UTKFace/part{}"])
def test_pictures_of_subfolders_are_read_together_where_there_are_none_above(tmp_path, faces, place):
    for number in range(1, 4):
        folder = tmp_path / place.format(number)
        folder.mkdir(parents=True)
        save(folder / f"{number}_0_0_a.png", faces[number])
    before = folder_sha256(tmp_path)
    images, table, _ = read(tmp_path)
    assert table["age"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(images, faces[1:4])
    save(folder / "3_0_0_a.png", faces[0])
    assert folder_sha256(tmp_path) != before
    save(tmp_path / "9_0_0_a.png", faces[0])
    assert read(tmp_path)[1]["age"].tolist() == [9]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, faces, make):
    save(tmp_path / "1_0_0_a.png", faces[0])
    make(tmp_path / "2_0_0_a.png")
    assert len(read(tmp_path)[0]) == 1
    assert len(folder_sha256(tmp_path)) == 64


def test_what_is_read_has_the_hash_of_the_folder(tmp_path, faces):
    for number in range(3):
        save(tmp_path / f"{number}_0_0_a.png", faces[number])
    digest = sha256()
    list(read_folder(tmp_path, digest))
    assert digest.hexdigest() == folder_sha256(tmp_path)


@pytest.mark.parametrize(("wide", "high"), [(200, 150), (199, 200), (47, 47), (1, 1)])
def test_a_picture_that_is_not_square_or_too_small_is_left_out_and_listed(tmp_path, picture, wide, high):
    save(tmp_path / NAME, picture)
    save(tmp_path / "1_0_0_a.png", picture[:high, :wide])
    found = f"found {wide}×{high} pixels in '1_0_0_a.png'"
    assert_bad(tmp_path, "pixels", f"{found}, expected a square face of 48×48 or more")


@pytest.mark.parametrize("names", [[], ["x.jpg", "39_1_20170116174525125.jpg"], ["a/b/c/1_0_0_a.jpg"]])
def test_a_folder_without_a_usable_name_is_refused_with_the_remedy(tmp_path, picture, names):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    for name in names:
        save(tmp_path / name, picture)
    count = sum("/" not in name for name in names)
    what = f"none of the {count} pictures in this folder is named like 26_1_2_20170116184134921.jpg"
    with pytest.raises(ValueError, match=f"{what} .*; name the folder that holds the pictures themselves") as info:
        read(tmp_path)
    assert str(info.value).startswith(f"{tmp_path}: ")


def test_the_hash_follows_names_and_contents_in_whatever_order_they_are_listed(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("1_0_0_a.jpg", "2_0_0_b.jpg", "x.jpg", "notes.txt")]
    for path in paths:
        path.write_text(path.name)
    before = folder_sha256(tmp_path)
    with monkeypatch.context() as patched:
        for listing in (paths, paths[::-1]):
            patched.setattr(Path, "iterdir", lambda folder, listing=listing: iter(listing))
            assert folder_sha256(tmp_path) == before
    paths[3].write_text("no picture")
    assert folder_sha256(tmp_path) == before
    paths[2].write_text("changed")
    changed = folder_sha256(tmp_path)
    paths[2].rename(tmp_path / "y.jpg")
    assert len({before, changed, folder_sha256(tmp_path)}) == 3
    assert len(before) == 64


def test_the_hash_changes_when_two_pictures_swap_their_names(tmp_path):
    (tmp_path / "1_0_0_a.jpg").write_text("one")
    (tmp_path / "2_0_0_a.jpg").write_text("two")
    before = folder_sha256(tmp_path)
    (tmp_path / "1_0_0_a.jpg").write_text("two")
    (tmp_path / "2_0_0_a.jpg").write_text("one")
    assert folder_sha256(tmp_path) != before
