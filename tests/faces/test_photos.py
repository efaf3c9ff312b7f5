"""Photos are read upright, and faces cropped as in UTKFace; photos without a face are reported, others still read."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image, ImageFilter
from PIL.PngImagePlugin import PngInfo
from skimage import data

import ageclf
from ageclf.faces import photos
from ageclf.faces.reading import load_faces
from ageclf.faces.utkface import shrink

BACK = {  # how a picture lies in a file whose EXIF orientation is this number
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


def animated(picture: Image.Image, path: Path) -> None:
    picture.save(path, save_all=True, append_images=[picture.rotate(5)])


# Reading


@pytest.mark.parametrize("orientation", BACK)
def test_a_photo_is_seen_upright_whatever_its_orientation(astronaut, tmp_path, orientation):
    exif, way = Image.Exif(), BACK[orientation]
    exif[0x0112] = orientation
    (astronaut if way is None else astronaut.transpose(way)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(photos.read_photo(str(tmp_path / "a.png"))[0], np.asarray(astronaut))


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "webp", "heic"])
def test_every_format_is_read(astronaut, tmp_path, ending):
    path = tmp_path / f"ein Foto.{ending}"
    astronaut.save(path)
    assert photos.list_photos([str(tmp_path)]) == [path]
    difference = np.abs(photos.read_photo(path)[0].astype(int) - np.asarray(astronaut))
    assert difference.mean() < 4


def test_other_kinds_of_colour_are_read(astronaut, tmp_path):
    grey = np.asarray(astronaut.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    np.testing.assert_array_equal(photos.read_photo(tmp_path / "sixteen.png")[0][..., 0], grey)
    astronaut.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(photos.read_photo(tmp_path / "cmyk.jpg")[0].astype(int) - np.asarray(astronaut)).mean() < 8
    astronaut.quantize(64).save(tmp_path / "palette.png", transparency=0)
    assert photos.read_photo(tmp_path / "palette.png")[0].shape == (512, 512, 3)
    clear = astronaut.convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    assert photos.read_photo(tmp_path / "clear.png")[0].min() == 255, "white, as on paper"


def write_odd_files(folder: Path, astronaut: Image.Image) -> dict[str, str]:
    """Write files without a face; return the beginning of the reason for each."""
    whole = folder / "astronaut.jpg"
    astronaut.save(whole)
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:9000])
    whole.unlink()
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    animated(astronaut, folder / "moving.gif")
    animated(astronaut, folder / "moving.webp")
    Image.new("1", (10_000, 9_000)).save(folder / "ninety.png")
    Image.new("1", (18_000, 10_000)).save(folder / "bomb.png")  # more than twice what Pillow itself warns of
    Image.new("RGB", (300, 200), (20, 120, 30)).save(folder / "green.png")
    (folder / "dangling.png").symlink_to("nowhere.png")
    chatty = PngInfo()
    chatty.add_text("comment", "x" * 2_000_000, zip=True)  # which Pillow refuses with a ValueError of its own
    astronaut.save(folder / "chatty.png", pnginfo=chatty)
    return {
        "bomb.png": "more than 89,478,485 pixels; make it smaller first",
        "chatty.png": "cut short or damaged (Decompressed data too large",
        "cut.jpg": "cut short or damaged",
        "dangling.png": "there is no such file",
        "empty.jpg": "not a picture that can be read; photos are JPEG, PNG, WebP or HEIC",
        "green.png": "no face found",
        "moving.gif": "GIF with 2 pictures; save the one you mean",
        "moving.webp": "WEBP with 2 pictures",
        "ninety.png": "more than 89,478,485 pixels",
        "text.jpg": "not a picture that can be read",
    }


def test_each_odd_file_is_reported_with_its_reason_and_the_rest_is_read(astronaut, tmp_path):
    expected = write_odd_files(tmp_path, astronaut)
    astronaut.save(tmp_path / "z.png")
    table, _, problems = photos.read_faces(photos.list_photos([tmp_path]))
    assert [Path(photo).name for photo in problems["photo"]] == list(expected)
    for reason, beginning in zip(problems["reason"], expected.values(), strict=True):
        assert reason.startswith(beginning)
    assert [Path(photo).name for photo in table["photo"]] == ["z.png"]


def test_heic_is_read_by_its_plugin_and_without_it_the_error_says_what_to_install(astronaut, tmp_path):
    """In processes of their own: whatever else is imported here may register the plugin with Pillow."""
    astronaut.save(tmp_path / "a.heic")
    code = "from ageclf.faces import photos; print(photos.read_photo(sys.argv[1])[0].shape)"
    with_plugin, without = (
        subprocess.run([sys.executable, "-c", start + code, tmp_path / "a.heic"], capture_output=True, text=True)
        for start in ("import sys; ", "import sys; sys.modules['pillow_heif'] = None; ")
    )
    assert with_plugin.stdout == "(512, 512, 3)\n"
    assert "ValueError: not a picture that can be read; pip install pillow-heif" in without.stderr


def test_a_folder_gives_its_pictures_by_name_and_each_once(astronaut, tmp_path):
    for name in ("b.png", "a.jpg", ".hidden.jpg"):
        astronaut.save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.jpg").mkdir()
    names = [path.name for path in photos.list_photos([tmp_path / "b.png", tmp_path])]
    assert names == ["b.png", "a.jpg"]
    assert photos.list_photos([tmp_path / "folder.jpg"]) == [tmp_path / "folder.jpg"]
    with pytest.raises(ValueError, match="no photo lies in this folder"):
        photos.read_photo(tmp_path / "folder.jpg")


def test_a_file_of_another_format_is_not_read_whatever_its_name(astronaut, tmp_path):
    """An EPS would go to Ghostscript."""
    for ending in ("eps", "tiff", "bmp", "ppm"):
        astronaut.save(tmp_path / f"a.{ending}")
        (tmp_path / f"a.{ending}").rename(tmp_path / f"{ending}.jpg")
    _, _, problems = photos.read_faces(photos.list_photos([tmp_path]))
    assert (
        problems["reason"].tolist()
        == ["not a picture that can be read; photos are JPEG, PNG, WebP or HEIC; save it as one of them"] * 4
    )


def test_a_gif_with_one_picture_is_read(astronaut, tmp_path):
    astronaut.save(tmp_path / "a.gif")
    assert photos.read_photo(tmp_path / "a.gif")[0].shape == (512, 512, 3)


NO_FILES = {
    "pipe.jpg": os.mkfifo,
    "device.jpg": lambda path: path.symlink_to("/dev/zero"),
    "socket.jpg": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
}
EXIF = {  # damaged in ways that Pillow finds only when it is read
    "no header": b"Exif\0\0XXXX" + bytes(40),
    "cut off": b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01",
    "outside": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\x7f\xff\xff\xff\xff\xff\xff\xf0\0\0\0\0",
}


def test_whatever_is_wrong_with_one_photo_costs_no_other(astronaut, tmp_path, monkeypatch):
    astronaut.save(tmp_path / "a.png")
    (tmp_path / os.fsdecode(b"Gr\xfc\xdfe.png")).write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "\x1b[31mred\x1b]0;title\x07.png").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "\x1b[2Jempty.png").touch()
    for size in ((2400, 1), (1, 2400), (1, 1)):
        Image.new("L", size).save(tmp_path / "line{}x{}.png".format(*size))
    for name, make in NO_FILES.items():
        make(tmp_path / name)
    listed = photos.list_photos([tmp_path, "x" * 300, tmp_path / "a.png/b.png"])
    table, crops, problems = photos.read_faces(listed)
    names = [r"\x1b[31mred\x1b]0;title\x07.png", r"Gr\udcfc\udcdfe.png", "a.png"]
    assert sorted(Path(photo).name for photo in table["photo"]) == sorted(names)
    assert len(crops) == 3
    reasons = {Path(photo).name[:9]: reason for photo, reason in problems.itertuples(index=False)}
    assert len(reasons) == 9
    assert {reasons[name] for name in ("line2400x", "line1x240", "line1x1.p")} == {
        "no face found; it must be seen from the front, and not too small or dark"
    }
    assert {reasons[name[:9]] for name in NO_FILES} == {"this is no regular file; look at its name"}
    assert reasons["b.png"] == "there is no such file; look at its name"
    assert "File name too long" in reasons["x" * 9]
    assert all(text.isprintable() for text in problems.to_numpy().ravel())
    table.to_csv(tmp_path / "photos.csv", index=False)


@pytest.mark.parametrize("side", [200, 48, 640])
def test_a_cropped_face_is_taken_whole_with_the_grey_values_of_utkfaces_folder(astronaut, tmp_path, side):
    face = astronaut.crop((170, 50, 290, 170)).resize((side, side))
    face.save(tmp_path / "26_1_2_20170116184134921.jpg.chip.jpg")
    table, (crop,), problems = photos.read_faces(photos.list_photos([tmp_path]), cropped=True)
    assert problems.empty
    assert table[["face", *photos.BOX, "points", "turn"]].to_numpy().tolist() == [[1, 0, 0, side, side, [], 0]]
    if side == photos.UTKFACE_SIDE:
        np.testing.assert_array_equal(crop, load_faces(tmp_path).images[0])
    expected = np.asarray(face.resize((48, 48), Image.Resampling.BOX).convert("L")).astype(int)
    assert np.abs(crop - expected).mean() < 12
    assert np.abs(crop - expected)[[0, -1]].mean() < 12, "nor does anything come in from outside"


def test_a_picture_that_is_not_square_is_no_cropped_face(astronaut, tmp_path):
    astronaut.crop((0, 0, 300, 200)).save(tmp_path / "a.png")
    _, crops, problems = photos.read_faces([tmp_path / "a.png"], cropped=True)
    assert not len(crops)
    assert problems["reason"].tolist() == ["not square, so no face cropped as in UTKFace; leave --cropped out"]


def test_what_fails_after_reading_is_the_photos_line_too(astronaut, tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        astronaut.save(tmp_path / name)
    crop, calls = photos.crop_face, []

    def fail_once(photo, points):
        calls.append(points)
        if len(calls) == 1:
            raise MemoryError("Unable to allocate\n9 GB")
        return crop(photo, points)

    monkeypatch.setattr(photos, "crop_face", fail_once)
    table, crops, problems = photos.read_faces(photos.list_photos([tmp_path]))
    assert [Path(photo).name for photo in table["photo"]] == ["b.png"]
    assert len(crops) == 1
    assert problems["reason"].tolist() == ["MemoryError: Unable to allocate 9 GB; leave this photo out"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("damage", EXIF)
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_damaged_exif_leaves_the_photo_as_it_lies(astronaut, tmp_path, damage, ending):
    path = tmp_path / f"a.{ending}"
    astronaut.save(path, exif=EXIF[damage])
    photo, reduced = photos.read_photo(path)
    assert np.abs(photo.astype(int) - np.asarray(astronaut)).mean() < 4
    assert reduced == 1


@pytest.mark.parametrize(("missing", "read"), [(1, True), (2, True), (3, False), (20, False), (5000, False)])
def test_a_jpeg_that_lacks_only_its_end_is_read(astronaut, tmp_path, missing, read):
    path = tmp_path / "a.jpg"
    astronaut.save(path)
    whole = photos.read_photo(path)[0]
    path.write_bytes(path.read_bytes()[:-missing])
    if read:
        np.testing.assert_array_equal(photos.read_photo(path)[0], whole)
    else:
        with pytest.raises(ValueError, match="cut short or damaged"):
            photos.read_photo(path)


@pytest.mark.parametrize(("ending", "mode"), [("jpg", "RGB"), ("png", "P"), ("png", "I;16")])
def test_a_large_photo_is_made_smaller_and_its_boxes_are_those_of_the_file(astronaut, tmp_path, ending, mode):
    grey = astronaut.convert("L")
    picture = Image.new("L", (5000, 4500))
    picture.paste(grey.resize((2500, 2500)), (2000, 1500))
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    path = tmp_path / f"a.{ending}"
    (picture if mode == "I;16" else picture.convert(mode)).save(path)
    photo, reduced = photos.read_photo(path)
    assert photo.shape == (3600, 4000, 3)
    assert reduced == 1.25
    ((_, _, left, top, width, _, points, _, _),) = photos.read_faces([path])[0].itertuples(index=False)
    assert 2000 < left < 2000 + 200 * 5
    assert left + width > 2000 + 246 * 4.88
    assert 1500 < top < 1500 + 100 * 5
    assert_where_they_are(np.dot(points, [1, 1j]), EYES_NOSE_MOUTH * 2500 / 512 + 2000 + 1500j, 20)


# Faces

EYES_NOSE_MOUTH = np.array([206 + 101j, 244 + 103j, 225 + 124j, 205 + 140j, 243 + 141j])  # of the astronaut, by eye


def assert_where_they_are(points: np.ndarray, expected: np.ndarray, pixels: float) -> None:
    assert abs(points - expected).max() < pixels, points


def turned(picture: Image.Image, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture turned clockwise around its middle, in a larger grey one of 720 pixels; and where the points are."""
    large = Image.new("RGB", (720, 720), (90, 90, 90))
    large.paste(picture, (104, 104))
    way = np.exp(1j * np.deg2rad(degrees))
    where = (EYES_NOSE_MOUTH + 104 * (1 + 1j) - 360 * (1 + 1j)) * way + 360 * (1 + 1j)
    return np.asarray(large.rotate(-degrees, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))), where


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


