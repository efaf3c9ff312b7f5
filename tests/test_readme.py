"""What the README claims: its numbers are those of the run that it names, and its commands exist."""

import json
import re
from statistics import mean

import pytest

import ageclf
from ageclf.display.tables import settings_frame, with_interval
from ageclf.metrics.evaluation import SHARES

PACKAGE = ageclf.CHECKOUT / "ageclf"
README = (ageclf.CHECKOUT / "README.md").read_text(encoding="utf-8")


def recorded(run: str, file: str = "metrics") -> dict:
    """Return what docs/ keeps of a run."""
    return json.loads((ageclf.CHECKOUT / "docs" / run / f"{file}.json").read_text(encoding="utf-8"))


METRICS = recorded("best")
PLAIN = recorded("utkface-cpu")


def row(name: str) -> list[str]:
    """Return the cells of the table row that starts with a name."""
    line = re.search(rf"^\| {re.escape(name)} \|(.+)\|$", README, re.MULTILINE)[1]
    return [cell.strip() for cell in line.split("|")]


def test_results_are_those_of_the_recorded_run():
    baseline = METRICS["baselines"]["most_frequent"]
    for measure in SHARES:
        expected = [with_interval(METRICS["measures"][measure]), with_interval(baseline[measure])]
        assert row(measure.replace("_", " ")) == expected
    for group in METRICS["per_group"]:
        expected = [f"{group['n']:,}", *(with_interval(group[measure]) for measure in ("precision", "recall", "f1"))]
        assert row(group["group"]) == expected
    assert METRICS["commit"] in README
    assert METRICS["data"]["sha256"][:12] in README
    assert (METRICS["part"], METRICS["left_out"], METRICS["data"]["synthetic"]) == ("test", 0, False)


def test_the_five_bins_stand_beside_their_own_baseline():
    results = recorded("five-bins")
    accuracy, majority = results["measures"]["accuracy"], results["baselines"]["most_frequent"]["accuracy"]
    text = " ".join(README.split())
    assert f"reaches {with_interval(accuracy)}, where always answering 19-45 reaches {with_interval(majority)}" in text
    gains = [
        100 * (of["measures"]["accuracy"]["value"] - of["baselines"]["most_frequent"]["accuracy"]["value"])
        for of in (results, PLAIN)
    ]
    assert f"a gain of {gains[0]:.1f} points, beside {gains[1]:.1f} for the six groups" in text
    assert {key: results[key] for key in ("data", "part", "n")} == {key: PLAIN[key] for key in ("data", "part", "n")}


def test_the_plain_recipe_and_the_seeds_stand_beside_the_recommended_one():
    text = " ".join(README.split())
    assert f"`utkface-cpu`, reaches {with_interval(PLAIN['measures']['accuracy'])}" in text
    assert {key: PLAIN[key] for key in ("data", "part", "n")} == {key: METRICS[key] for key in ("data", "part", "n")}
    compared = recorded("best-seeds", "comparison")
    assert (compared["part"], compared["data"]["sha256"]) == ("val", METRICS["data"]["sha256"])
    (spread,) = settings_frame(compared).iloc[:, 0]
    assert f"{spread} % of {compared['n']:,} validation faces" in text


def test_the_leak_is_that_of_the_recorded_study():
    study = recorded("leak", "leak")
    text, rows = " ".join(README.split()), study["splits"]["by row"]
    twin, without = rows["near-duplicate in training"], rows["no near-duplicate"]
    assert f"{twin['n']} of {rows['all']['n']:,} test faces then have a near-copy in training" in text
    assert f"told right {with_interval(twin)} of the time, faces without one {with_interval(without)}" in text
    assert f"that makes {with_interval(study['differences']['all by twins alone']).replace(' %', ' points')}" in text
    assert f"{study['epochs']} passes on each split" in text
    assert study["data"]["sha256"] == METRICS["data"]["sha256"]


def test_the_answer_about_brightness_is_that_of_the_recorded_batch():
    compared = recorded("brightness", "comparison")
    assert (compared["part"], compared["data"]["sha256"]) == ("val", METRICS["data"]["sha256"])
    spread = settings_frame(compared).iloc[:, 0]
    assert [row("without"), row("brightness 0.2")] == [[spread["brightness 0"]], [spread["brightness 0.2"]]]
    (difference,) = compared["differences"]
    written = with_interval(difference).replace(" %", " points")
    assert (
        f"difference is {written} for other faces, with a standard deviation of {100 * difference['sd']:.1f}" in README
    )
    assert ([value > 0 for value in difference["by_seed"]].count(True), difference["p"]) == (1, 1.0)


