"""What accuracy becomes with other groups, merged or trained for, each grouping beside its own most frequent group."""

import numpy as np
import pandas as pd

from ageclf.faces.groups import age_to_group, group_names
from ageclf.metrics.bootstrap import Resamples, interval, means, resample_clusters
from ageclf.metrics.evaluation import check_same_faces, probabilities


def measure_groupings(predictions: pd.DataFrame, metrics: dict, groupings: list[list], resamples: Resamples) -> dict:
    """Measure the accuracy of each grouping, by the names of its groups, and of always predicting its largest group.

    `groupings` are edges of coarser groups, `metrics` those of the predictions. The probabilities of merged groups are
    added up before the most probable one is taken. The largest group is that of training. Returns intervals:
    `accuracy`, `most_frequent`, and `gain`, the difference on the same faces. Raises ValueError unless all edges of a
    grouping are among the network's: a group cannot be split from predictions.
    """
    edges, counts = metrics["edges"], metrics["training_counts"]
    true, of_groups = predictions["group"].to_numpy(), probabilities(predictions)
    measured = {}
    for kept in groupings:
        unknown = sorted(set(kept) - set(edges))
        if unknown:
            raise ValueError(f"groups cannot be split at {unknown}: the network's edges are {edges}; merge those")
        merged = age_to_group([0, *edges], kept)
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
        (measured[name],) = measure_groupings(predictions, metrics, [metrics["edges"]], resamples).values()
    return measured