@pytest.mark.parametrize("enlarged", [1, 3])
def test_the_face_is_found_where_it_is_also_in_a_large_photo(astronaut, enlarged):
    photo = np.asarray(astronaut.resize((512 * enlarged, 512 * enlarged)))
    boxes, points, turn = photos.find_faces(photo)
    ((left, top, width, height),) = boxes / enlarged
    assert left < 200
    assert left + width > 246
    assert top < 90
    assert 150 < top + height < 180
    assert_where_they_are(points[0] / enlarged, EYES_NOSE_MOUTH, 7)
    assert turn == 0


@pytest.mark.parametrize("degrees", [-45, -30, -15, 15, 30, 45])
def test_a_tilted_face_is_found_and_cropped_upright(astronaut, degrees):
    upright = photos.crop_face(np.asarray(astronaut), photos.find_faces(np.asarray(astronaut))[1][0])[0]
    photo, where = turned(astronaut, degrees)
    _, points, turn = photos.find_faces(photo)
    best = min(points, key=lambda one: abs(one - where).sum())
    assert_where_they_are(best, where, 9)
    assert turn == 0 or abs(degrees) == 45, "half a quarter turn is as near to 0 as to 90 degrees"
    assert correlation(photos.crop_face(photo, best)[0], upright) > 0.9


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_on_its_side_or_head_is_turned_and_said_to_be(astronaut, tmp_path, quarters):
    """As telephones save them without EXIF. Box and points are those of the photo as it lies."""
    for name, turns in {"a.png": 0, "b.png": quarters}.items():
        Image.fromarray(np.rot90(np.asarray(astronaut.crop((0, 0, 512, 400))), turns)).save(tmp_path / name)
    table, (upright, crop), _ = photos.read_faces(photos.list_photos([tmp_path]))
    assert table["turn"].tolist() == [0, 90 * quarters]
    assert correlation(upright, crop) > 0.9
    there = photos.read_photo(tmp_path / "b.png")[0]
    box = table.loc[1, list(photos.BOX)].astype(int)
    middle = np.array(table.loc[1, "points"]).mean(axis=0)
    assert box["x"] < middle[0] < box["x"] + box["width"] <= there.shape[1]
    assert box["y"] < middle[1] < box["y"] + box["height"] <= there.shape[0]


