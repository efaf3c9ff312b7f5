"""From probabilities to the predictions table, and from the table to what `metrics.json` holds."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import ageclf
from ageclf.faces.clusters import PARTS
from ageclf.faces.groups import age_to_group, group_names
from ageclf.faces.images import black_edge_share, brightness
from ageclf.faces.reading import Faces
from ageclf.metrics.bootstrap import confusion_matrices, draw_clusters, from_confusion, interval, totals
from ageclf.metrics.calibration import calibration, scale
from ageclf.metrics.slices import slice_frames

SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "off_by_one")


HEADLINE = (*SHARES, "quadratic_kappa", "groups_off")


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


def probabilities(predictions: pd.DataFrame) -> np.ndarray:
    """Return the probabilities of a predictions table, float (n, groups)."""
    return predictions.filter(regex=r"^p_\d+$").to_numpy()


def predicted_groups(predictions: pd.DataFrame) -> np.ndarray:
    """Return the most probable group of each row, int (n,)."""
    return probabilities(predictions).argmax(axis=1)


def years_off(predictions: pd.DataFrame, group_ages: list[float]) -> np.ndarray:
    """Distance in years, float (n,), of each age from the one expected: the groups' mean ages, by probability."""
    return np.abs(predictions["age"].to_numpy() - probabilities(predictions) @ np.asarray(group_ages))


def evaluate(
    predictions: pd.DataFrame,
    edges: list[int],
    baselines: dict[str, np.ndarray],
    group_ages: list[float],
    temperature: float,
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Measure a predictions table: the measures of `metrics.json`, each with a 95 % percentile interval.

    `baselines` are predicted groups, int (n,), of the same faces, measured on the same resamples; `group_ages` the
    mean age of each group in training. Probabilities are measured as they are and divided by `temperature`. Raises
    ValueError when the table is empty.
    """
    if predictions.empty:
        raise ValueError("no faces to evaluate: choose another part, or data that training has not seen")
    names = group_names(edges)
    true, sure = predictions["group"].to_numpy(), probabilities(predictions)
    draws = draw_clusters(predictions["cluster"].to_numpy(), n_resamples, seed)

    predicted = sure.argmax(axis=1)
    confusion = confusion_matrices(true, predicted, len(names), draws)
    values = {name: interval(measure) for name, measure in from_confusion(confusion).items()}
    years = totals(years_off(predictions, group_ages), draws) / totals(np.ones(len(true)), draws)
    counts = confusion[0].sum(axis=1).tolist()
    per_group = [
        {"group": name, "n": n, **{measure: values[measure][i] for measure in ("precision", "recall", "f1")}}
        for i, (name, n) in enumerate(zip(names, counts, strict=True))
    ]
    return {
        "n": len(predictions),
        "clusters": int(predictions["cluster"].nunique()),
        "groups": names,
        "edges": list(edges),
        "measures": {name: values[name] for name in HEADLINE} | {"years_off": interval(years)},
        "per_group": per_group,
        "baselines": {
            name: _measure_baseline(name, true, answers, names, draws) for name, answers in baselines.items()
        },
        "calibration": {
            "temperature": temperature,
            "before": calibration(sure, true, draws),
            "after": calibration(scale(sure, temperature), true, draws),
        },
        "slices": {
            way: frame.astype(object).where(frame.notna(), None).to_dict("records")
            for way, frame in slice_frames(predictions, predicted == true, names, draws).items()
        },
        "confusion": confusion[0].tolist(),
    }


def _measure_baseline(
    name: str, true: np.ndarray, answers: np.ndarray, names: list[str], draws: tuple[np.ndarray, np.ndarray]
) -> dict:
    values = from_confusion(confusion_matrices(true, answers, len(names), draws))
    always = {"group": names[answers[0]]} if name == "majority" else {}
    return always | {measure: interval(values[measure]) for measure in HEADLINE}


def check_network(metrics: dict, checkpoint: Path) -> None:
    """Raise ValueError when a checkpoint is not the one that `05_evaluation` measured."""
    if ageclf.sha256(checkpoint) != metrics["checkpoint_sha256"]:
        measured = f"these predictions were made by another network ({metrics['checkpoint']} as it was then)"
        raise ValueError(f"{checkpoint}: {measured}; run 05_evaluation again, or name that one as checkpoint")


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


THUMBNAIL = 12  # pixels a side


def baselines(
    images: np.ndarray, train: np.ndarray, groups: np.ndarray, chosen: np.ndarray, counts: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Predict groups, int (m,), for the chosen ones of images uint8 (n, 48, 48) by each baseline.

    `majority` always answers the most frequent group of training, `prior` draws from the groups as frequent as
    there, by `counts` (groups,). `logistic` is a logistic regression on thumbnails of 12×12 pixels, trained on the
    faces `train`, bool (n,), that are not chosen; where these have fewer than two groups it is left out.
    """
    answers = {
        "majority": np.full(chosen.sum(), np.argmax(counts)),
        "prior": np.random.default_rng(seed).choice(len(counts), chosen.sum(), p=np.asarray(counts) / np.sum(counts)),
    }
    train = train & ~chosen
    if len(np.unique(groups[train])) > 1:
        features = thumbnails(images)
        model = LogisticRegression(max_iter=300).fit(features[train], groups[train])
        answers["logistic"] = model.predict(features[chosen])
    return answers


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Mean grey values of the 4×4 blocks of images (n, 48, 48), float32 (n, 144) in -1–1."""
    block = images.shape[1] // THUMBNAIL
    blocks = images.reshape(len(images), THUMBNAIL, block, THUMBNAIL, block)
    return blocks.mean(axis=(2, 4), dtype=np.float32).reshape(len(images), -1) / 127.5 - 1
