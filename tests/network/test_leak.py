"""Who has a twin in training is told right, and what that is worth is measured on the test parts, with intervals."""

import json

import numpy as np
import pandas as pd
import pytest

import ageclf
from ageclf.faces.clusters import cluster_near_duplicates
from ageclf.network import leak

NOTHING = {"value": None, "low": None, "high": None}


def test_twins_are_mirrored_and_exact_copies_and_in_training_or_not():
    face, other, alone = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8)
    clusters = cluster_near_duplicates(np.stack([face, face[:, ::-1], other, other, alone, face]))
    parts = np.array(["test", "train", "test", "val", "test", "val"], dtype=object)
    trained, untrained, none = leak.KINDS
    assert leak.kinds(clusters, parts).tolist() == [trained, untrained, untrained, untrained, none, trained]


def test_by_row_exact_copies_go_their_own_ways_and_by_cluster_never():
    rows = np.arange(4000)
    pairs = rows // 2
    table = pd.DataFrame({"row": rows, "face_id": [f"{pair:04d}" for pair in pairs]})
    splits = leak.both_splits(table, pairs, split_seed=3)
    by_row, by_cluster = (splits[name].reshape(-1, 2) for name in ("by row", "by cluster"))
    assert (by_cluster[:, 0] == by_cluster[:, 1]).all()
    # Two rows are in one part by chance alone: 0.7² + 0.15² + 0.15².
    assert (by_row[:, 0] == by_row[:, 1]).mean() == pytest.approx(0.535, abs=0.04)
    for parts in splits.values():
        assert [(parts == part).mean() for part in ("train", "val", "test")] == pytest.approx(
            [0.7, 0.15, 0.15], abs=0.03
        )
    assert (splits["by row"] != leak.both_splits(table, pairs, split_seed=4)["by row"]).any()


def test_accuracy_by_kind_and_differences_as_counted_by_hand():
    clusters = np.array([0, 0, 1, 1, 2, 3, 4])
    by_row = np.array(["test", "train", "test", "test", "test", "test", "train"], dtype=object)
    by_cluster = np.array(["train", "train", "test", "test", "val", "test", "test"], dtype=object)
    right = {"by row": np.array([1, 0, 0, 1, 1, 0, 0], bool), "by cluster": np.array([0, 0, 1, 0, 0, 1, 1], bool)}
    study = leak.measure({"by row": by_row, "by cluster": by_cluster}, clusters, right)

    counted = {
        split: {kind: (row["n"], row["value"]) for kind, row in rows.items()} for split, rows in study["splits"].items()
    }
    trained, untrained, none = leak.KINDS
    assert counted["by row"] == {"all": (5, 0.6), trained: (1, 1.0), untrained: (2, 0.5), none: (2, 0.5)}
    assert counted["by cluster"] == {"all": (4, 0.75), trained: (0, None), untrained: (2, 0.5), none: (2, 1.0)}
    assert study["splits"]["by cluster"][trained] == {"n": 0, **NOTHING}
    values = {name: row["value"] for name, row in study["differences"].items()}
    net = {"twins less no twin": 1.0, "all by twins alone": 0.2}  # one of five faces has a twin in training
    assert values == pytest.approx({"all": -0.15, "twins": 0.5, "no twin": -0.5, **net})


def test_a_training_that_is_better_by_itself_is_no_leak():
    """By row the network is right about everybody, by cluster about nobody: twins are worth nothing beyond that."""
    clusters = np.arange(400) // 2
    clusters[200:] = np.arange(200, 400)
    parts = np.resize(np.array(["test", "train"], dtype=object), 400)
    apart = np.full(400, "test", dtype=object)
    right = {"by row": np.full(400, True), "by cluster": np.full(400, False)}
    differences = leak.measure({"by row": parts, "by cluster": apart}, clusters, right)["differences"]
    assert differences["all"]["value"] == differences["twins"]["value"] == 1
    assert differences["twins less no twin"] == differences["all by twins alone"] == {"value": 0, "low": 0, "high": 0}


def test_without_twins_in_training_their_worth_is_undefined():
    parts = np.array(["test", "train"], dtype=object)
    study = leak.measure(
        dict.fromkeys(("by row", "by cluster"), parts),
        np.arange(2),
        dict.fromkeys(("by row", "by cluster"), parts == "test"),
    )
    assert study["differences"]["twins"] == NOTHING


def test_the_interval_of_a_difference_is_that_of_two_samples_unless_they_share_faces():
    rng = np.random.default_rng(0)
    n, clusters = 1000, np.arange(2000)
    right = rng.random(2 * n) < 0.7
    first, second = (np.where(half, "test", "val").astype(object) for half in (clusters < n, clusters >= n))
    answers = {"by row": right, "by cluster": right}
    apart = leak.measure({"by row": first, "by cluster": second}, clusters, answers)["differences"]["all"]
    assert apart["high"] - apart["low"] == pytest.approx(2 * 1.96 * np.sqrt(2 * 0.7 * 0.3 / n), rel=0.1)
    shared = leak.measure({"by row": first, "by cluster": first}, clusters, answers)["differences"]["all"]
    assert shared == {"value": 0, "low": 0, "high": 0}


def test_results_are_written_and_the_networks_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    mine = ["lab.keras", "lab.training.npz", "lab-leak.keras"]
    for name in (*mine, "lab-leak-by-row.keras", "lab-leak-by-row.json", "lab-leak-by-cluster.training.npz"):
        (folder / name).touch()
    leak.write("lab", {"schema": 1, "splits": {"by row": {}, "by cluster": {}}})
    assert json.loads((tmp_path / "reports" / "lab" / "leak.json").read_text())["schema"] == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(mine)