def test_nothing_is_found_in_a_wall_and_a_cat():
    for name in ("brick", "chelsea"):
        picture = Image.fromarray(getattr(data, name)()).convert("RGB")
        assert not len(photos.find_faces(np.asarray(picture))[0]), name


def test_a_face_that_fills_the_picture_is_found(astronaut):
    assert len(photos.find_faces(np.asarray(astronaut)[60:190, 160:290])[0]) == 1


def test_several_faces_are_counted_from_the_left(astronaut):
    two = np.concatenate([np.asarray(astronaut), np.asarray(astronaut)[:, ::-1]], axis=1)
    boxes, points, _ = photos.find_faces(two)
    assert len(boxes) == 2
    assert boxes[0, 0] < 512 < boxes[1, 0]
    assert points[0].real.max() < 512 < points[1].real.min()


def test_a_face_that_lies_as_utkfaces_do_is_cropped_as_it_is():
    """Of 200 pixels, nothing is resized but to 48, as for the pictures of UTKFace themselves."""
    photo = np.random.default_rng(0).integers(0, 256, (300, 340, 3), dtype=np.uint8)
    crop, doubts = photos.crop_face(photo, photos.LANDMARKS + 100 * (1 + 1j) + 40 + 60j)
    np.testing.assert_array_equal(crop, shrink(np.ascontiguousarray(photo[60:260, 40:240, ::-1])))
    assert doubts == ""


