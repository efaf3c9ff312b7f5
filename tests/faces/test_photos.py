"""Photos are read upright, faces cropped as UTKFace does; what gives no answer is named, and the rest goes on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage import data

from ageclf.faces import photos
from ageclf.faces.groups import group_names
from ageclf.faces.utkface import shrink
from ageclf.network import prediction

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
KNOWN = {"groups": group_names(), "temperature": 1.0, "threshold": 0.5, "data": {"synthetic": False}}


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


class Network:
    """Answers by the brightness of a face, and counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def predict_on_batch(self, faces: np.ndarray) -> np.ndarray:
        self.asked.append(len(faces))
        probabilities = np.full((len(faces), 6), 0.02)
        probabilities[np.arange(len(faces)), (faces.mean(axis=(1, 2, 3)) // 43).astype(int)] = 0.9
        return probabilities


def animated(picture: Image.Image, path: Path) -> None:
    picture.save(path, save_all=True, append_images=[picture.rotate(5)])


# Reading


@pytest.mark.parametrize("orientation", BACK)
def test_a_photo_is_seen_upright_whatever_its_orientation(astronaut, tmp_path, orientation):
    exif, way = Image.Exif(), BACK[orientation]
    exif[0x0112] = orientation
    (astronaut if way is None else astronaut.transpose(way)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(photos.read_photo(tmp_path / "a.png"), np.asarray(astronaut))


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "webp", "heic"])
def test_every_format_is_read(astronaut, tmp_path, ending):
    photos._read_heic()  # so that Pillow can write it
    path = tmp_path / f"ein Foto.{ending}"
    astronaut.save(path)
    assert photos.list_photos([tmp_path]) == [path]
    difference = np.abs(photos.read_photo(path).astype(int) - np.asarray(astronaut))
    assert difference.mean() < 4


def test_other_kinds_of_colour_are_read(astronaut, tmp_path):
    grey = np.asarray(astronaut.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    np.testing.assert_array_equal(photos.read_photo(tmp_path / "sixteen.png")[..., 0], grey)
    astronaut.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(photos.read_photo(tmp_path / "cmyk.jpg").astype(int) - np.asarray(astronaut)).mean() < 8
    astronaut.quantize(64).save(tmp_path / "palette.png", transparency=0)
    assert photos.read_photo(tmp_path / "palette.png").shape == (512, 512, 3)
    clear = astronaut.convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    assert photos.read_photo(tmp_path / "clear.png").min() == 255, "white, as on paper"


def write_odd_files(folder: Path, astronaut: Image.Image) -> dict[str, str]:
    """Write what gives no answer; return the beginning of the reason for each."""
    whole = folder / "astronaut.jpg"
    astronaut.save(whole)
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:9000])
    whole.unlink()
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    animated(astronaut, folder / "moving.gif")
    animated(astronaut, folder / "moving.webp")
    Image.new("RGB", (10_000, 10_000)).save(folder / "hundred.jpg", quality=10)
    Image.new("1", (60_000, 60_000)).save(folder / "bomb.png")
    Image.new("RGB", (300, 200), (20, 120, 30)).save(folder / "green.png")
    (folder / "dangling.png").symlink_to("nowhere.png")
    chatty = PngInfo()
    chatty.add_text("comment", "x" * 2_000_000, zip=True)  # which Pillow refuses with a ValueError of its own
    astronaut.save(folder / "chatty.png", pnginfo=chatty)
    return {
        "bomb.png": "more than 64 million pixels; make it smaller first",
        "chatty.png": "cut short or damaged (Decompressed data too large",
        "cut.jpg": "cut short or damaged",
        "dangling.png": "there is no such file",
        "empty.jpg": "not a picture that can be read; photos are JPEG, PNG, WebP or HEIC",
        "green.png": "no face found",
        "hundred.jpg": "10,000×10,000 pixels, more than 64 million pixels",
        "moving.gif": "GIF with 2 pictures; save the one you mean",
        "moving.webp": "WEBP with 2 pictures",
        "text.jpg": "not a picture that can be read",
    }


def test_each_odd_file_is_named_with_its_reason_and_the_rest_goes_on(astronaut, tmp_path):
    expected = write_odd_files(tmp_path, astronaut)
    astronaut.save(tmp_path / "z.png")
    table, problems = prediction.tell(photos.list_photos([tmp_path]), Network(), KNOWN)
    assert [Path(photo).name for photo in problems["photo"]] == list(expected)
    for reason, beginning in zip(problems["reason"], expected.values(), strict=True):
        assert reason.startswith(beginning)
    assert [Path(photo).name for photo in table["photo"]] == ["z.png"]


def test_heic_without_its_plugin_says_what_to_install(astronaut, tmp_path):
    photos._read_heic()  # so that Pillow can write it
    astronaut.save(tmp_path / "a.heic")
    code = "import sys; sys.modules['pillow_heif'] = None; from ageclf import photos; photos.read_photo(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.heic"], capture_output=True, text=True)
    assert "ValueError: not a picture that can be read; pip install pillow-heif" in done.stderr


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


# Faces


