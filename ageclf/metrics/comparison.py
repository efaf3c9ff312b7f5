"""Points of a batch beside each other, on the same faces: what was run, how far apart, and how sure that is."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import ageclf
from ageclf.metrics.bootstrap import confusion_matrices, draw_clusters, from_confusion, interval
from ageclf.metrics.evaluation import HEADLINE, predicted_groups
from ageclf.run_folder import failures, read_results

LOWER_IS_BETTER = ("groups_off",)


class Batch(NamedTuple):
    """What `read_batch` found below reports/."""

    known: dict  # run.json of the batch: run, axes with their levels, points with theirs, data
    points: dict[str, dict]  # by name: setting (in words), seed, state
    failures: list[dict]  # point, notebook, cell, error, file
    results: dict[str, tuple[pd.DataFrame, dict]]  # predictions and metrics.json of each point that is done
    histories: dict[str, pd.DataFrame]  # a row an epoch, from 1, of those that have a training.csv


def read_batch(name: str) -> Batch:
    """Read the points of a batch below reports/: each is `done`, `failed` or `not run yet`.

    A point with a failure has failed, whatever an earlier attempt left there. Raises FileNotFoundError when there is
    no such batch, ValueError when a point was measured on other faces than the first one that is done.
    """
    folder = ageclf.resolve(f"reports/{name}")
    known = ageclf.read_json(folder / "run.json")
    if known is None or "points" not in known:
        raise FileNotFoundError(f"{folder}: no batch was run there; make sweep RUN={name} first")
    ways = [axis for axis in known["axes"] if axis != "seed"]
    points, failed, results = {}, [], {}
    for point, content in known["points"].items():
        found = failures(folder / point)
        state = "failed" if found else "done" if (folder / point / "metrics.json").exists() else "not run yet"
        setting = " · ".join(f"{way} {content['levels'][way]}" for way in ways) or "the only setting"
        points[point] = {"setting": setting, "seed": content["levels"].get("seed"), "state": state}
        failed += [{"point": point, **failure} for failure in found]
        if state == "done":
            results[point] = read_results(f"{name}/{point}")
    check_same_faces(results)
    logs = {point: folder / point / "training.csv" for point in results}
    histories = {point: pd.read_csv(log, index_col="epoch") for point, log in logs.items() if log.exists()}
    return Batch(known, points, failed, results, histories)


def check_same_faces(results: dict[str, tuple[pd.DataFrame, dict]]) -> None:
    """Raise ValueError, naming point and key, unless all were measured on the same faces in the same groups."""
    for point, (predictions, metrics) in results.items():
        first, (expected, reference) = next(iter(results.items()))
        same = {"data": metrics["data"]["sha256"] == reference["data"]["sha256"]}
        same |= {key: metrics[key] == reference[key] for key in ("part", "split_seed", "edges")}
        same |= {key: np.array_equal(predictions[key], expected[key]) for key in ("face_id", "cluster", "group")}
        for key, equal in same.items():
            if not equal:
                raise ValueError(f"{point}: {key} differs from that of {first}; sweep again to compare the same faces")


def compare(batch: Batch, measure: str = "accuracy", n_resamples: int = 1000, seed: int = 0) -> dict:
    """Compare the points of a batch by a measure of `evaluation.HEADLINE`: what `comparison.json` holds.

    - `points`: those that are done, best first, then the others. `measures` as in metrics.json, None without results;
      `epochs` trained, and `best_epoch`, that of the lowest validation loss, which was kept.
    - `settings`, the levels of all axes but the seed: `mean` and `sd` (n - 1, None for one seed) over `seeds`.
    - `differences` of each setting from `baseline`, the first with a point that is done: see `paired.difference`;
      `p_holm` is `p` adjusted for their number. Whatever the measure, p-values are of faces that are right or wrong.
    - `effects`, a row for each level of each axis with several: `values` of single points, and their `mean`.

    Raises ValueError for another measure.
    """
    if measure not in HEADLINE:
        raise ValueError(f"measure={measure!r}: expected one of {', '.join(HEADLINE)}")
    _, metrics = next(iter(batch.results.values()), (None, {}))
    values = {point: found["measures"][measure]["value"] for point, (_, found) in batch.results.items()}
    settings = by_setting(batch)
    return {
        "schema": 1,
        "batch": batch.known["run"],
        "data": batch.known["data"],
        **{key: metrics.get(key) for key in ("part", "n", "clusters")},
        "measure": measure,
        "seed": seed,
        "resamples": n_resamples,
        "points": _points(batch, values, measure),
        "failures": batch.failures,
        "settings": [
            {"setting": name, "seeds": list(runs), **spread([values[point] for point in runs.values()])}
            for name, runs in settings.items()
        ],
        "baseline": next(iter(settings), None),
        "differences": _differences(batch, measure, n_resamples, seed),
        "effects": _effects(batch.known, values),
    }


def _points(batch: Batch, values: dict[str, float | None], measure: str) -> list[dict]:
    rows = []
    for point, known in batch.points.items():
        row = {"point": point, **known, "measures": None, "epochs": None, "best_epoch": None}
        if point in batch.results:
            metrics = batch.results[point][1]
            sure = {name: metrics["calibration"]["before"][name] for name in ("log_loss", "calibration_error")}
            row["measures"] = metrics["measures"] | sure
        if point in batch.histories:
            losses = batch.histories[point]["val_loss"].fillna(np.inf)
            row |= {"epochs": len(losses), "best_epoch": int(losses.idxmin())}
        rows.append(row)
    sign = 1 if measure in LOWER_IS_BETTER else -1
    known = {point: sign * value for point, value in values.items() if value is not None}
    return sorted(rows, key=lambda row: known.get(row["point"], np.inf))


def _differences(batch: Batch, measure: str, n_resamples: int, seed: int) -> list[dict]:
    runs = {}
    for setting, points in by_setting(batch).items():
        for name, point in points.items():
            predictions, metrics = batch.results[point]
            true, answers = predictions["group"].to_numpy(), predicted_groups(predictions)
            draws = draw_clusters(predictions["cluster"].to_numpy(), n_resamples, seed)  # the same for every point
            confusion = confusion_matrices(true, answers, len(metrics["groups"]), draws)
            runs.setdefault(setting, {})[name] = answers == true, from_confusion(confusion)[measure]
    rows = [{"setting": name, **difference(runs[name], next(iter(runs.values())))} for name in list(runs)[1:]]
    adjusted = holm([row["p"] for row in rows])
    return [row | {"p_holm": p} for row, p in zip(rows, adjusted, strict=True)]


def _effects(known: dict, values: dict[str, float | None]) -> list[dict]:
    rows = []
    for axis, levels in known["axes"].items():
        for level in levels if axis != "seed" and len(levels) > 1 else []:
            there = [value for point, value in values.items() if known["points"][point]["levels"][axis] == level]
            rows.append({"axis": axis, "level": level, "values": there, "mean": spread(there)["mean"]})
    return rows


def describe(batch: Batch) -> str:
    """Say how many points there are in each state, and what those that are done were measured on."""
    states = [known["state"] for known in batch.points.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "failed", "not run yet"))
    data = "SYNTHETIC sample" if batch.known["data"]["synthetic"] else batch.known["data"]["name"]
    if not batch.results:
        return f"points: {counts}; {data}; there is nothing to compare"
    _, metrics = next(iter(batch.results.values()))
    faces = f"part {metrics['part']!r}: {metrics['n']:,} faces in {metrics['clusters']:,} clusters"
    return f"points: {counts}; {data}, {faces}"


def by_setting(batch: Batch) -> dict[str, dict]:
    """Return the names of the points that are done, by setting and then by seed (None where none was given)."""
    settings = {}
    for point in batch.results:
        settings.setdefault(batch.points[point]["setting"], {})[batch.points[point]["seed"]] = point
    return settings


def write_comparison(compared: dict) -> None:
    """Write what `compare` returned as `comparison.json` into the batch's folder."""
    ageclf.write_json(ageclf.resolve(f"reports/{compared['batch']}/comparison.json"), compared)


