"""What README and docs/*.md claim: their numbers are those of the recorded runs, and their commands exist."""

import json
import re
from statistics import mean

import pytest

import ageclf
from ageclf.display.tables import settings_frame, with_interval
from ageclf.metrics.evaluation import SHARES

PAGES = {name: (ageclf.CHECKOUT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md")}
README, RESULTS = PAGES.values()
TEXT = " ".join(RESULTS.split())
PACKAGE = ageclf.CHECKOUT / "ageclf"


def recorded(run: str, file: str = "metrics") -> dict:
    """Return what docs/ keeps of a run."""
    return json.loads((ageclf.CHECKOUT / "docs" / run / f"{file}.json").read_text(encoding="utf-8"))


METRICS = recorded("best")
PLAIN = recorded("utkface-cpu")


def row(name: str) -> list[str]:
    """Return the cells of the table row that starts with a name."""
    line = re.search(rf"^\| {re.escape(name)} \|(.+)\|$", README + RESULTS, re.MULTILINE)[1]
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
    assert f"{with_interval(accuracy)}, where always predicting 19-45 reaches {with_interval(majority)}" in TEXT
    gains = [
        100 * (of["measures"]["accuracy"]["value"] - of["baselines"]["most_frequent"]["accuracy"]["value"])
        for of in (results, PLAIN)
    ]
    assert f"a gain of {gains[0]:.1f} points, next to {gains[1]:.1f} for the six groups" in TEXT
    assert {key: results[key] for key in ("data", "part", "n")} == {key: PLAIN[key] for key in ("data", "part", "n")}


def test_the_plain_recipe_and_the_seeds_stand_beside_the_recommended_one():
    assert f"`utkface-cpu`, reaches {with_interval(PLAIN['measures']['accuracy'])}" in TEXT
    small = recorded("small")
    assert f"`small`, is right for {with_interval(small['measures']['accuracy'])} of the same test faces" in TEXT
    for one in (PLAIN, small):
        same = [(results["data"]["sha256"], results["part"], results["n"]) for results in (one, METRICS)]
        assert same[0] == same[1]
    compared = recorded("small-seeds", "comparison")
    assert (compared["part"], compared["data"]["sha256"]) == ("val", METRICS["data"]["sha256"])
    (spread,) = settings_frame(compared).iloc[:, 0]
    assert f"{spread} % of {compared['n']:,} validation faces" in TEXT


def test_the_leak_is_that_of_the_recorded_study():
    study = recorded("leak", "leak")
    rows = study["splits"]["by row"]
    leaked, without = rows["near-duplicate in training"], rows["no near-duplicate"]
    assert f"{leaked['n']} of {rows['all']['n']:,} test faces then have a near-duplicate in training" in TEXT
    correct = f"classified correctly {with_interval(leaked)} of the time, faces without one {with_interval(without)}"
    assert correct in TEXT
    overall = with_interval(study["differences"]["all by near-duplicates alone"]).replace(" %", " points")
    assert f"Over all faces that makes {overall}" in TEXT
    assert f"for {study['epochs']} epochs on a split by row" in TEXT
    assert study["data"]["sha256"] == METRICS["data"]["sha256"]


def test_the_answer_about_brightness_is_that_of_the_recorded_sweep():
    compared = recorded("brightness", "comparison")
    assert (compared["part"], compared["data"]["sha256"]) == ("val", METRICS["data"]["sha256"])
    spread = settings_frame(compared).iloc[:, 0]
    assert [row("without"), row("brightness 0.2")] == [[spread["brightness 0"]], [spread["brightness 0.2"]]]
    (difference,) = compared["differences"]
    written = with_interval(difference).replace(" %", " points")
    spread = f"{100 * difference['sd']:.1f}"
    assert f"difference is {written} over faces, with a standard deviation of {spread} over seeds" in TEXT
    assert ([value > 0 for value in difference["by_seed"]].count(True), difference["p"]) == (1, 1.0)


@pytest.mark.parametrize(
    ("sweep", "better"),
    [("augmentation", ["flip", "+translation"]), ("recipe", ["sharp", "+ages", "+averages"])],
)
def test_the_answer_of_a_sweep_that_adds_steps_is_the_recorded_one(sweep, better):
    compared = recorded(sweep, "comparison")
    assert (compared["part"], compared["data"]["sha256"]) == ("val", METRICS["data"]["sha256"])
    spread = settings_frame(compared).iloc[:, 0]
    gains = {row["setting"]: with_interval(row).replace(" %", " points") for row in compared["differences"]}
    for setting, written in spread.items():
        name = setting.removeprefix(f"{sweep} ").replace("+", "+ ")
        assert row(name) == [written, gains.get(setting, "")]
    better_than_baseline = [row["setting"] for row in compared["differences"] if row["p_holm"] < 0.001]
    assert better_than_baseline == [f"{sweep} {name}" for name in better]
    assert all(row["p_holm"] > 0.05 for row in compared["differences"] if row["setting"] not in better_than_baseline)


def test_the_trials_of_a_pretrained_network_are_the_recorded_ones():
    trials = recorded("pretrained", "trials")
    assert (trials["data_sha256"], trials["n"]) == (METRICS["data"]["sha256"], 3025)
    for one in trials["networks"]:
        assert f"{one['accuracy']:.1%} | {one['log_loss']:.3f} |".replace("%", " %") in TEXT
    assert f"right for {trials['mean_of_two']['accuracy']:.1%}".replace("%", " %") in TEXT
    run = recorded("pretrained", "metrics")
    assert (run["part"], run["n"], run["data"]["sha256"]) == ("val", trials["n"], trials["data_sha256"])
    assert f"is right for {with_interval(run['measures']['accuracy'])} of the same faces" in TEXT
    assert f"{settings_frame(recorded('recipe', 'comparison')).iloc[-1, 0]} % (sweep `recipe`)" in TEXT
    none, *_ = alone = trials["augmentation"].values()
    points = [[f"{100 * (value - before):.1f}" for value, before in zip(seeds, none, strict=False)] for seeds in alone]
    for name, gained in list(zip(trials["augmentation"], points, strict=True))[1:]:
        assert row(name) == [*(text.replace("-", "−") for text in gained), *["–"] * (2 - len(gained))]


def test_the_trials_of_distillation_are_the_recorded_ones():
    trials = recorded("distillation", "trials")
    assert (trials["data_sha256"], trials["n"]) == (METRICS["data"]["sha256"], 3025)
    labels = {one["network"]: f"{one['accuracy']:.1%}".replace("%", " %") for one in trials["from_labels"]}
    taught = {one["network"]: f"{one['accuracy']:.1%}".replace("%", " %") for one in trials["distilled"]}
    for name, text in list(labels.items())[:4]:
        assert [cell.strip("*") for cell in row(name)] == [text, taught.get(name, "–")]
    assert row("the teachers' residual network, 30 epochs, all training faces")[0] == list(labels.values())[4]
    each = [f"{100 * mean(one['each']):.1f}" for one in trials["teachers"]]
    assert f"{each[0]} % (mean of the first four; {each[1]} and {each[2]} of the others)" in TEXT
    assert f"thirteen {trials['mean_of_all_teachers']['accuracy']:.1%}".replace("%", " %") in TEXT


def test_what_ages_bring_is_that_of_the_recorded_sweep():
    compared = recorded("recipe", "comparison")
    means = {
        name: mean(
            p["measures"]["off_by_one"]["value"] for p in compared["configurations"] if p["setting"] == f"recipe {name}"
        )
        for name in ("sharp", "+ages")
    }
    assert f"off by one {means['+ages']:.1%}, without them {means['sharp']:.1%}" in TEXT.replace(" %", "%")


def test_the_worst_slices_and_the_calibration_are_those_of_the_recorded_run():
    readme = " ".join(README.split())
    for row in METRICS["slices"]["group × gender × ethnicity"][:3]:
        assert f"{row['slice'].split(', ')[-1]} {with_interval(row)}" in readme
    before, after = (METRICS["calibration"][when]["calibration_error"]["value"] for when in ("before", "after"))
    assert f"error from {before:.3f} to {after:.3f}" in TEXT


def test_how_children_and_old_people_fare_is_what_the_recorded_run_says():
    readme, groups = " ".join(README.split()), METRICS["groups"]
    for group, words in {"0-5": "ages 0–5", "6-18": "6–18", "66+": "66 and over", "31-45": "31–45"}.items():
        recall = METRICS["per_group"][groups.index(group)]["recall"]["value"]
        assert f"{recall:.1%} for {words}".replace("%", " %") in readme
    for group, other, words in (("6-18", "19-30", "19–30"), ("66+", "46-65", "46–65")):
        counts = METRICS["confusion"][groups.index(group)]
        assert counts[groups.index(other)] / sum(counts) == pytest.approx(0.25, abs=0.01)
        assert f"a quarter of whom are taken for {words};" in readme


def test_speed_is_that_of_the_recorded_benchmarks():
    lines = (ageclf.CHECKOUT / "docs" / "benchmarks.md").read_text(encoding="utf-8").splitlines()
    recorded_rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    speed = (ageclf.CHECKOUT / "docs" / "speed.md").read_text(encoding="utf-8")
    claims = [[cell.strip() for cell in line.split("|")[1:5]] for line in speed.splitlines() if line.startswith("| ")]
    beginnings = [  # of the recorded rows that the README's stand for, one after the other
        ["runs/small.yaml, 60 epochs"],
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


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/results.md", "docs/method.md", "docs/speed.md"])
def test_targets_files_headings_and_settings_that_it_names_exist(name):
    path = ageclf.CHECKOUT / name
    text, makefile = path.read_text(encoding="utf-8"), (ageclf.CHECKOUT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^ {4})make ([a-z][a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for file, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        linked = path.parent / file if file else path
        assert linked.exists(), file
        if heading:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
    code = "\n".join(path.read_text() for path in [ageclf.CHECKOUT / "Snakefile", *PACKAGE.rglob("*.py")])
    for setting in set(re.findall(r"`([A-Z_]+)`", text)) - {"AGECLF_ROOT"}:
        assert re.search(rf"^{setting} \+?= ", code, re.MULTILINE), setting
