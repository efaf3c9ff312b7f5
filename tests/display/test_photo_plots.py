"""A photo's faces are numbered where they are, and what is not sure can be told without colours."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from ageclf.display.plots import SHOWN, photo_faces
from ageclf.faces.groups import group_names

NAMES = group_names()


def faces(n: int) -> pd.DataFrame:
    shares = np.full((n, 6), 0.1)
    shares[:, 2] = 0.5
    rows = [{"face": i + 1, "x": 10 * i, "y": 20, "width": 30, "height": 30} for i in range(n)]
    table = pd.DataFrame(rows).assign(group=NAMES[2], sure=[i % 2 == 0 for i in range(n)])
    return table.assign(**{f"p_{group}": shares[:, group] for group in range(6)})


@pytest.mark.parametrize("n", [1, 2, 9])
def test_every_face_has_its_number_and_the_first_ones_their_probabilities(n):
    figure = photo_faces(np.zeros((400, 1600, 3), np.uint8), faces(n), NAMES)
    photo, *bars = figure.axes
    assert [text.get_text() for text in photo.texts] == [str(i + 1) for i in range(n)]
    assert [text.get_position() for text in photo.texts] == [(10 * i, 20) for i in range(n)]
    assert len(bars) == min(n, SHOWN)
    assert [bar.get_width() for bar in bars[0].patches] == pytest.approx([10, 10, 50, 10, 10, 10])
    plt.close(figure)


def test_what_is_not_sure_is_said_hatched_and_dashed():
    figure = photo_faces(np.zeros((400, 400, 3), np.uint8), faces(2), NAMES)
    photo, sure, unsure = figure.axes
    assert sure.get_title(loc="left") == "1 · 19-30"
    assert unsure.get_title(loc="left") == "2 · not sure, 19-30?"
    assert [ax.patches[2].get_hatch() for ax in (sure, unsure)] == [None, "////"]
    boxes = [patch for patch in photo.patches if isinstance(patch, Rectangle)]
    assert [box.get_linestyle() for box in boxes] == ["-", "-", "-", "--"]
    plt.close(figure)