def spread(values: list[float | None]) -> dict[str, float | None]:
    """Return `mean` and `sd` of values, the deviation with n - 1; None where there are too few."""
    series = pd.Series(values, dtype=float).dropna()
    return {
        "mean": float(series.mean()) if len(series) else None,
        "sd": float(series.std(ddof=1)) if len(series) > 1 else None,
    }


def difference(runs: dict, baseline: dict) -> dict:
    """Compare a setting with another on the same faces, over the seeds that both have.

    Both hold, by seed, whether each face is right, bool (n,), and the measure of each draw, float (1 + resamples,).
    Returns the mean difference `value` with its interval `low`, `high` (faces drawn again, both settings on the same
    draws), `by_seed` and `sd` (training again), and McNemar's test of each seed: faces that only the setting
    (`gained`) or only the other has right (`lost`), and `p_by_seed`. Seeds share their faces, so that counts are not
    added up: `p` is the largest of the seeds where all point the same way, else 1, the test of "better with every
    seed" or "worse with every seed" (Berger, "Multiparameter hypothesis testing and acceptance sampling", 1982).
    """
    seeds = [seed for seed in runs if seed in baseline]
    apart = [runs[seed][1] - baseline[seed][1] for seed in seeds]
    tests = [mcnemar(runs[seed][0], baseline[seed][0]) for seed in seeds]
    one_way = len({np.sign(gained - lost) for gained, lost, _ in tests}) == 1
    by_seed = [interval(draws)["value"] for draws in apart]
    return {
        "seeds": seeds,
        **interval(np.mean(apart, axis=0) if seeds else np.array([np.nan])),
        "by_seed": by_seed,
        "sd": spread(by_seed)["sd"],
        **{key: [test[i] for test in tests] for i, key in enumerate(("gained", "lost", "p_by_seed"))},
        "p": (max(p for *_, p in tests) if one_way else 1.0) if seeds else None,
    }


def mcnemar(right: np.ndarray, other: np.ndarray) -> tuple[int, int, float]:
    """Count the faces that only the first, and only the other has right, bool (n,); and the exact two-sided p.

    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947, as
    a binomial test: without a difference, each face that only one has right is a toss of a coin.
    """
    gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
    return gained, lost, float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def holm(p: list[float | None]) -> list[float | None]:
    """Adjust p-values so that the chance of any false find among them stays below the level; None is no test.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    tests = sorted((value, i) for i, value in enumerate(p) if value is not None)
    adjusted, highest = [None] * len(p), 0.0
    for done, (value, i) in enumerate(tests):
        adjusted[i] = highest = max(highest, min(1.0, value * (len(tests) - done)))
    return adjusted
