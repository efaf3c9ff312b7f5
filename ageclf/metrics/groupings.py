"""What accuracy becomes with other groups, merged or trained for, each grouping beside its own most frequent group."""

import numpy as np
import pandas as pd

from ageclf.faces.groups import group_names
from ageclf.metrics.bootstrap import Resamples, interval, means, resample_clusters
from ageclf.metrics.evaluation import check_same_faces, probabilities


def coarser(edges: list[int], kept: list[int]) -> np.ndarray:
    """Return the group under the edges `kept` of each group under `edges`, int (len(edges) + 1,).

    Raises ValueError unless all that are kept are among the edges: a group cannot be split from predictions.
    """
    unknown = sorted(set(kept) - set(edges))
    if unknown:
        raise ValueError(f"groups cannot be split at {unknown}: the network's edges are {list(edges)}; merge those")
    return np.searchsorted(kept, [0, *edges], side="right")


def measure_groupings(
    predictions: pd.DataFrame, edges: list[int], counts: list[int], groupings: list[list[int]], resamples: Resamples
) -> dict[str, dict]:
    """Measure the accuracy of each grouping, by the names of its groups, and of always predicting its largest group.

    The probabilities of merged groups are added up before the most probable one is taken. The largest group is that of
    training, whose faces `counts` has by group. Returns intervals: `accuracy`, `most_frequent`, and `gain`, the
    difference on the same faces.
    """
    true, of_groups = predictions["group"].to_numpy(), probabilities(predictions)
    measured = {}
    for kept in groupings:
        merged = coarser(edges, kept)
        into = np.eye(len(kept) + 1)[merged]
        right = (of_groups @ into).argmax(axis=1) == merged[true]
        frequent = merged[true] == np.argmax(np.asarray(counts) @ into)
        accuracy, baseline = means(right, resamples), means(frequent, resamples)
        values = {"accuracy": accuracy, "most_frequent": baseline, "gain": accuracy - baseline}
        measured[" | ".join(group_names(kept))] = {measure: interval(value) for measure, value in values.items()}
    return measured


def measure_runs(results: dict[str, tuple], n_resamples: int = 1000, seed: int = 0) -> dict[str, dict]:
    """Measure the groups of each run, by its name: what `measure_groupings` returns for the run's own edges.

    `results` are the predictions table and the measures of each run, as `run_folder.read_results` returns them. Each
    run's own clusters are resampled. Raises ValueError unless all have measured what the first one has: the same data,
    part and split, and as many faces. Groups may differ, and so may everything about training.
    """
    check_same_faces(results, ("part", "split_seed", "n"))
    measured = {}
    for name, (predictions, metrics) in results.items():
        resamples = resample_clusters(predictions["cluster"].to_numpy(), n_resamples, seed)
        edges, counts = metrics["edges"], metrics["training_counts"]
        (measured[name],) = measure_groupings(predictions, edges, counts, [edges], resamples).values()
    return measured
