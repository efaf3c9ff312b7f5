"""From probabilities to the predictions table, and from the table to measures with intervals.

Every measure is a function of the confusion matrix, so that a thousand bootstrap resamples are one matrix
product: the counts of each cluster, times how often the cluster was drawn.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

import ageclf
from ageclf.groups import age_to_group, group_names
from ageclf.images import black_edge_share, brightness
from ageclf.reading import Faces
from ageclf.splitting import PARTS

HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "off_by_one")


def choose_faces(
    face_ids: pd.Series, parts: np.ndarray, part: str, training_faces: list[str] | None
) -> tuple[np.ndarray, int | None]:
    """Choose the faces of a part, bool (n,), and count those left out because the network was trained on them.

    `part` is one of `splitting.PARTS` or `all`; only `train` keeps training faces. Where these are not known (None),
    none is left out, and the count is None too. Raises ValueError for another part, and when no face is left.
    """
    if part not in (*PARTS, "all"):
        raise ValueError(f"part={part!r}: expected one of {', '.join(PARTS)}, all")
    wanted = np.full(len(parts), True) if part == "all" else parts == part
    seen = wanted & face_ids.isin(training_faces or []).to_numpy() & (part != "train")
    if not (wanted & ~seen).any():
        raise ValueError(f"part={part!r}: no face that the network was not trained on; choose another part or data")
    return wanted & ~seen, None if training_faces is None else int(seen.sum())


def predictions_table(
    faces: Faces, clusters: np.ndarray, parts: np.ndarray, probabilities: np.ndarray, edges: list[int]
) -> pd.DataFrame:
    """Put what is known of each face and the probabilities, float (n, groups), into one table, one row a face."""
    known = faces.table
    table = known[["row", "face_id"]].assign(
        cluster=clusters, part=parts, age=known["age"], group=age_to_group(known["age"], edges)
    )
    for group in range(probabilities.shape[1]):
        table[f"p_{group}"] = probabilities[:, group]
    return table.assign(
        ethnicity=known["ethnicity"],
        gender=known["gender"],
        black_edge=black_edge_share(faces.images),
        brightness=brightness(faces.images),
    )


def predicted_groups(predictions: pd.DataFrame) -> np.ndarray:
    """Return the most probable group of each row, int (n,)."""
    return predictions.filter(regex=r"^p_\d+$").to_numpy().argmax(axis=1)


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, n_groups: int) -> np.ndarray:
    """Count true group (rows) against predicted group (columns), int (n_groups, n_groups)."""
    return np.bincount(true * n_groups + predicted, minlength=n_groups**2).reshape(n_groups, n_groups)


def measures(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Compute measures from confusion matrices (…, k, k): shares (…), and per group (…, k), all in 0–1.

    Balanced accuracy is the mean recall, macro F1 the mean F1, each over the groups where it is defined;
    off-by-one accuracy counts a neighbouring group as right. A recall without faces, a precision without
    predictions, an F1 without either is NaN.
    """
    confusion = np.asarray(confusion, dtype=float)
    total = confusion.sum(axis=(-2, -1))
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    distance = np.abs(np.subtract.outer(*[np.arange(confusion.shape[-1])] * 2))
    with np.errstate(invalid="ignore"):
        recall, precision, f1 = hits / true, hits / predicted, 2 * hits / (true + predicted)
    return {
        "accuracy": hits.sum(axis=-1) / total,
        "balanced_accuracy": np.nanmean(recall, axis=-1),
        "macro_f1": np.nanmean(f1, axis=-1),
        "off_by_one": (confusion * (distance <= 1)).sum(axis=(-2, -1)) / total,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def bootstrap_confusions(
    true: np.ndarray, predicted: np.ndarray, clusters: np.ndarray, n_groups: int, n_resamples: int, seed: int
) -> np.ndarray:
    """Draw whole clusters with replacement; return the confusion matrix of each resample, int (n_resamples, k, k).

    Near-duplicates are not independent: drawn as single faces they would make intervals too narrow
    (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
    """
    labels, cluster = np.unique(clusters, return_inverse=True)
    counts = np.zeros((len(labels), n_groups**2))
    np.add.at(counts, (cluster, true * n_groups + predicted), 1)
    drawn = np.random.default_rng(seed).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), n_resamples)
    return (drawn @ counts).astype(int).reshape(n_resamples, n_groups, n_groups)


