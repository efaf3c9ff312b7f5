"""Faces predicted in a second, by `predict_probabilities` against plain `model.predict`, for a few and for many.

    python benchmarks/prediction.py [CSV]

Networks that are already compiled, with random weights and recomputed statistics; without a file the faces
are synthetic. Both must give the same probabilities within 1e-4.
"""

import sys
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from _measure import in_turns, print_table, seconds, spread
from _synthetic_faces import synthesize_sample

from ageclf.faces.reading import load_faces
from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network, flip_averaged
from ageclf.network.prediction import predict_probabilities
from ageclf.network.training import recompute_batch_norm

REPETITIONS = {1: 100, 32: 30, 10_000: 3}  # by the number of faces


def compare_networks(images: np.ndarray, repetitions: dict[int, int]) -> None:
    keras.utils.set_random_seed(0)
    small = build_network(augment=augmentation())
    recompute_batch_norm(small, images[:256])  # or all probabilities might be the same
    table = []
    for name, network in {"small": small, "small, flip-averaged": flip_averaged(small)}.items():
        for count, times in repetitions.items():
            faces = np.resize(images, (count, 48, 48))  # over again where there are not enough
            ways = {
                "ours": partial(predict_probabilities, network, faces),
                "plain": partial(network.predict, faces[..., np.newaxis], verbose=0),
            }
            predictions = {way: call() for way, call in ways.items()}
            off = float(np.abs(predictions["ours"] - predictions["plain"]).max())
            if off > 1e-4:
                raise ValueError(f"{name}, {count:,} faces: probabilities differ by {off:.1e}, more than 1e-4")
            taken = in_turns({way: partial(seconds, call) for way, call in ways.items()}, times)
            rates = {way: [count / each for each in taken[way]] for way in ways}
            ratio = f"{median(rates['ours']) / median(rates['plain']):.2f}"
            span = f"{predictions['plain'].max(axis=1).min():.2f}–{predictions['plain'].max(axis=1).max():.2f}"
            table.append([name, f"{count:,}", *(spread(rates[way], 0) for way in ways), ratio, f"{off:.0e}", span])
    ours, plain = (f"{way}, faces a second, median (min–max)" for way in ("predict_probabilities", "baseline: predict"))
    header = ["network", "faces", ours, plain, "of the baseline", "largest difference", "highest probabilities"]
    print_table(header, table)


def main(arguments: list[str], repetitions: dict[int, int] = REPETITIONS) -> None:
    path = Path(arguments[0]).resolve() if arguments else "sample"
    images = load_faces(path).images if arguments else synthesize_sample(2000)[0]
    print(f"{path.name if arguments else 'SYNTHETIC faces'}")
    compare_networks(images, repetitions)


if __name__ == "__main__":
    main(sys.argv[1:])
