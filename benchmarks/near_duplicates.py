"""Clusters of near-duplicates against correlations of all pixels, block by block, both orientations.

    python benchmarks/near_duplicates.py [CSV]

Once for half of the faces and once for all of them; without a file those are 9,600 synthetic ones. Then up to 200,000
random pictures. Seconds over rows squared stay the same where time grows with the square of the rows.
"""

import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from _measure import compare, in_turns, measure, print_table, spread
from _synthetic_faces import synthesize_sample
from scipy.fft import dct

from ageclf.faces.reading import load_faces

OURS = "cluster_near_duplicates(images)"
SETUP = """
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from ageclf.faces.clusters import cluster_near_duplicates
images = np.array(np.load({path!r}, mmap_mode="r")[:{rows}])
"""
PLAIN = """
flat = images.reshape(len(images), -1).astype(np.float32)
flat -= flat.mean(axis=1, keepdims=True)
flat /= np.linalg.norm(flat, axis=1, keepdims=True)
mirrored = flat.reshape(images.shape)[:, :, ::-1].reshape(flat.shape)
pairs = []
for i in range(0, len(flat), 1024):
    for j in range(i, len(flat), 1024):
        for other in (flat, mirrored):
            near = np.argwhere(flat[i : i + 1024] @ other[j : j + 1024].T > 0.95)
            pairs.append(near + [i, j])
first, second = np.concatenate(pairs).T
graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(flat), len(flat)))
connected_components(graph, directed=False)
"""


def write_fields(path: Path, rows: int) -> None:
    """Write random pictures of low frequencies, uint8 (rows, 48, 48), a thousand at a time.

    One in a hundred is a darker mirror image of its neighbour. The amplitudes fall with the frequency so fast that of
    all other pairs 2.3 in a million are candidates, all to be verified; among the faces of UTKFace 2.6 are.
    """
    rng = np.random.default_rng(0)
    amplitude = (1 + np.hypot(*np.mgrid[:16, :16])) ** -2.3
    amplitude[0, 0] = 0
    basis = dct(np.eye(48), axis=0, norm="ortho")[:16]
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, 48, 48))
    for i in range(0, rows, 1000):
        waves = basis.T @ (amplitude * rng.normal(size=(min(1000, rows - i), 16, 16))) @ basis
        pictures = 128 + 40 * waves / waves.std(axis=(1, 2), keepdims=True)
        copies = pictures[1::100]
        copies[:] = 0.9 * pictures[::100][: len(copies), :, ::-1]
        images[i : i + 1000] = np.clip(pictures + rng.normal(0, 3, pictures.shape), 0, 255)


def compare_with_baseline(path: Path, rows: int, repetitions: int) -> None:
    setup = SETUP.format(path=str(path), rows=rows)
    print(f"{rows:,} rows")
    pieces = {"cluster_near_duplicates": (setup, OURS), "baseline: all correlations": (setup, PLAIN)}
    compare(pieces, repetitions)


def main(
    arguments: list[str], sizes: tuple[int, ...] = (25_000, 50_000, 100_000, 200_000), repetitions: int = 3
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.npy")
        if arguments:
            images = load_faces(Path(arguments[0]).resolve()).images
        else:
            images = np.concatenate([synthesize_sample(seed=seed)[0] for seed in range(16)])
        np.save(path, images)
        print(f"{Path(arguments[0]).name if arguments else 'SYNTHETIC faces'}:", end=" ")
        compare_with_baseline(path, len(images) // 2, repetitions)
        compare_with_baseline(path, len(images), repetitions)

        write_fields(path, sizes[-1])
        print("Random pictures:", end=" ")
        compare_with_baseline(path, sizes[0], repetitions)
        setups = {rows: SETUP.format(path=str(path), rows=rows) for rows in sizes}
        runs = in_turns({rows: partial(measure, setup, OURS) for rows, setup in setups.items()}, repetitions)
        table = []
        for rows, measured in runs.items():
            taken, peaks = zip(*measured, strict=True)
            squared = statistics.median(taken) / (rows / 10_000) ** 2
            pictures = f"{rows * 48 * 48 / 2**20:.0f}"
            table.append([f"{rows:,}", spread(taken), f"{squared:.3f}", f"{statistics.median(peaks):.0f}", pictures])
        header = ["rows", "seconds, median (min–max)", "seconds / (rows / 10,000)²", "peak MiB", "of it pictures"]
        print_table(header, table)


if __name__ == "__main__":
    main(sys.argv[1:])
