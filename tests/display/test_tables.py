"""Tables and measures read as people write them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from ageclf.display import tables

SEVENTY = {"value": 0.705, "low": 0.689, "high": 0.7214}
NONE = {"value": None, "low": None, "high": None}


def test_measures_read_as_in_the_report():
    assert tables.with_interval(SEVENTY) == "70.5 % (68.9–72.1)"
    assert tables.with_interval({"value": -0.1, "low": -0.2, "high": -0.05}) == "−10.0 % (−20.0 to −5.0)"
    assert tables.with_interval(SEVENTY, 2) == "0.70 (0.69–0.72)"
    assert tables.with_interval({"value": -0.03, "low": -0.06, "high": -0.01}, 2) == "−0.03 (−0.06 to −0.01)"
    assert tables.with_interval(SEVENTY, 3) == "0.705 (0.689–0.721)"
    gap = {"gap_value": 0.1, "gap_low": -0.02, "gap_high": 0.2}
    assert tables.with_interval(gap, prefix="gap_", unit="points") == "10.0 points (−2.0 to 20.0)"
    assert tables.with_interval({"value": 0.1, "low": 0.0, "high": 0.2}, 2, unit="points") == "0.10 (0.00–0.20)"
    assert {tables.with_interval(row, digits) for row in (NONE, None) for digits in (None, 2)} == {"–"}


def test_shares_are_in_per_cent_and_other_measures_are_not():
    results = {
        "measures": {"accuracy": SEVENTY, "mae_years": SEVENTY},
        "baselines": {"most_frequent": {"group": "19-30", "accuracy": NONE}},
    }
    frame = tables.measures_frame(results)
    assert frame.loc["accuracy"].to_dict() == {"network": "70.5 % (68.9–72.1)", "most frequent": "–"}
    assert frame.loc["MAE (years)"].tolist() == ["0.70 (0.69–0.72)", "–"]


def test_slices_name_their_faces_gap_and_whether_they_count():
    row = {"slice": "0-5", "n": 40, **SEVENTY, "gap_value": 0.1, "gap_low": -0.02, "gap_high": 0.2, "ranked": True}
    alone = {**row, "slice": "66+", "gap_value": None, "gap_low": None, "gap_high": None, "ranked": False}
    frame = tables.slices_frame(pd.DataFrame([row, alone]))
    assert frame.loc["0-5"].tolist() == [40, "70.5 % (68.9–72.1)", "10.0 points (−2.0 to 20.0)", "yes"]
    assert frame.loc["66+"].tolist() == [40, "70.5 % (68.9–72.1)", "–", "too few"]


def test_accuracies_are_in_per_cent_and_differences_from_them_in_points():
    frame = pd.DataFrame([{**SEVENTY, "lost_value": 0.1, "lost_low": 0.05, "lost_high": 0.15}])
    assert tables.intervals(frame) == ["70.5 % (68.9–72.1)"]
    assert tables.intervals(frame, "lost_") == ["10.0 points (5.0–15.0)"]


MIXED = {"name": ["a<b", "c"], "count": [1234, -5], "share (%)": [12.345, np.nan], "level": [-0.5, 1234.5]}


def cells(html: str) -> list[list[str]]:
    """Return what stands in each row of a table, header first."""
    rows = re.findall(r"<tr.*?</tr>", html, re.DOTALL)
    return [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]


def test_a_table_has_a_caption_separators_minus_signs_and_dashes_but_no_index_that_only_counts():
    html = tables.table(pd.DataFrame(MIXED), "Ages & faces").data
    assert "<caption>Ages &amp; faces</caption>" in html
    assert cells(html) == [list(MIXED), ["a&lt;b", "1,234", "12.3", "−0.5"], ["c", "−5", "–", "1,234.5"]]
    assert cells(tables.table(pd.DataFrame(MIXED), "", digits=2).data)[1][2:] == ["12.35", "−0.50"]


def test_the_rows_of_a_table_are_named_in_its_header_and_not_in_a_line_of_their_own():
    named = pd.DataFrame({"faces": [1]}, index=pd.Index([6], name="group"))
    assert cells(tables.table(named, "").data) == [["group", "faces"], ["6", "1"]]
    epochs = pd.DataFrame({"loss": [0.5]}, index=pd.RangeIndex(1, 2, name="epoch"))
    assert cells(tables.table(epochs, "").data) == [["epoch", "loss"], ["1", "0.5"]]
    assert cells(tables.table(named.T, "").data) == [["group", "6"], ["faces", "1"]]
    crossed = pd.crosstab(pd.Series(["a"], name="group"), [pd.Series(["b"], name="sex"), pd.Series(["c"], name="kind")])
    assert cells(tables.table(crossed, "").data) == [["sex", "b"], ["kind", "c"], ["a", "1"]]


def test_a_table_without_rows_is_one_line():
    assert tables.table(pd.DataFrame(MIXED)[:0], "Faces > 1").data == "<p>Faces &gt; 1: none.</p>"


def test_a_table_is_the_same_a_second_time():
    first, second = (tables.table(pd.DataFrame(MIXED), "Faces") for _ in range(2))
    assert first.data == second.data


def test_groupings_stand_beside_their_baseline():
    frame = tables.intervals_frame({"0-5 | 6+": {"accuracy": SEVENTY, "most_frequent": NONE, "gain": SEVENTY}})
    assert frame["0-5 | 6+"].to_dict() == {
        "accuracy": "70.5 % (68.9–72.1)",
        "most frequent": "–",
        "gain": "70.5 points (68.9–72.1)",
    }


METADATA = {"groups": ["young", "old"], "threshold": 0.6, "data": {"synthetic": False}}
PHOTOS = pd.DataFrame(
    {
        "photo": ["ä.png", "ä.png"],
        **{"points": [[[12.5, 20.0]] * 5, []], "turn": [0, 0], "doubts": ["", ""]},
        "face": [1, 2],
        **{"x": [10, 60], "y": [20, 25], "width": [30, 40], "height": [30, 40]},
        **{
            "group": ["old", "young"],
            "second": ["young", "old"],
            "confidence": [0.7, 0.55],
            "above_threshold": [True, False],
        },
        **{"p_0": [0.3, 0.55], "p_1": [0.7, 0.45]},
    }
)


def test_faces_of_photos_read_as_a_table():
    rows = [line.split() for line in tables.photos_frame(PHOTOS).to_string(index=False).splitlines()]
    assert rows[1:] == [
        ["ä.png", "1", "old", "70%", "yes", "young"],
        ["ä.png", "2", "young", "55%", "not", "sure", "old"],
    ]
    unknown = tables.photos_frame(PHOTOS.assign(above_threshold=None))
    assert set(unknown["above threshold"]) == {"threshold not known"}


def test_a_turned_photo_and_a_doubtful_face_are_said_where_there_are_any():
    assert not {"turn", "doubts"} & set(tables.photos_frame(PHOTOS).columns)
    doubtful = PHOTOS.assign(turn=[0, 90], doubts=["", "small, dark"])
    told = tables.photos_frame(doubtful).to_string(index=False).splitlines()
    assert told[0].split()[-2:] == ["turn", "doubts"]
    assert told[2].split()[-3:] == ["90", "small,", "dark"]


def test_json_holds_what_the_table_of_photos_holds():
    problems = pd.DataFrame({"photo": ["b.png"], "reason": ["there is no such file"]})
    content = json.loads(tables.photos_json(PHOTOS, problems, Path("checkpoint/best.keras"), METADATA))
    first, second = content.pop("faces")
    assert content == {
        "schema": 2,
        "checkpoint": "best.keras",
        "synthetic": False,
        "threshold": 0.6,
        "problems": [{"photo": "b.png", "reason": "there is no such file"}],
    }
    assert first == {
        "photo": "ä.png",
        "face": 1,
        "group": "old",
        "above_threshold": True,
        "box": [10, 20, 30, 30],
        "points": [[12.5, 20.0]] * 5,
        "turn": 0,
        "doubts": "",
        "confidence": 0.7,
        "probabilities": {"young": 0.3, "old": 0.7},
    }
    assert (second["face"], second["above_threshold"]) == (2, False)
    unknown = tables.photos_json(PHOTOS.assign(above_threshold=None), problems, "best.keras", {"groups": ["a", "b"]})
    assert {face["above_threshold"] for face in json.loads(unknown)["faces"]} == {None}


def test_a_network_is_named_and_other_faces_than_it_was_trained_on_are_warned_of():
    real, drawn = ({"name": name, "synthetic": name == "sample"} for name in ("faces.csv", "sample"))
    said = {
        (trained["name"], synthetic): tables.network_text(Path("a.keras"), {"run": "b", "data": trained}, synthetic)
        for trained in (real, drawn)
        for synthetic in (False, True)
    }
    assert said["faces.csv", False] == "network a.keras, run b, trained on faces.csv"
    assert said["sample", True] == "network a.keras, run b, trained on sample"
    assert "\nwarning: it was trained on real faces, and these are not real: its predictions" in said["faces.csv", True]
    assert "\nwarning: it was trained on synthetic faces, and these are not synthetic: its" in said["sample", False]
    old = tables.network_text(Path("old.h5"), {"run": "old", "data": None}, True)
    assert old == "network old.h5, run old, trained on unknown data"