def evaluate(
    predictions: pd.DataFrame, edges: list[int], majority: int, n_resamples: int = 1000, seed: int = 0
) -> dict:
    """Measure a predictions table: the measures of `metrics.json`, each with a 95 % percentile interval.

    `majority` is the index of the group that is most frequent among the training faces: the baseline that
    always answers it is measured on the same faces and the same resamples. Raises ValueError when the table
    is empty.
    """
    if predictions.empty:
        raise ValueError("no faces to evaluate: choose another part, or data that training has not seen")
    names = group_names(edges)
    true, clusters = predictions["group"].to_numpy(), predictions["cluster"].to_numpy()

    def measured(predicted: np.ndarray) -> tuple[np.ndarray, dict]:
        confusion = confusion_matrix(true, predicted, len(names))
        resampled = bootstrap_confusions(true, predicted, clusters, len(names), n_resamples, seed)
        return confusion, with_intervals(measures(confusion), measures(resampled))

    confusion, values = measured(predicted_groups(predictions))
    _, baseline = measured(np.full(len(true), majority))
    per_group = [
        {
            "group": name,
            "n": int(n),
            **{measure: values[measure][index] for measure in ("precision", "recall", "f1")},
        }
        for index, (name, n) in enumerate(zip(names, confusion.sum(axis=1), strict=True))
    ]
    return {
        "n": len(predictions),
        "clusters": int(predictions["cluster"].nunique()),
        "groups": names,
        "edges": list(edges),
        "measures": {measure: values[measure] for measure in HEADLINE},
        "per_group": per_group,
        "baselines": {"majority": {"group": names[majority], **{measure: baseline[measure] for measure in HEADLINE}}},
        "confusion": confusion.tolist(),
    }


def with_intervals(values: dict[str, np.ndarray], resampled: dict[str, np.ndarray]) -> dict:
    """Pair each measure with the 2.5th and 97.5th percentile of its resamples; undefined ones are None."""

    def interval(value: float, samples: np.ndarray) -> dict:
        if np.isnan(value):
            return {"value": None, "low": None, "high": None}
        low, high = np.nanpercentile(samples, [2.5, 97.5])
        return {"value": float(value), "low": float(low), "high": float(high)}

    return {
        measure: interval(value, resampled[measure])
        if np.ndim(value) == 0
        else [interval(single, resampled[measure][:, index]) for index, single in enumerate(value)]
        for measure, value in values.items()
    }


def write_results(folder: Path, predictions: pd.DataFrame, metrics: dict) -> None:
    """Write `predictions.parquet` and `metrics.json` into a run's folder, each aside and then renamed."""
    text = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
    ageclf.write_aside(folder / "predictions.parquet", lambda aside: predictions.to_parquet(aside, index=False))
    ageclf.write_aside(folder / "metrics.json", lambda aside: aside.write_text(text, encoding="utf-8"))


def measures_frame(results: dict) -> pd.DataFrame:
    """Lay out the headline measures of `metrics.json` beside the majority baseline, in per cent with intervals."""
    rows = {"network": results["measures"], "majority baseline": results["baselines"]["majority"]}
    return pd.DataFrame(
        {name: {measure: percent(row[measure]) for measure in HEADLINE} for name, row in rows.items()}
    ).rename(index=lambda measure: measure.replace("_", " "))


def per_group_frame(results: dict) -> pd.DataFrame:
    """Lay out precision, recall and F1 of each group, in per cent with intervals."""
    rows = [
        {
            "group": row["group"],
            "faces": row["n"],
            **{name: percent(row[name]) for name in ("precision", "recall", "f1")},
        }
        for row in results["per_group"]
    ]
    return pd.DataFrame(rows).set_index("group")


def percent(measure: dict) -> str:
    """Write a measure as `70.5 % (68.9–72.1)`."""
    if measure["value"] is None:
        return "–"
    return f"{measure['value']:.1%} ({100 * measure['low']:.1f}–{100 * measure['high']:.1f})".replace("%", " %")