@pytest.mark.parametrize("size", [0.5, 2, 5, 9.5])
@pytest.mark.parametrize("degrees", [0, 33, 180])
def test_faces_of_all_sizes_and_tilts_give_the_same_crop(astronaut, size, degrees):
    """Large ones are averaged: pixels left out would be noise."""
    face = astronaut.crop((126, 21, 326, 221))
    expected = shrink(np.asarray(face)[..., ::-1])
    large = Image.new("RGB", (300, 300))
    large.paste(face, (50, 50))
    large = large.rotate(-degrees, Image.Resampling.BICUBIC)
    photo = np.asarray(large.resize([round(300 * size)] * 2, Image.Resampling.BICUBIC))
    half, way = 0.5 * (1 + 1j), np.exp(1j * np.deg2rad(degrees))  # coordinates are those of the middles of pixels
    points = ((photos.LANDMARKS + half) * way + 150 * (1 + 1j)) * size - half
    crop, _ = photos.crop_face(photo, points)
    assert correlation(crop, expected) > (0.99 if size < 1 else 0.995)


def test_points_that_err_as_the_detectors_do_neither_shrink_nor_shift_the_face():
    """By 3 pixels in 200: the median of its errors on UTKFace's crops."""
    rng = np.random.default_rng(0)
    true = photos.LANDMARKS.mean() + (photos.LANDMARKS - photos.LANDMARKS.mean()) / 1.03
    noise = 5 * (rng.normal(size=(4000, 5)) + 1j * rng.normal(size=(4000, 5)))
    found = [photos._similarity(true * 2 + 30 + 2 * one) for one in noise]
    assert np.median([abs(a) for a, _ in found]) == pytest.approx(0.5, rel=0.02)
    assert np.median([np.angle(a) for a, _ in found]) == pytest.approx(0, abs=0.005)
    assert np.median([b.real for _, b in found]) == pytest.approx(-15, abs=0.5)


