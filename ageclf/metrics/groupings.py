"""What accuracy becomes with other groups, merged or trained for, each grouping beside its own majority baseline."""

import numpy as np
import pandas as pd

from ageclf.faces.groups import group_names
from ageclf.metrics.bootstrap import draw_clusters, interval, totals
from ageclf.metrics.evaluation import probabilities


def coarser(edges: list[int], kept: list[int]) -> np.ndarray:
    """Return the group under the edges `kept` of each group under `edges`, int (len(edges) + 1,).

    Raises ValueError unless all that are kept are among the edges: a group cannot be split from predictions.
    """
    unknown = sorted(set(kept) - set(edges))
    if unknown:
        raise ValueError(f"groups cannot be split at {unknown}: the network knows the edges {list(edges)}; merge those")
    return np.searchsorted(kept, [0, *edges], side="right")


def measure_groupings(
    predictions: pd.DataFrame,
    edges: list[int],
    training_counts: list[int],
    groupings: list[list[int]],
    draws: tuple[np.ndarray, np.ndarray],
) -> dict[str, dict]:
    """Measure the accuracy of each grouping, by the names of its groups, and of always answering its majority.

    The probabilities of merged groups are added up before the most probable one is taken. The majority is that of
    training. Returns intervals: `accuracy`, `majority`, and `gain`, the difference on the same faces.
    """
    true, shares = predictions["group"].to_numpy(), probabilities(predictions)
    n = totals(np.ones(len(true)), draws)
    measured = {}
    for kept in groupings:
        merged = coarser(edges, kept)
        into = np.eye(len(kept) + 1)[merged]
        right = (shares @ into).argmax(axis=1) == merged[true]
        frequent = merged[true] == np.argmax(np.asarray(training_counts) @ into)
        accuracy, majority = (totals(hits.astype(float), draws) / n for hits in (right, frequent))
        values = {"accuracy": accuracy, "majority": majority, "gain": accuracy - majority}
        name = " | ".join(group_names(kept))
        measured[name] = {measure: interval(value) for measure, value in values.items()}
    return measured


def measure_runs(results: dict[str, tuple], n_resamples: int = 1000, seed: int = 0) -> dict[str, dict]:
    """Measure the groups of each run, by its name: what `measure_groupings` returns for the run's own edges.

    `results` are the predictions table and the measures of each run, as `evaluation.read_results` gives them. Each
    run's own clusters are drawn. Raises ValueError unless all have measured what the first one has: the same data,
    part and split, and as many faces. Groups may differ, and so may everything about training.
    """
    first = next(iter(results))
    measured = {}
    for name, (predictions, metrics) in results.items():
        for what, value in _measured_on(metrics).items():
            expected = _measured_on(results[first][1])[what]
            if value != expected:
                apart = f"run {name!r} cannot stand beside {first!r}: {what} is {value!r}, not {expected!r}"
                raise ValueError(f"{apart}; make one of them again, or take it out of other_runs")
        draws = draw_clusters(predictions["cluster"].to_numpy(), n_resamples, seed)
        edges, counts = metrics["edges"], metrics["training_counts"]
        (measured[name],) = measure_groupings(predictions, edges, counts, [edges], draws).values()
    return measured


def _measured_on(metrics: dict) -> dict:
    return {"data sha256": metrics["data"]["sha256"], **{key: metrics[key] for key in ("part", "split_seed", "n")}}
