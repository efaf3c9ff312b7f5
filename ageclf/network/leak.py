"""What a split by row leaks: one network, trained on both splits, measured by who has a twin in training.

A twin is another picture of the same cluster of near-duplicates.
"""

from pathlib import Path

import numpy as np
import pandas as pd

import ageclf
from ageclf.faces.clusters import PARTS, assign_parts
from ageclf.metrics.bootstrap import draw_clusters, interval, totals

KINDS = ("twin in training", "twin, but none in training", "no twin")


def both_splits(table: pd.DataFrame, clusters: np.ndarray, split_seed: int = 0) -> dict[str, np.ndarray]:
    """Assign the part of each face of `Faces.table` both ways, (n,) each: `by row` and `by cluster`.

    By row, the number of the row is hashed and not the pixels: exact copies go their own ways too.
    """
    by_row = assign_parts(table["row"].astype(str), np.arange(len(table)), split_seed)
    return {"by row": by_row, "by cluster": assign_parts(table["face_id"], clusters, split_seed)}


def kinds(clusters: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Tell of each face which of `KINDS` it is, (n,), from clusters and parts (n,)."""
    trained = pd.Series(parts == "train")
    twins = trained.groupby(clusters).transform("size") - 1
    in_training = trained.groupby(clusters).transform("sum") - trained
    return np.select([in_training > 0, twins > 0], KINDS[:2], KINDS[2])


def answers(
    run: str, split: str, parts: np.ndarray, images: np.ndarray, groups: np.ndarray, provenance: dict
) -> np.ndarray:
    """Train on one of `both_splits`; return the answers for its test part: groups, int (n,), -1 for other faces.

    `images` are uint8 (n, 48, 48), `groups` int (n,). `provenance` says what is trained, and how: data, groups
    (names), backbone, image_size, epochs, batch_size, learning_rate, seed, split_seed; augmentation is the usual one.
    The epoch of the lowest validation loss answers. When it is stopped, `training.fit` goes on where it was.
    """
    # Keras takes seconds to import, and most runs leave this study out.
    from ageclf.network.backend import keras
    from ageclf.network.checkpoints import load_model
    from ageclf.network.model import augmentation, build_network
    from ageclf.network.prediction import predict_probabilities
    from ageclf.network.progress import Progress
    from ageclf.network.training import fit

    network = {name: provenance[name] for name in ("backbone", "image_size")}
    schedule = {name: provenance[name] for name in ("epochs", "batch_size", "learning_rate", "seed")}
    targets = np.eye(len(provenance["groups"]), dtype="float32")[groups]
    keras.utils.set_random_seed(schedule["seed"])
    model = build_network(**network, n_groups=targets.shape[1], augment=augmentation(seed=schedule["seed"]))
    checkpoint, name = _checkpoint(run, split), split.replace(" ", "-")
    log = ageclf.resolve(f"reports/{run}/leak/{name}/training.csv")  # TensorBoard's folder goes beside it
    progress = Progress(checkpoint, log, provenance | {"run": checkpoint.stem, "split": split})
    train, val, test = (parts == part for part in PARTS)
    seen = [(images[part], targets[part]) for part in (train, val)]
    fit(model, *seen, progress, **schedule, head_epochs=0, head_learning_rate=0.0, patience=schedule["epochs"])
    kept = predict_probabilities(load_model(checkpoint), images[test])
    answered = np.full(len(parts), -1)
    answered[test] = kept.argmax(axis=1)
    return answered


def measure(
    splits: dict[str, np.ndarray],
    clusters: np.ndarray,
    right: dict[str, np.ndarray],
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Measure where the networks of `both_splits` are right, bool (n,) each, on their test parts.

    `splits` has for each split, and in it for `all` and each of `KINDS`, {n, value, low, high}: faces, accuracy and
    its 95 % interval. `differences` has {value, low, high} of the accuracy by row minus that by cluster: `all`;
    `no twin`, where nothing leaks; `twins`, faces with a twin in training minus faces whose twins are all outside it;
    `twins less no twin`; and `all by twins alone`, that times the share of faces with a twin in training. The last
    two do without what one of the trainings has done better by itself. Clusters are drawn for both test parts at
    once, since these share faces. What is undefined is None.
    """
    tested = np.any([parts == "test" for parts in splits.values()], axis=0)
    draws = draw_clusters(clusters[tested], n_resamples, seed)
    accuracy, counts, measured = {}, {}, {}
    for split, parts in splits.items():
        kind = kinds(clusters, parts)
        inside = np.stack([parts == "test", *((parts == "test") & (kind == one) for one in KINDS)], axis=1)
        hits = inside & right[split][:, np.newaxis]
        counts[split] = totals(inside[tested], draws)
        with np.errstate(invalid="ignore"):
            accuracy[split] = totals(hits[tested], draws) / counts[split]
        rows = zip(("all", *KINDS), counts[split][0], interval(accuracy[split]), strict=True)
        measured[split] = {name: {"n": int(n), **value} for name, n, value in rows}
    by_row, by_cluster = accuracy["by row"].T, accuracy["by cluster"].T
    differences = {"all": by_row[0] - by_cluster[0], "no twin": by_row[3] - by_cluster[3]}
    differences["twins"] = by_row[1] - by_cluster[2]
    differences["twins less no twin"] = differences["twins"] - differences["no twin"]
    share = counts["by row"][:, 1] / counts["by row"][:, 0]
    differences["all by twins alone"] = share * differences["twins less no twin"]
    return {"splits": measured, "differences": {name: interval(values) for name, values in differences.items()}}


def write(run: str, results: dict) -> None:
    """Write `reports/<run>/leak.json`, then remove the two networks: they were for this measurement alone.

    `results` are those of `measure`, with `schema` (1) and the provenance of `answers` beside them.
    """
    ageclf.write_json(ageclf.resolve(f"reports/{run}/leak.json"), results)
    for split in results["splits"]:
        for suffix in (".keras", ".json", ".training.npz"):
            _checkpoint(run, split).with_suffix(suffix).unlink(missing_ok=True)


def _checkpoint(run: str, split: str) -> Path:
    return ageclf.resolve(f"checkpoint/{run}-leak-{split.replace(' ', '-')}.keras")