@pytest.mark.parametrize(
    ("batch", "better"),
    [("augmentation", ["flip", "+translation"]), ("recipe", ["sharp", "+ages", "+averages"])],
)
def test_the_answer_of_a_batch_that_adds_steps_is_the_recorded_one(batch, better):
    compared = recorded(batch, "comparison")
    assert (compared["part"], compared["data"]["sha256"]) == ("val", METRICS["data"]["sha256"])
    spread = settings_frame(compared).iloc[:, 0]
    gains = {row["setting"]: with_interval(row).replace(" %", " points") for row in compared["differences"]}
    for setting, written in spread.items():
        name = setting.removeprefix(f"{batch} ").replace("+", "+ ")
        assert row(name) == [written, gains.get(setting, "")]
    sure = [row["setting"] for row in compared["differences"] if row["p_holm"] < 0.001]
    assert sure == [f"{batch} {name}" for name in better]
    assert all(row["p_holm"] > 0.05 for row in compared["differences"] if row["setting"] not in sure)


def test_what_ages_bring_is_that_of_the_recorded_batch():
    compared = recorded("recipe", "comparison")
    shares = {
        name: mean(
            p["measures"]["off_by_one"]["value"] for p in compared["configurations"] if p["setting"] == f"recipe {name}"
        )
        for name in ("sharp", "+ages")
    }
    assert f"off by one {shares['+ages']:.1%}, without them {shares['sharp']:.1%}" in README.replace(" %", "%")


def test_the_worst_slices_and_the_calibration_are_those_of_the_recorded_run():
    text = " ".join(README.split())
    for row in METRICS["slices"]["group × gender × ethnicity"][:3]:
        assert f"{row['slice'].split(', ')[-1]} {with_interval(row)}" in text
    before, after = (METRICS["calibration"][when]["calibration_error"]["value"] for when in ("before", "after"))
    assert f"error from {before:.3f} to {after:.3f}" in text


def test_speed_is_that_of_the_recorded_benchmarks():
    lines = (ageclf.CHECKOUT / "docs" / "benchmarks.md").read_text(encoding="utf-8").splitlines()
    recorded_rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    speed = README.split("\n## Speed\n")[1].split("\n## ")[0]
    claims = [[cell.strip() for cell in line.split("|")[1:5]] for line in speed.splitlines() if line.startswith("| ")]
    beginnings = [  # of the recorded rows that the README's stand for, one after the other
        ["runs/best.yaml, 60 epochs"],
        ["48 px, 64 faces"],
        ["small", "1"],
        ["small", "32"],
        ["small", "10,000"],
        ["load_faces, first time"],
        ["load_faces, from the cache"],
        ["cluster_near_duplicates"],
        ["200,000"],
    ]
    for (_, *claim), beginning in zip(claims[1:], beginnings, strict=True):
        candidates = [cells for cells in recorded_rows if cells[: len(beginning)] == beginning]
        assert any(set(claim) - {""} <= set(cells) for cells in candidates), claim


def test_runs_and_notebooks_are_listed():
    for path in (ageclf.CHECKOUT / "runs").glob("*.yaml"):
        assert f"| `{path.stem}` |" in README
    for path in (ageclf.CHECKOUT / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{path.name})" in README


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_targets_files_and_settings_that_it_names_exist(name):
    text = (ageclf.CHECKOUT / name).read_text(encoding="utf-8")
    makefile = (ageclf.CHECKOUT / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z][a-z-]+)", text))
    assert {"report", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    for file in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ageclf.CHECKOUT / file).exists(), file
    code = "\n".join(path.read_text() for path in [ageclf.CHECKOUT / "Snakefile", *PACKAGE.glob("*.py")])
    for setting in set(re.findall(r"`([A-Z_]+)`", text)) - {"AGECLF_ROOT"}:
        assert re.search(rf"^{setting} \+?= ", code, re.MULTILINE), setting
