"""The finding at the end of each notebook: a sentence that follows from its numbers, or says that there are none."""

import ast
import json

import numpy as np
import pandas as pd
import pytest
from IPython.display import Markdown

import ageclf
from ageclf.display import tables
from ageclf.metrics.bootstrap import interval

NOTEBOOKS = sorted((ageclf.CHECKOUT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
NAN = float("nan")
NONE = {"value": None, "low": None, "high": None}


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def finding(notebook, names):
    """Execute the last cell of a notebook with these names: the text that it shows."""
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith(notebook))
    *assignments, expression = ast.parse("".join(cells(path)[-1]["source"])).body
    assert all(isinstance(node, ast.Assign) for node in assignments)
    given = {"Markdown": Markdown, "tables": tables, "interval": interval, "np": np, "pd": pd, **names}
    exec(compile(ast.Module(assignments, []), path, "exec"), given)
    return eval(compile(ast.Expression(expression.value), path, "eval"), given).data


def bounds(value, low, high, prefix=""):
    return {f"{prefix}value": value, f"{prefix}low": low, f"{prefix}high": high}


def pairs(*same_group):
    leaked = {"by row": np.array([True, False, False]), "by cluster": np.zeros(3, dtype=bool)}
    return {"close": pd.DataFrame({"same_group": np.array(same_group, dtype=bool)}), "leaked": leaked}


def edges_of(before, after, shares):
    moved = {"as it is": np.array(before), "both": np.array(after)}
    by_group = pd.DataFrame({"near-black": shares}, index=["0-5", "6-18", "19+"], dtype=float)
    return {"edge": np.array(before), "moved_edge": moved, "by_group": by_group}


def changes(corner, translation=0.1):
    changed = {"as it is": np.array([100.0, 200.0]), "all together": np.array([0.0, 200.0])}
    rows = {"all together": {"smallest corner": corner}}
    return {"changed": changed, "rows": rows, "translation": translation, "rotation": 0}


def trained(*accuracy, validation):
    history = pd.DataFrame({"accuracy": accuracy, "val_accuracy": validation})
    return {"history": history, "metadata": {"epoch": 2, "val_accuracy": 0.5}}


def evaluated(low, high):
    baselines = {"most_frequent": {"group": "19-30", "accuracy": bounds(0.34, 0.32, high)}}
    results = {"measures": {"accuracy": bounds(0.4, low, 0.5)}, "baselines": baselines, "n": 2993}
    return {"results": results, "part": "test"}


def sampled(*confidence, right, photos=0):
    probabilities = np.array([(one, 1 - one) for one in confidence]).reshape(-1, 2)
    predicted = probabilities.argmax(axis=1)
    true = np.where(np.array(right, dtype=bool), predicted, 1 - predicted)
    found = {"files": ["a.jpg"] * photos, "predictions": pd.DataFrame({"photo": ["a.jpg"] * 2 * photos})}
    return {"probabilities": probabilities, "predicted": predicted, "true": true, **found}


def calibrated(before, after, confidence):
    """Hundred faces in one bin, half of them right; in two resamples the confidences add up to two less, and more."""
    sums = np.array([[[100.0, confidence + change, 50.0]] for change in (0, -2, 2)])
    measured = {"as it is": before, "scaled": after}
    measured = {name: {"calibration_error": bounds(error, error, error)} for name, error in measured.items()}
    return {"sums": {"as it is": sums}, "measured": measured}


def slices(*rows):
    frame = [
        {"slice": name, "ranked": ranked, **bounds(0.5, 0.4, 0.6), **bounds(*gap, prefix="gap_")}
        for name, ranked, gap in rows
    ]
    columns = ["slice", "ranked", "value", "low", "high", "gap_value", "gap_low", "gap_high"]
    frame = pd.DataFrame(frame, columns=columns)
    return {"by_age": frame[:1], "people": frame[1:2], "crossed": frame[2:]}


def steps(*lost):
    rows = [{"step": step, **bounds(*numbers, prefix="lost_")} for step, numbers in lost]
    return pd.DataFrame([{"step": 0, **bounds(0.0, 0.0, 0.0, prefix="lost_")}, *rows])


def changed_faces(shift, brightness):
    rotation = [(5, (NAN, NAN, NAN))]
    return {"frames": {"shift": steps(*shift), "rotation": steps(*rotation), "brightness": steps(*brightness)}}


def grouped(*gains):
    measured = {str(number): {"gain": gain} for number, gain in enumerate(gains)}
    return {"measured": measured, "edges": [6, 19, 31][: max(len(gains) - 1, 1)]}


def sweep(*settings, measure="accuracy"):
    differences = [
        {"setting": name, "seeds": list(range(len(gained))), "gained": gained, "lost": lost, "p_holm": p, **size}
        for name, gained, lost, p, size in settings
    ]
    return {"compared": {"baseline": "none", "differences": differences}, "measure": measure}


GAIN, LOSS = bounds(0.045, 0.032, 0.057), bounds(-0.02, -0.03, -0.01)
FINDINGS = {
    "contradicting labels are not trusted": (
        "00",
        pairs(True, True, True, False),
        "Not all labels can be trusted: 1 of 4 pairs (25.0 %) carry different groups. A split by row leaks 1 of 3 "
        "test faces.",
    ),
    "labels that agree are not doubted": (
        "00",
        pairs(True, True),
        "No near-duplicates contradict the labels: 0 of 2 pairs (0.0 %) carry different groups. A split by row leaks "
        "1 of 3 test faces.",
    ),
    "without near-duplicates nothing is said of labels": (
        "00",
        pairs(),
        "Whether the labels can be trusted cannot be said: no two pictures have a correlation above 0.98. A split by "
        "row leaks 1 of 3 test faces.",
    ),
    "moves that add black borders": (
        "01",
        edges_of([0.0, 20.0, 0.0, 0.0], [20.0, 20.0, 20.0, 0.0], [10, 40, None]),
        "25.0 % of the pictures have a black border, by group 10.0 % (0-5) to 40.0 % (6-18). Random moves put more "
        "black there: 75.0 % of the moved pictures have one, 25.0 % of the same pictures unmoved.",
    ),
    "moves that add none, and one group with pictures": (
        "01",
        edges_of([0.0, 20.0], [0.0, 20.0], [None, 50, None]),
        "50.0 % of the pictures have a black border, by group 50.0 % (6-18). Random moves do not put more black "
        "there: 50.0 % of the moved pictures have one, 50.0 % of the same pictures unmoved.",
    ),
    "borders without a group": (
        "01",
        edges_of([0.0], [0.0], [None] * 3),
        "0.0 % of the pictures have a black border, by group not known. Random moves do not put more black there: 0.0"
        " % of the moved pictures have one, 0.0 % of the same pictures unmoved.",
    ),
    "brightness that depends on the age": (
        "02",
        {"eta_squared": {"brightness": 0.11, "contrast": 0.03}},
        "Brightness depends on the age: the group explains 11.0 % of its variance, and 3.0 % of that of contrast. "
        "Random brightness would remove some information about the age.",
    ),
    "brightness that hardly depends on the age": (
        "02",
        {"eta_squared": {"brightness": 0.01, "contrast": NAN}},
        "Brightness hardly depends on the age: the group explains 1.0 % of its variance, and – % of that of contrast."
        " Random brightness would remove little information about the age.",
    ),
    "brightness that does not vary": (
        "02",
        {"eta_squared": {"brightness": NAN, "contrast": NAN}},
        "Whether brightness depends on the age cannot be said: it does not vary in the training part.",
    ),
    "black fill": (
        "03",
        changes(0.0),
        "What moves uncover is black. All changes together take pure black pixels from 0.0 % to 50.0 %, and the mean "
        "grey value from 150.0 to 100.0.",
    ),
    "fill that is not black": (
        "03",
        changes(12.0),
        "What moves uncover is not black. All changes together take pure black pixels from 0.0 % to 50.0 %, and the "
        "mean grey value from 150.0 to 100.0.",
    ),
    "changes without moves": (
        "03",
        changes(255.0, translation=0),
        "Nothing is moved. All changes together take pure black pixels from 0.0 % to 50.0 %, and the mean grey value "
        "from 150.0 to 100.0.",
    ),
    "a network that overfits": (
        "04",
        trained(0.4, 0.6, 0.9, validation=[0.4, 0.5, 0.5]),
        "Epoch 2 of 3 was kept, with a validation accuracy of 50.0 %. The network overfits: in the last epoch, "
        "training accuracy minus validation accuracy is 40.0 points.",
    ),
    "a network that does not overfit": (
        "04",
        trained(0.3, 0.4, validation=[0.4, 0.5]),
        "Epoch 2 of 2 was kept, with a validation accuracy of 50.0 %. The network does not overfit: in the last "
        "epoch, training accuracy minus validation accuracy is −10.0 points.",
    ),
    "an epoch without validation accuracy": (
        "04",
        trained(0.3, 0.4, validation=[0.4, NAN]),
        "Epoch 2 of 2 was kept. Whether the network overfits cannot be said: the accuracy of the last epoch is not "
        "known.",
    ),
    "an interval above that of the baseline": (
        "05",
        evaluated(0.37, 0.36),
        "The network is better than always predicting 19-30: its accuracy is 40.0 % (37.0–50.0), that of the baseline"
        " 34.0 % (32.0–36.0), on 2,993 faces (part test).",
    ),
    "an interval that overlaps that of the baseline": (
        "05",
        evaluated(0.35, 0.36),
        "The network is not certainly better than always predicting 19-30: its accuracy is 40.0 % (35.0–50.0), that "
        "of the baseline 34.0 % (32.0–36.0), on 2,993 faces (part test).",
    ),
    "an accuracy without an interval": (
        "05",
        evaluated(None, NAN),
        "Whether the network is better than always predicting one group cannot be said: an interval is missing.",
    ),
    "confidence in what is right": (
        "06",
        sampled(0.9, 0.8, 0.6, right=[True, True, False]),
        "2 of 3 sampled faces are predicted correctly. Confidence tells correct from incorrect predictions: its mean "
        "is 85.0 % and 60.0 %. No photos were given.",
    ),
    "confidence in what is wrong": (
        "06",
        sampled(0.9, 0.8, 0.6, right=[False, False, True], photos=2),
        "1 of 3 sampled faces are predicted correctly. Confidence does not tell correct from incorrect predictions: "
        "its mean is 60.0 % and 85.0 %. Faces found in 2 photos: 4.",
    ),
    "confidence without an error": (
        "06",
        sampled(0.9, 0.8, right=[True, True]),
        "2 of 2 sampled faces are predicted correctly. Whether confidence tells correct from incorrect predictions "
        "cannot be said without both. No photos were given.",
    ),
    "confidence without a face": (
        "06",
        sampled(right=[]),
        "0 of 0 sampled faces are predicted correctly. Whether confidence tells correct from incorrect predictions "
        "cannot be said without both. No photos were given.",
    ),
    "overconfidence that the temperature lowers": (
        "07",
        calibrated(0.1, 0.02, confidence=60.0),
        "The network is overconfident: mean confidence minus accuracy is 10.0 points (8.1–11.9). The temperature "
        "helps: it changes the calibration error from 0.100 to 0.020.",
    ),
    "underconfidence and a temperature that does not help": (
        "07",
        calibrated(0.02, 0.03, confidence=40.0),
        "The network is underconfident: mean confidence minus accuracy is −10.0 points (−11.9 to −8.1). The "
        "temperature does not help: it changes the calibration error from 0.020 to 0.030.",
    ),
    "confidence that may be right": (
        "07",
        calibrated(0.02, 0.01, confidence=50.0),
        "The network is neither over- nor underconfident: mean confidence minus accuracy is 0.0 points (−1.9 to 1.9). "
        "The temperature helps: it changes the calibration error from 0.020 to 0.010.",
    ),
    "calibration without a number": (
        "07",
        calibrated(None, None, confidence=NAN),
        "Whether the probabilities are calibrated cannot be said: a calibration error or an interval is missing.",
    ),
    "a slice that is certainly worse": (
        "08",
        slices(
            ("66+", True, (0.1, 0.0, 0.2)),
            ("female", True, (-0.2, -0.3, -0.1)),
            ("0-5, male, Black", False, (-0.9, -1.0, -0.8)),
        ),
        "The network does not work equally well for everybody. Of 2 slices, female is worst: 50.0 % (40.0–60.0), "
        "−20.0 points (−30.0 to −10.0) from all others; best is 66+: 50.0 % (40.0–60.0).",
    ),
    "a slice that may be as good as the others": (
        "08",
        slices(("66+", True, (0.1, 0.0, 0.2)), ("female", True, (-0.2, -0.5, 0.1))),
        "The network may work equally well for everybody. Of 2 slices, female is worst: 50.0 % (40.0–60.0), −20.0 "
        "points (−50.0 to 10.0) from all others; best is 66+: 50.0 % (40.0–60.0).",
    ),
    "no slice that is ranked and has a gap": (
        "08",
        slices(("66+", False, (0.1, 0.0, 0.2)), ("female", True, (None, None, None))),
        "Whether the network works equally well for everybody cannot be said: no slice has faces enough to be ranked.",
    ),
    "losses that are certain": (
        "09",
        changed_faces([(2, (0.02, 0.01, 0.03)), (4, (0.01, 0.0, 0.02))], [(-50, (0.1, 0.05, 0.15))]),
        "Accuracy certainly falls with shift and brightness. The largest losses: shift 2.0 points (1.0–3.0) at 2 "
        "pixels, rotation 0.0 points (0.0–0.0) at 0 degrees, brightness 10.0 points (5.0–15.0) at −50 grey values.",
    ),
    "losses that may be chance": (
        "09",
        changed_faces([(2, (0.02, -0.01, 0.05))], []),
        "Accuracy certainly falls with none of the changes. The largest losses: shift 2.0 points (−1.0 to 5.0) at 2 "
        "pixels, rotation 0.0 points (0.0–0.0) at 0 degrees, brightness 0.0 points (0.0–0.0) at 0 grey values.",
    ),
    "groups of which no two should be merged": (
        "10",
        grouped(bounds(0.3, 0.2, 0.4), bounds(0.1, 0.0, 0.2), bounds(0.25, 0.2, 0.3), bounds(0.2, 0.1, 0.3)),
        "The groups are right: they gain 30.0 points (20.0–40.0) over their most frequent group. The best merger, of "
        "the two that meet at 19 years, gains 25.0 points (20.0–30.0) over its own.",
    ),
    "groups of which two may be better merged": (
        "10",
        grouped(bounds(0.3, 0.2, 0.4), bounds(0.35, 0.3, 0.4), bounds(0.25, 0.2, 0.3)),
        "The groups may not be right: they gain 30.0 points (20.0–40.0) over their most frequent group. The best "
        "merger, of the two that meet at 6 years, gains 35.0 points (30.0–40.0) over its own.",
    ),
    "groups of which two should be merged": (
        "10",
        grouped(bounds(0.3, 0.25, 0.35), bounds(0.1, 0.0, 0.2), bounds(0.4, 0.36, 0.44)),
        "The groups are not right: they gain 30.0 points (25.0–35.0) over their most frequent group. The best merger,"
        " of the two that meet at 19 years, gains 40.0 points (36.0–44.0) over its own.",
    ),
    "two groups only": (
        "10",
        grouped(bounds(0.3, 0.2, 0.4)),
        "Whether the groups are right cannot be said: no two neighbours could be merged and measured.",
    ),
    "gains without a number": (
        "10",
        grouped(NONE, NONE, NONE),
        "Whether the groups are right cannot be said: no two neighbours could be merged and measured.",
    ),
    "a setting that is better with every seed": (
        "11",
        sweep(("flip", [90, 80], [10, 20], 0.001, GAIN), ("rotation", [10, 9], [50, 40], 0.02, LOSS)),
        "Better than none with every seed: 1 of 2 settings; worse: 1. Difference in accuracy: flip 4.5 points "
        "(3.2–5.7).",
    ),
    "a setting that may be no better": (
        "11",
        sweep(("flip", [90, 80], [80, 90], 1.0, GAIN), ("rotation", [], [], None, NONE)),
        "Better than none with every seed: 0 of 1 settings; worse: 0. Difference in accuracy: none is certain.",
    ),
    "a setting with one seed, and a measure that is no share": (
        "11",
        sweep(("flip", [90], [10], 0.001, LOSS), measure="ordinal_mae"),
        "Better than none with the only seed: 1 of 1 settings; worse: 0. Difference in ordinal MAE (groups): flip "
        "−0.02 (−0.03 to −0.01).",
    ),
    "settings without a common seed": (
        "11",
        sweep(("flip", [], [], None, NONE)),
        "Nothing can be decided: there are no two settings with results of the same seed.",
    ),
    "a sweep of which nothing was run": (
        "11",
        sweep(),
        "Nothing can be decided: there are no two settings with results of the same seed.",
    ),
}


@pytest.mark.parametrize(("notebook", "names", "expected"), FINDINGS.values(), ids=FINDINGS)
def test_a_finding_follows_from_the_numbers_or_says_that_there_are_none(notebook, names, expected):
    found = finding(notebook, names)
    assert found == expected
    assert len(found) <= 250
    assert not set(found) & set("*_`|<>[]#\n"), "plain text, without markup"


def test_every_finding_is_tried_with_numbers_that_turn_it_round():
    tried = [notebook for notebook, _, _ in FINDINGS.values()]
    assert len(NOTEBOOKS) == 12
    assert all(tried.count(path.stem[:2]) >= 2 for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_ends_with_its_rule_and_its_only_finding(path):
    *others, rule, last = cells(path)
    assert rule["cell_type"] == "markdown"
    assert "".join(rule["source"]).startswith("## Finding\n\n")
    assert last["cell_type"] == "code"
    assert last["metadata"] == {"tags": ["finding"]}
    assert not any("finding" in cell["metadata"].get("tags", []) for cell in others)