def test_the_face_is_found_where_it_is_also_in_a_large_photo(astronaut):
    """The eyes of the astronaut are at about (207, 108) and (239, 108), the mouth at (224, 147)."""
    for enlarged in (1, 5):
        photo = np.asarray(astronaut.resize((512 * enlarged, 512 * enlarged)))
        ((left, top, width, height),) = photos.find_faces(photo) / enlarged
        assert width == pytest.approx(height, abs=1)
        assert left < 200
        assert left + width > 246
        assert top < 100
        assert 150 < top + height < 200


def test_a_face_that_fills_the_picture_is_found(astronaut):
    assert len(photos.find_faces(np.asarray(astronaut)[60:190, 160:290])) == 1


def test_several_faces_are_counted_from_the_left(astronaut):
    two = np.concatenate([np.asarray(astronaut), np.asarray(astronaut)[:, ::-1]], axis=1)
    boxes = photos.find_faces(two)
    assert len(boxes) == 2
    assert boxes[0, 0] < 512 < boxes[1, 0]


def test_a_crop_of_utkfaces_size_is_what_training_saw(astronaut):
    """Of 200 pixels, nothing is resized but to 48, as for the pictures of UTKFace themselves."""
    photo = np.asarray(astronaut)
    width = round(200 / photos.CROP_SIDE)
    corner = 100 + width / 2, 60 + width / 2 + photos.CROP_DOWN * photos.CROP_SIDE * width
    left, top = (int(np.floor(value - photos.CROP_SIDE * width / 2)) for value in corner)
    expected = shrink(photo[top : top + 200, left : left + 200, ::-1])
    np.testing.assert_array_equal(photos.crop_face(photo, np.array([100, 60, width, width])), expected)


def test_what_lies_outside_the_photo_is_black():
    white = np.full((100, 100, 3), 255, np.uint8)
    crop = photos.crop_face(white, np.array([-50, -50, 100, 100]))
    assert crop[:15].max() == crop[:, :20].max() == 0
    assert crop[30:, 30:].min() == 255
    assert photos.crop_face(white, np.array([200, 200, 50, 50])).max() == 0


# Answers


def test_all_faces_of_all_photos_are_one_question_to_the_network(astronaut, tmp_path):
    face = np.asarray(astronaut)[40:200, 140:300]
    for number in range(3):
        Image.fromarray(np.tile(face, (2, 4, 1))).save(tmp_path / f"{number}.png")
    network = Network()
    table, problems = prediction.tell(photos.list_photos([tmp_path]), network, KNOWN)
    assert problems.empty
    assert network.asked == [len(table)]
    assert table.groupby("photo").size().tolist() == [8, 8, 8]
    assert table["face"].tolist() == 3 * list(range(1, 9))


def test_answers_are_scaled_and_sure_from_the_threshold_on(astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    files, columns = photos.list_photos([tmp_path]), [f"p_{group}" for group in range(6)]
    for temperature, threshold, sure in ((1.0, 0.9, True), (1.0, 0.91, False), (3.0, 0.9, False)):
        known = KNOWN | {"temperature": temperature, "threshold": threshold}
        table, _ = prediction.tell(files, Network(), known)
        assert table["sure"].tolist() == [sure]
        assert table[columns].sum(axis=1).tolist() == pytest.approx([1])
        assert table["probability"].tolist() == table[columns].max(axis=1).tolist()
        assert table["group"].tolist() == [KNOWN["groups"][int(table[columns].to_numpy().argmax())]]
    table, _ = prediction.tell(files, Network(), KNOWN | {"threshold": None})
    assert table["sure"].tolist() == [None]
    assert "threshold not known" in prediction.as_text(table)


def test_nothing_to_answer_is_no_error(tmp_path):
    table, problems = prediction.tell([tmp_path / "absent.jpg"], Network(), KNOWN)
    assert table.empty
    assert problems["reason"].tolist() == ["there is no such file; look at its name"]
    assert prediction.as_text(table) == "no faces"


def test_json_holds_what_the_table_holds(astronaut, tmp_path):
    astronaut.save(tmp_path / "ä.png")
    table, problems = prediction.tell([tmp_path / "ä.png", tmp_path / "absent.png"], Network(), KNOWN)
    content = json.loads(prediction.as_json(table, problems, Path("best.keras"), KNOWN))
    assert {name: content[name] for name in ("schema", "checkpoint", "synthetic", "threshold")} == {
        "schema": 1,
        "checkpoint": "best.keras",
        "synthetic": False,
        "threshold": 0.5,
    }
    (face,), row = content["faces"], table.iloc[0]
    assert face["box"] == [row["x"], row["y"], row["width"], row["height"]]
    assert (face["photo"], face["face"], face["group"], face["sure"]) == (row["photo"], 1, row["group"], True)
    assert face["probability"] == max(face["probabilities"].values())
    assert list(face["probabilities"]) == KNOWN["groups"]
    assert content["problems"] == problems.to_dict("records")


def test_a_network_of_drawn_faces_is_known_as_such():
    assert prediction.of_drawn_faces({"data": {"synthetic": True}})
    assert not prediction.of_drawn_faces(KNOWN)
    assert not prediction.of_drawn_faces({"data": None})  # an old file does not say
