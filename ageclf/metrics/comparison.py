"""Configurations of a sweep compared on the same faces: what was run, how they differ, and how certain that is."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import ageclf
from ageclf.metrics.bootstrap import confusion_matrices, from_confusion, interval, resample_clusters
from ageclf.metrics.evaluation import HEADLINE, check_same_faces, probabilities
from ageclf.run_folder import failures, read_results


class Sweep(NamedTuple):
    """What `read_sweep` found below reports/."""

    run: dict  # run.json of the sweep: run, axes with their levels, configurations with theirs, data
    configurations: list[dict]  # configuration, setting (in words), seed, state, measures, epochs, best_epoch
    failures: list[dict]  # configuration, notebook, cell, error, file
    results: dict[str, tuple[pd.DataFrame, dict]]  # predictions and metrics.json of each configuration that is done
    histories: dict[str, pd.DataFrame]  # a row an epoch, from 1, of those that have a training.csv


def read_sweep(name: str) -> Sweep:
    """Read the configurations of a sweep below reports/: each is `done`, `failed` or `not run yet`.

    A configuration with a failure has failed, whatever an earlier attempt left there. Raises FileNotFoundError when
    there is no such sweep, ValueError when a configuration was measured on other faces than the first that is done.
    """
    folder = ageclf.resolve(f"reports/{name}")
    run = ageclf.read_json(folder / "run.json")
    if not (run and run["configurations"]):
        raise FileNotFoundError(f"{folder}: no sweep was run there; make sweep RUN={name} first")
    sweep = Sweep(run, [], [], {}, {})
    for configuration, content in run["configurations"].items():
        path, levels, failed = folder / configuration, content["levels"], failures(folder / configuration)
        state = "failed" if failed else "done" if (path / "metrics.json").exists() else "not run yet"
        setting = " · ".join(f"{axis} {level}" for axis, level in levels.items() if axis != "seed")
        row = {"configuration": configuration, "setting": setting or "the only setting", "seed": levels.get("seed")}
        row |= {"state": state, "measures": None, "epochs": None, "best_epoch": None}
        if state == "done":
            sweep.results[configuration] = _, metrics = read_results(f"{name}/{configuration}")
            before = metrics["calibration"]["before"]
            row["measures"] = metrics["measures"] | {key: before[key] for key in ("log_loss", "calibration_error")}
        if state == "done" and (path / "training.csv").exists():
            sweep.histories[configuration] = history = pd.read_csv(path / "training.csv", index_col="epoch")
            row |= {"epochs": len(history), "best_epoch": int(history["val_loss"].idxmin())}
        sweep.configurations.append(row)
        sweep.failures.extend({"configuration": configuration, **failure} for failure in failed)
    check_same_faces(sweep.results, ("part", "split_seed", "edges"), ("face_id", "cluster", "group"))
    return sweep


def compare(sweep: Sweep, measure: str = "accuracy", n_resamples: int = 1000, seed: int = 0) -> dict:
    """Compare the configurations of a sweep by a measure of `evaluation.HEADLINE`: what `comparison.json` holds.

    - `configurations`: those that are done, best first, then the others. `measures` as in metrics.json, None without
      results; `epochs` trained, and `best_epoch`, that of the lowest validation loss, which was kept.
    - `settings`, the levels of all axes but the seed: `mean` and `sd` (n - 1, None for one seed) over `seeds`.
    - `differences` of each setting from `baseline`, the first with a configuration that is done: see `difference`;
      `p_holm` is `p` adjusted for their number. Whatever the measure, p-values are of faces that are right or wrong.

    Raises ValueError for another measure.
    """
    if measure not in HEADLINE:
        raise ValueError(f"measure={measure!r}: expected one of {', '.join(HEADLINE)}")
    values = {name: found["measures"][measure]["value"] for name, (_, found) in sweep.results.items()}
    sign = 1 if measure == "ordinal_mae" else -1  # an error is best where it is lowest
    order = {name: sign * value for name, value in values.items() if value is not None}
    settings = {}  # the names of the configurations that are done, by setting, then by seed (None where none was given)
    for row in sweep.configurations:
        if row["state"] == "done":
            settings.setdefault(row["setting"], {})[row["seed"]] = row["configuration"]
    _, metrics = next(iter(sweep.results.values()), (None, {}))
    return {
        "sweep": sweep.run["run"],
        "data": sweep.run["data"],
        **{key: metrics.get(key) for key in ("part", "n", "clusters")},
        "measure": measure,
        "seed": seed,
        "resamples": n_resamples,
        "configurations": sorted(sweep.configurations, key=lambda row: order.get(row["configuration"], np.inf)),
        "failures": sweep.failures,
        "settings": [
            {"setting": setting, "seeds": list(names), **spread([values[name] for name in names.values()])}
            for setting, names in settings.items()
        ],
        "baseline": next(iter(settings), None),
        "differences": _differences(sweep.results, settings, measure, n_resamples, seed),
    }


def _differences(results: dict, settings: dict, measure: str, n_resamples: int, seed: int) -> list[dict]:
    measured = {}
    for name, (predictions, metrics) in results.items():
        true, predicted = predictions["group"].to_numpy(), probabilities(predictions).argmax(axis=1)
        # Clusters and seed are the same for every configuration, and so are the resamples.
        resamples = resample_clusters(predictions["cluster"].to_numpy(), n_resamples, seed)
        confusion = confusion_matrices(true, predicted, len(metrics["groups"]), resamples)
        measured[name] = predicted == true, from_confusion(confusion)[measure]
    runs = {setting: {seed: measured[name] for seed, name in names.items()} for setting, names in settings.items()}
    rows = [{"setting": name, **difference(runs[name], next(iter(runs.values())))} for name in list(runs)[1:]]
    return [row | {"p_holm": p} for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True)]


def spread(values: list[float | None]) -> dict[str, float | None]:
    """Return `mean` and `sd` of values, the deviation with n - 1; None where there are too few."""
    moments = pd.Series(values, dtype=float).agg({"mean": "mean", "sd": "std"}).astype(object)
    return moments.where(moments.notna(), None).to_dict()


def difference(runs: dict, baseline: dict) -> dict:
    """Compare a setting with another on the same faces, over the seeds that both have.

    Both hold, by seed, whether each face is right, bool (n,), and the measure of each resample, float
    (1 + resamples,). Returns the mean difference `value` with its interval `low`, `high` (over faces, both settings on
    the same resamples), `by_seed` and `sd` (over trainings), and McNemar's test of each seed: faces that only the
    setting (`gained`) or only the other has right (`lost`), and `p_by_seed`. Seeds share their faces, so that counts
    are not added up: `p` is the largest of the seeds where all point the same way, else 1, the test of "better with
    every seed" or "worse with every seed" (Berger, "Multiparameter hypothesis testing and acceptance sampling", 1982).
    """
    seeds = [seed for seed in runs if seed in baseline]
    resampled = [runs[seed][1] - baseline[seed][1] for seed in seeds]
    by_seed = [interval(differences)["value"] for differences in resampled]
    tested = [mcnemar(runs[seed][0], baseline[seed][0]) for seed in seeds]
    tests = pd.DataFrame(tested, columns=["gained", "lost", "p_by_seed"])
    one_way = len(set(np.sign(tests["gained"] - tests["lost"]))) == 1
    return {
        "seeds": seeds,
        **interval(np.mean(resampled, axis=0) if seeds else np.array([np.nan])),
        "by_seed": by_seed,
        "sd": spread(by_seed)["sd"],
        **tests.to_dict("list"),
        "p": (max(tests["p_by_seed"]) if one_way else 1.0) if seeds else None,
    }


def mcnemar(right: np.ndarray, other: np.ndarray) -> tuple[int, int, float]:
    """Count the faces that only the first, and only the other has right, bool (n,); and the exact two-sided p.

    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947, as
    a binomial test: without a difference, each face that only one has right is a toss of a coin.
    """
    gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
    return gained, lost, float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(p: list[float | None]) -> list[float | None]:
    """Adjust p-values so that the chance of any false rejection among them stays below the level; None is no test.

    Holm, "A simple sequentially rejective multiple test procedure", 1979; SciPy adjusts for false discovery rates only.
    """
    tests = pd.Series(p, dtype=float).dropna().sort_values()
    adjusted = (tests * np.arange(len(tests), 0, -1)).clip(upper=1).cummax()
    return [adjusted.get(i) for i in range(len(p))]
