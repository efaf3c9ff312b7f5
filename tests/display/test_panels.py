"""Panels show what is set: their own widgets, set here as a person sets them, but for the browser."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

from ageclf.display import panels, plots
from ageclf.network.model import augmentation

FACES = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
STRENGTHS = {"flip": True, "brightness": 0.2, "translation": 0.1, "rotation": 0.05}
NAMES = ["0-5", "6-18", "19-30"]
TRUE = np.array([0, 0, 1, 1, 1])
AGES = 10 + np.arange(len(TRUE))
PROBABILITIES = np.eye(3)[[0, 2, 1, 1, 0]]  # the second and the last are mistakes


def control(panel, name):
    """Return the control of a panel that bears a name."""
    return next(widget for widget in panel.children[0].children if widget.description == name)


def seen(html):
    """Return what stands above a picture, and its pixels."""
    caption, source = re.search(r'<figcaption>(.+)</figcaption><img src="data:image/png;base64,(.+?)"', html).groups()
    return caption, plt.imread(BytesIO(b64decode(source)))


def assert_shows(panel, figure):
    np.testing.assert_array_equal(seen(panel.children[1].value)[1], seen(panels.picture(figure, "expected"))[1])


def gallery(seed, **changed):
    """Show the first two faces as they are, and nine times as training with these strengths changes them."""
    change, two = augmentation(**STRENGTHS | changed, seed=seed), FACES[:2, ..., np.newaxis].astype("float32")
    columns = [two, *(np.asarray(change(two, training=True)) for _ in range(9))]
    return plots.face_grid([column[face, ..., 0] for face in range(2) for column in columns]).figure


def bars(*chosen):
    chosen = list(chosen)
    return plots.probability_bars(FACES[chosen], PROBABILITIES[chosen], NAMES, TRUE[chosen], AGES[chosen])


def test_a_strength_is_seen_in_the_same_random_changes_until_others_are_asked_for():
    panel = panels.augmentation_panel(FACES[:2], STRENGTHS, seed=3)
    assert_shows(panel, gallery(3))
    control(panel, "brightness").value = 0.5
    assert_shows(panel, gallery(3, brightness=0.5))
    control(panel, "flip").value = False
    assert_shows(panel, gallery(3, brightness=0.5, flip=False))
    control(panel, "seed").value = 4
    assert_shows(panel, gallery(4, brightness=0.5, flip=False))
    others = "brightness 0.5, translation 0.1, rotation 0.05, seed 4"
    assert seen(panel.children[1].value)[0] == f"Each face as it is, then nine changes with flip False, {others}"


def test_with_every_strength_at_nothing_the_faces_stay_as_they_are():
    panel = panels.augmentation_panel(FACES[:1], {"flip": False, "brightness": 0, "translation": 0, "rotation": 0.0})
    assert_shows(panel, plots.face_grid(np.repeat(FACES[:1], 10, axis=0)).figure)


@pytest.mark.parametrize(("strength", "largest"), [(0.2, 0.5), (0.8, 0.8)])
def test_a_slider_reaches_as_far_as_the_strength_that_it_starts_from(strength, largest):
    slider = control(panels.augmentation_panel(FACES[:1], STRENGTHS | {"translation": strength}), "translation")
    assert (slider.min, slider.value, slider.max) == (0, strength, largest)


def test_pages_follow_each_other_and_begin_again():
    panel = panels.prediction_panel(FACES, PROBABILITIES, NAMES, TRUE, AGES, shown=2)
    for page, faces, shown in ((1, (0, 1), "1–2"), (2, (2, 3), "3–4"), (3, (4,), "5–5"), (1, (0, 1), "1–2")):
        assert control(panel, "page").value == page
        assert seen(panel.children[1].value)[0] == f"Faces {shown} of 5"
        assert_shows(panel, bars(*faces))
        control(panel, "next faces").click()


def test_mistakes_and_a_group_can_be_picked_out():
    panel = panels.prediction_panel(FACES, PROBABILITIES, NAMES, TRUE, AGES, shown=2)
    control(panel, "page").value = 3
    control(panel, "only mistakes").value = True
    assert (control(panel, "page").value, control(panel, "page").max) == (1, 1)
    assert_shows(panel, bars(1, 4))
    control(panel, "true group").label = "6-18"
    assert_shows(panel, bars(4))
    control(panel, "only mistakes").value = False
    assert_shows(panel, bars(2, 3))
    assert control(panel, "page").max == 2


def test_a_group_without_a_face_is_an_empty_page():
    panel = panels.prediction_panel(FACES, PROBABILITIES, NAMES, TRUE, AGES)
    control(panel, "true group").label = "19-30"
    assert seen(panel.children[1].value)[0] == "No such face"
    control(panel, "next faces").click()
    control(panel, "true group").label = "all"
    assert_shows(panel, bars(*range(5)))


def test_a_picture_is_described_and_its_figure_closed():
    before = plt.get_fignums()
    assert panels.picture(plots.age_counts([3, 5]).figure, "ages < 6").count("ages &lt; 6") == 2
    assert plt.get_fignums() == before


def choose(panel, *files):
    """Choose files, pairs of a name and its content, as a browser hands them over."""
    panel.children[0].value = [
        {"name": name, "type": "", "size": len(content), "content": content, "last_modified": datetime.now(UTC)}
        for name, content in files
    ]


def test_every_chosen_file_is_answered_and_none_of_them_stays_on_the_disk():
    seen_files = []

    def answer(path, name):
        seen_files.append(path)
        if name == "b.png":
            raise ValueError("no <face>")
        return f"{name} holds {path.read_bytes().decode()}, as {path.suffix}. "

    panel = panels.upload_panel(answer, [".png", ".heic"], "what answers")
    upload, said, shown = panel.children
    assert upload.accept == ".png,.heic"
    choose(panel, ("../a.HEIC", b"one"), ("b.png", b"two"), ("..", b"three"))
    assert shown.value == "../a.HEIC holds one, as .HEIC. <p>b.png: no &lt;face&gt;</p>.. holds three, as . "
    assert said.value == "<p>what answers</p>"
    assert len(seen_files) == 3
    assert not any(path.exists() for path in seen_files)
    choose(panel, ("../a.HEIC", b"four"))  # the same file again, edited meanwhile
    assert shown.value == "../a.HEIC holds four, as .HEIC. "
