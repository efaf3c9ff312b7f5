"""From probabilities to the predictions table, and from the table to what `metrics.json` holds."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

import ageclf
from ageclf.faces.clusters import PARTS
from ageclf.faces.groups import age_to_group, group_names
from ageclf.faces.images import black_edge_share, brightness
from ageclf.faces.reading import Faces
from ageclf.metrics.bootstrap import Resamples, confusion_matrices, from_confusion, interval, means
from ageclf.metrics.calibration import calibration, scale
from ageclf.metrics.slices import slice_frames

SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "off_by_one")
HEADLINE = (*SHARES, "quadratic_kappa", "ordinal_mae")


def choose_faces(
    face_ids: pd.Series, parts: np.ndarray, part: str, training_faces: list[str] | None
) -> tuple[np.ndarray, int | None]:
    """Choose the faces of a part, bool (n,), and count those left out because the network was trained on them.

    `part` is one of `clusters.PARTS` or `all`; only `train` keeps training faces. Where these are not known (None),
    none is left out, and the count is None too. Raises ValueError for another part, and when no face is left.
    """
    if part not in (*PARTS, "all"):
        raise ValueError(f"part={part!r}: expected one of {', '.join(PARTS)}, all")
    wanted = np.full(len(parts), True) if part == "all" else parts == part
    seen = wanted & face_ids.isin(training_faces or []).to_numpy() & (part != "train")
    if seen.all(where=wanted):
        raise ValueError(f"part={part!r}: no face that the network was not trained on; choose another part or data")
    return wanted & ~seen, None if training_faces is None else int(seen.sum())


def predictions_table(
    faces: Faces, clusters: np.ndarray, parts: np.ndarray, probabilities: np.ndarray, edges: list[int]
) -> pd.DataFrame:
    """Put labels and properties of each face and the probabilities, float (n, groups), into one table, a row a face."""
    labels = faces.table
    columns = {"cluster": clusters, "part": parts, "age": labels["age"], "group": age_to_group(labels["age"], edges)}
    columns |= {f"p_{group}": column for group, column in enumerate(probabilities.T)}
    columns |= {"ethnicity": labels["ethnicity"], "gender": labels["gender"]}
    columns |= {"black_edge": black_edge_share(faces.images), "brightness": brightness(faces.images)}
    return labels[["row", "face_id"]].assign(**columns)


def probabilities(predictions: pd.DataFrame) -> np.ndarray:
    """Return the probabilities of a predictions table, float (n, groups)."""
    return predictions.filter(regex=r"^p_\d+$").to_numpy()


def evaluate(predictions: pd.DataFrame, metadata: dict, baselines: dict, resamples: Resamples) -> dict:
    """Measure a predictions table: the measures of `metrics.json`, each with a 95 % percentile interval.

    `metadata` is that of the checkpoint. It holds the `edges` of the groups and `group_ages`, the mean age of each
    group in training: `mae_years` is the mean distance of each age from their mean, weighted by probability.
    Probabilities are measured as they are and scaled by its `temperature`. `baselines` are predicted groups, int (n,),
    of the same faces, by name, `most_frequent` among them.
    """
    names, temperature = group_names(metadata["edges"]), metadata["temperature"]
    true, scores = predictions["group"].to_numpy(), probabilities(predictions)
    predicted = {"network": scores.argmax(axis=1)} | baselines
    confusion = {name: confusion_matrices(true, groups, len(names), resamples) for name, groups in predicted.items()}
    measured = {name: from_confusion(matrices) for name, matrices in confusion.items()}
    headline = {name: {measure: interval(values[measure]) for measure in HEADLINE} for name, values in measured.items()}
    headline["most_frequent"] = {"group": names[baselines["most_frequent"][0]]} | headline["most_frequent"]
    age_errors = np.abs(predictions["age"].to_numpy() - scores @ np.asarray(metadata["group_ages"]))
    per_group = {"group": names, "n": confusion["network"][0].sum(axis=1)}
    per_group |= {key: interval(measured["network"][key]) for key in ("precision", "recall", "f1")}
    return {
        "n": len(predictions),
        "clusters": int(predictions["cluster"].nunique()),
        "groups": names,
        "edges": list(metadata["edges"]),
        "measures": headline.pop("network") | {"mae_years": interval(means(age_errors, resamples))},
        "per_group": pd.DataFrame(per_group).to_dict("records"),
        "baselines": headline,
        "calibration": {
            "temperature": temperature,
            "before": calibration(scores, true, resamples),
            "after": calibration(scale(scores, temperature), true, resamples),
        },
        "slices": {
            way: frame.astype(object).where(frame.notna(), None).to_dict("records")
            for way, frame in slice_frames(predictions, predicted["network"] == true, names, resamples).items()
        },
        "confusion": confusion["network"][0].tolist(),
    }


def check_network(metrics: dict, checkpoint: str | Path) -> None:
    """Raise ValueError when a checkpoint is not the one that `05_evaluation` measured."""
    if ageclf.sha256(Path(checkpoint)) != metrics["checkpoint_sha256"]:
        measured = f"these predictions were made by another network ({metrics['checkpoint']} as it was then)"
        raise ValueError(f"{checkpoint}: {measured}; run 05_evaluation again, or name that one as checkpoint")


def check_same_faces(results: dict[str, tuple], keys: tuple[str, ...], columns: tuple[str, ...] = ()) -> None:
    """Raise ValueError, naming run and key, unless all runs were measured on the same data.

    `results` are predictions and metrics by run, as `run_folder.read_results` returns them. Besides the data, `keys` of
    the metrics and `columns` of the predictions must be those of the first run.
    """
    for name, (predictions, metrics) in results.items():
        first, (expected, reference) = next(iter(results.items()))
        different = ["data"] if metrics["data"]["sha256"] != reference["data"]["sha256"] else []
        different += [key for key in keys if metrics[key] != reference[key]]
        different += [column for column in columns if not np.array_equal(predictions[column], expected[column])]
        if different:
            raise ValueError(f"{name}: {different[0]} differs from that of {first}; make both again on the same faces")


def images_of(predictions: pd.DataFrame, faces: Faces) -> np.ndarray:
    """Return the images, uint8 (n, 48, 48), of the rows of a predictions table.

    Raises ValueError when these are not the faces that were predicted.
    """
    positions = pd.Index(faces.table["row"]).get_indexer(predictions["row"])
    if (positions < 0).any() or (faces.table["face_id"].to_numpy()[positions] != predictions["face_id"]).any():
        raise ValueError(f"{faces.source['name']}: not the faces that 05_evaluation predicted; give the same data")
    return faces.images[positions]


def describe(metrics: dict) -> str:
    """One line for the top of a notebook: what was measured, and whether the faces are real."""
    data = "SYNTHETIC sample" if metrics["data"]["synthetic"] else metrics["data"]["name"]
    accuracy = metrics["measures"]["accuracy"]["value"]
    return f"{data}, part {metrics['part']!r}: {metrics['n']:,} faces, accuracy {accuracy:.1%}; {metrics['checkpoint']}"


def baselines(faces: Faces, train: np.ndarray, chosen: np.ndarray, metadata: dict, seed: int) -> dict[str, np.ndarray]:
    """Predict groups, int (m,), for the chosen ones, bool (n,), of n faces by each baseline.

    `metadata` is that of the checkpoint: the `edges` of the groups, and `training_counts`, the faces of each group that
    the network was trained on. `most_frequent` and `stratified` are scikit-learn's strategies for a DummyClassifier,
    fitted on as many. `logistic` is a logistic regression on thumbnails of 12×12 pixels, trained on the faces `train`,
    bool (n,), that are not chosen; where these have fewer than two groups it is left out.
    """
    images, groups = faces.images, age_to_group(faces.table["age"], metadata["edges"])
    predicted, trained_on = {}, np.repeat(np.arange(len(metadata["edges"]) + 1), metadata["training_counts"])
    for strategy in ("most_frequent", "stratified"):
        dummy = DummyClassifier(strategy=strategy, random_state=seed).fit(trained_on, trained_on)
        predicted[strategy] = dummy.predict(images[chosen])
    others = train & ~chosen
    if len(np.unique(groups[others])) > 1:
        blocks = images.reshape(len(images), 12, 4, 12, 4)
        thumbnails = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(len(images), -1) / 127.5 - 1
        model = LogisticRegression(max_iter=300).fit(thumbnails[others], groups[others])
        predicted["logistic"] = model.predict(thumbnails[chosen])
    return predicted
