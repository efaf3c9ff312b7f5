"""Measures read as people write them."""

import pandas as pd

from ageclf.display import tables

SEVENTY = {"value": 0.705, "low": 0.689, "high": 0.7214}
NONE = {"value": None, "low": None, "high": None}


def test_measures_read_as_in_the_report():
    assert tables.percent(SEVENTY) == "70.5 % (68.9–72.1)"
    assert tables.percent({"value": -0.1, "low": -0.2, "high": -0.05}) == "−10.0 % (−20.0 to −5.0)"
    assert tables.number(SEVENTY) == "0.70 (0.69–0.72)"
    assert tables.number({"value": -0.03, "low": -0.06, "high": -0.01}) == "−0.03 (−0.06 to −0.01)"
    assert tables.number(SEVENTY, 3) == "0.705 (0.689–0.721)"
    assert tables.percent(NONE) == tables.percent(None) == tables.number(NONE) == tables.number(None) == "–"


def test_shares_are_in_per_cent_and_other_measures_are_not():
    results = {
        "measures": {"accuracy": SEVENTY, "years_off": SEVENTY},
        "baselines": {"majority": {"group": "19-30", "accuracy": NONE}},
    }
    frame = tables.measures_frame(results)
    assert frame.loc["accuracy"].tolist() == ["70.5 % (68.9–72.1)", "–"]
    assert frame.loc["years off"].tolist() == ["0.70 (0.69–0.72)", "–"]


def test_slices_name_their_faces_gap_and_whether_they_count():
    row = {"slice": "0-5", "n": 40, **SEVENTY, "gap": 0.1, "gap_low": -0.02, "gap_high": 0.2, "ranked": True}
    alone = {**row, "slice": "66+", "gap": None, "gap_low": None, "gap_high": None, "ranked": False}
    frame = tables.slices_frame(pd.DataFrame([row, alone]))
    assert frame.loc["0-5"].tolist() == [40, "70.5 % (68.9–72.1)", "10.0 % (−2.0–20.0)", "yes"]
    assert frame.loc["66+"].tolist() == [40, "70.5 % (68.9–72.1)", "–", "too few"]


def test_steps_name_accuracy_loss_and_edge():
    row = {"step": 5, **SEVENTY, "lost": 0.1, "lost_low": 0.05, "lost_high": 0.15, "black edge (%)": 12.345}
    assert tables.steps_frame(pd.DataFrame([row])).loc[5].tolist() == ["70.5 % (68.9–72.1)", "10.0 % (5.0–15.0)", 12.3]


def test_groupings_stand_beside_their_baseline():
    frame = tables.groupings_frame({"0-5 | 6+": {"accuracy": SEVENTY, "majority": NONE, "gain": SEVENTY}})
    assert frame.loc["0-5 | 6+"].to_dict() == {
        "accuracy": "70.5 % (68.9–72.1)",
        "majority": "–",
        "gain": "70.5 % (68.9–72.1)",
    }


def test_runs_name_their_groups_and_faces():
    row = {"accuracy": SEVENTY, "majority": NONE, "gain": SEVENTY}
    results = {"lab": (None, {"groups": ["0-5", "6+"], "n": 40})}
    frame = tables.runs_frame(results, {"lab": row})
    assert frame.columns.tolist() == ["groups", "faces", "accuracy", "majority", "gain"]
    assert frame.loc["lab"].tolist() == ["0-5 | 6+", 40, "70.5 % (68.9–72.1)", "–", "70.5 % (68.9–72.1)"]


def test_the_leak_has_faces_and_accuracy_of_both_splits_by_kind():
    rows = {"all": {"n": 40, **SEVENTY}, "no twin": {"n": 0, **NONE}}
    frame = tables.leak_frame({"splits": {"by row": rows, "by cluster": rows}})
    assert frame.columns.tolist() == [(s, c) for s in ("by row", "by cluster") for c in ("faces", "accuracy")]
    assert frame.loc["all"].tolist() == [40, "70.5 % (68.9–72.1)"] * 2
    assert frame.loc["no twin"].tolist() == [0, "–"] * 2
