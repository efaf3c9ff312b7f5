"""The model card: its numbers are those of the run it names, stand in blocks only, and its prose is left alone."""

import json
import re

import jsonschema
import model_card
import numpy as np
import pandas as pd
import pytest
import yaml

import ageclf
from ageclf.display.tables import with_interval
from ageclf.faces.groups import REFERENCE_EDGES
from ageclf.metrics import evaluation
from ageclf.metrics.bootstrap import resample_clusters

CARD = model_card.CARD.read_text(encoding="utf-8")
WAY = "group × gender × ethnicity"


@pytest.fixture(scope="module")
def results() -> dict:
    """What `05_evaluation` writes, as if of 3,000 faces; those of the last ethnicity are too few to judge."""
    rng = np.random.default_rng(0)
    probabilities = pd.DataFrame(rng.dirichlet(np.ones(6), 3000), columns=[f"p_{group}" for group in range(6)])
    group = np.where(rng.random(3000) < 0.5, probabilities.to_numpy().argmax(axis=1), rng.integers(0, 6, 3000))
    people = {"gender": rng.integers(0, 2, 3000), "ethnicity": rng.choice(5, 3000, p=[0.3, 0.3, 0.2, 0.19, 0.01])}
    pictures = {"black_edge": rng.random(3000), "brightness": rng.random(3000)}
    predictions = probabilities.assign(age=group * 12, group=group, cluster=np.arange(3000) // 2, **people, **pictures)
    ages, baselines = [3.0, 12.0, 25.0, 38.0, 55.0, 75.0], {"most_frequent": np.full(3000, 2), "stratified": group}
    metadata = {"edges": REFERENCE_EDGES, "group_ages": ages, "temperature": 1.5}
    resamples = resample_clusters(predictions["cluster"].to_numpy(), n_resamples=50)
    measured = evaluation.evaluate(predictions, metadata, baselines, resamples)
    return {
        "schema": 2,
        "data": {"name": "age_gender.csv", "sha256": "62f7" * 16, "synthetic": False},
        "part": "test",
        "left_out": 0,
        "training_counts": [1100, 1200, 1300, 1400, 1500, 1600],
        "checkpoint": "some.keras",
        "checkpoint_sha256": "7d89" * 16,
        "weights": "none",
        "split_seed": 0,
        "seed": 1,
        "commit": "abc1234",
        **measured,
    }


@pytest.fixture
def files(tmp_path, results):
    """A copy of the card, and a metrics.json."""
    card, metrics = tmp_path / "MODEL_CARD.md", tmp_path / "metrics.json"
    card.write_text(CARD, encoding="utf-8")
    metrics.write_text(json.dumps(results), encoding="utf-8")
    return card, metrics


def rows(block: str) -> list[list[str]]:
    """Return the cells of a Markdown table's rows, without its header."""
    lines = [line for line in block.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def prose(card: str) -> str:
    return model_card.BLOCK.sub("", model_card.FRONT.sub("", card))


def test_the_numbers_of_the_card_are_those_of_the_recorded_run():
    recorded = json.loads(model_card.RESULTS.read_text(encoding="utf-8"))
    assert model_card.fill(CARD, recorded) == CARD, "make model-card writes them"


def test_the_front_matter_holds_licence_and_measures_of_the_recorded_run():
    recorded = json.loads(model_card.RESULTS.read_text(encoding="utf-8"))
    front = yaml.safe_load(model_card.FRONT.match(CARD)[0].strip("-\n"))
    assert (front["license"], front["license_name"]) == ("other", "non-commercial-research-only")
    (model,) = front["model-index"]
    assert f"{model['name']}.keras" == recorded["checkpoint"]
    accuracy, *_ = model["results"][0]["metrics"]
    assert accuracy["value"] == round(recorded["measures"]["accuracy"]["value"], 4)
    with pytest.raises(ValueError, match="front matter"):
        model_card.fill(model_card.FRONT.sub("", CARD), recorded)


def test_numbers_stand_in_blocks_only():
    assert not re.search(r"\d\.\d %|\d\.\d–|[0-9a-f]{7}", prose(CARD)), "a number that nobody keeps up to date"


def test_writing_the_numbers_twice_changes_nothing_and_prose_stays(files):
    model_card.write_numbers(*files)
    card = files[0].read_text(encoding="utf-8")
    model_card.write_numbers(*files)
    assert files[0].read_text(encoding="utf-8") == card
    assert prose(card) == prose(CARD)


def test_one_digit_that_differs_is_found_and_written_anew(files):
    model_card.write_numbers(*files)
    card = files[0].read_text(encoding="utf-8")
    digits = [found.start(2) + digit.start() for found in model_card.BLOCK.finditer(card)
              for digit in re.finditer(r"\d", found[2])]  # fmt: skip
    results = json.loads(files[1].read_text(encoding="utf-8"))
    for position in digits[:: len(digits) // 20]:
        drifted = f"{card[:position]}{(int(card[position]) + 1) % 10}{card[position + 1 :]}"
        assert model_card.fill(drifted, results) == card != drifted


def test_the_fixture_is_laid_out_as_documented(results):
    schema = json.loads((ageclf.CHECKOUT / "docs" / "metrics.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, schema)


def test_measures_stand_beside_the_baselines_and_groups_beside_their_faces(results):
    blocks = model_card.blocks(results)
    assert blocks["measures"].startswith("| measure | network | always 19-30 | stratified |\n| --- | --- | --- |")
    accuracy = [with_interval(one["accuracy"]) for one in (results["measures"], *results["baselines"].values())]
    assert rows(blocks["measures"])[0] == ["accuracy", *accuracy]
    youngest = results["per_group"][0]
    assert rows(blocks["groups"])[0][:4] == ["0-5", "1,100", str(youngest["n"]), with_interval(youngest["precision"])]
    assert "as they are | temperature 1.50" in blocks["calibration"]
    error = results["calibration"]["after"]["calibration_error"]["value"]
    assert rows(blocks["calibration"])[0][2].startswith(f"{error:.3f} (")


def test_the_worst_slices_are_ranked_ones_with_faces_interval_and_gap(results):
    block = model_card.blocks(results)["worst slices"]
    ranked = sorted((row for row in results["slices"][WAY] if row["n"] >= 30), key=lambda row: row["gap_value"])
    assert 10 < len(ranked) < len(results["slices"][WAY])
    shown = [[row["slice"], str(row["n"]), with_interval(row)] for row in ranked[:10]]
    assert [row[:3] for row in rows(block)] == shown
    assert all(re.fullmatch(r"−?\d+\.\d points \(.+\)", row[3]) for row in rows(block))
    few = len(results["slices"][WAY]) - len(ranked)
    assert block.endswith(f"fewer than 30 faces, and not ranked: {few} of {len(results['slices'][WAY])} slices.")
    assert "other" not in [name for name, *_ in rows(model_card.blocks(results)["people"])], "too few to be ranked"


def test_the_card_names_what_its_numbers_belong_to(results):
    named = model_card.blocks(results)["provenance"]
    for key in ("data", "checkpoint_sha256", "checkpoint", "weights", "seed", "commit"):
        assert str(results[key]["sha256"] if key == "data" else results[key]) in named
    assert "3,000 faces in 1,500 clusters, the part `test`" in named
    assert "8,100 faces" in named


@pytest.mark.parametrize("different", [{"part": "val"}, {"data": {"name": "sample", "sha256": "", "synthetic": True}}])
def test_only_the_test_part_of_real_faces_comes_into_the_card(results, different):
    with pytest.raises(ValueError, match="is about the test part of real faces, not about '"):
        model_card.fill(CARD, results | different)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<!-- numbers: people -->", "<!-- numbers: poeple -->"),
        ("<!-- numbers: people -->", "<!-- numbers: measures -->"),
        ("<!-- end -->\n\n### Calibration", "### Calibration"),
    ],
)
def test_a_card_whose_blocks_are_damaged_is_refused_and_left_as_it_is(files, old, new):
    damaged = CARD.replace(old, new)
    assert damaged != CARD
    files[0].write_text(damaged, encoding="utf-8")
    with pytest.raises(ValueError, match="must have each of these blocks, with its end, once: provenance, measures"):
        model_card.write_numbers(*files)
    assert files[0].read_text(encoding="utf-8") == damaged