def test_what_lies_outside_the_photo_is_black():
    white = np.full((100, 100, 3), 255, np.uint8)
    crop, _ = photos.crop_face(white, photos.LANDMARKS)
    assert crop[:23].max() == crop[:, :23].max() == 0
    assert crop[25:, 25:].min() == 255
    assert photos.crop_face(white, photos.LANDMARKS + 900)[0].max() == 0


@pytest.mark.parametrize(
    ("change", "doubts"),
    [
        (lambda face: face, ""),
        (lambda face: face.resize((60, 60)), ""),
        (lambda face: face.resize((30, 30)), "small"),
        (lambda face: face.filter(ImageFilter.GaussianBlur(6)), "blurred"),
        (lambda face: face.point(lambda grey: grey // 5), "dark"),
        (lambda face: face.resize((30, 30)).point(lambda grey: grey // 5), "small, dark"),
    ],
)
def test_a_face_whose_like_the_network_has_hardly_seen_is_marked(astronaut, change, doubts):
    face = change(astronaut.crop((126, 21, 326, 221)))
    assert photos.crop_face(np.asarray(face))[1] == doubts
    half = len(np.asarray(face)) / 200
    assert photos.crop_face(np.asarray(face), photos.LANDMARKS * half + 100 * half * (1 + 1j))[1] == doubts


@pytest.mark.parametrize(
    ("start", "remedy"),
    [
        ("import os; os.environ['KERAS_BACKEND'] = 'jax'", "leave KERAS_BACKEND unset"),
        ("import sys; sys.modules['tensorflow'] = None", "pip install tensorflow"),
        ("import sys; sys.modules['mtcnn'] = sys.modules['tensorflow'] = None", "pip install mtcnn tensorflow"),
    ],
)
def test_without_tensorflow_one_line_says_what_to_do_and_crops_are_still_taken(astronaut, tmp_path, start, remedy):
    astronaut.crop((126, 21, 326, 221)).save(tmp_path / "a.png")
    code = f"{start}\nfrom ageclf.faces.photos import read_faces\nprint(len(read_faces(['a.png'], cropped=True)[1]))\n"
    line = [sys.executable, "-c", f"{code}read_faces(['a.png'])"]
    environment = os.environ | {"PYTHONPATH": str(ageclf.CHECKOUT)}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "1\n"
    expected = f"ValueError: TensorFlow finds the faces in photos: {remedy}; or crop them yourself, and add --cropped"
    assert done.stderr.splitlines()[-1] == expected


def test_the_detector_is_read_without_a_traceback():
    code = "from ageclf.faces import photos; photos._detector()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


def test_weights_of_the_detector_are_never_read_from_the_working_directory(tmp_path, monkeypatch):
    """They are pickles, which can run anything, and a folder of photos may come from anybody."""
    for name in ("pnet", "rnet", "onet"):
        (tmp_path / f"{name}.lz4").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    monkeypatch.chdir(tmp_path)
    photos._detector.cache_clear()
    photos._detector()
    assert not (tmp_path / "ran").exists()
    joblib.load("pnet.lz4")
    assert (tmp_path / "ran").exists(), "what reading one by its name would do"


def test_all_faces_of_all_photos_are_numbered_and_cropped(astronaut, tmp_path):
    face = np.asarray(astronaut)[40:200, 140:300]
    for number in range(3):
        Image.fromarray(np.tile(face, (2, 2 + number, 1))).save(tmp_path / f"{number}.png")
    table, crops, problems = photos.read_faces(photos.list_photos([tmp_path]))
    assert problems.empty
    assert table.groupby("photo").size().tolist() == [4, 6, 8]
    assert table["face"].tolist() == [*range(1, 5), *range(1, 7), *range(1, 9)]
    assert crops.shape == (18, 48, 48)
    last = photos.read_photo(tmp_path / "2.png")[0]
    points = np.dot(table["points"].iloc[-1], [1, 1j])
    difference = crops[-1].astype(int) - photos.crop_face(last, points)[0]
    assert np.abs(difference).mean() < 1, "points are rounded to a tenth of a pixel"


def test_without_a_photo_there_are_no_faces_and_no_error(tmp_path):
    table, crops, problems = photos.read_faces([str(tmp_path / "absent.jpg")])
    assert table.empty
    assert list(table) == ["photo", "face", "x", "y", "width", "height", "points", "turn", "doubts"]
    assert (crops.shape, crops.dtype) == ((0, 48, 48), np.uint8)
    assert problems["reason"].tolist() == ["there is no such file; look at its name"]
