"""Clusters of near-duplicates against correlations of all pixels, block by block, both orientations.

    python benchmarks/near_duplicates.py [CSV]

Once for half of the faces and once for all of them; without a file those are 9,600 synthetic ones.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from _measure import compare

from ageclf.reading import load_faces
from ageclf.sample import draw_sample

SETUP = """
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from ageclf.images import cluster_near_duplicates
images = np.load({path!r})[:{rows}]
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


def main() -> None:
    if len(sys.argv) > 1:
        images = load_faces(Path(sys.argv[1]).resolve()).images
    else:
        images = np.concatenate([draw_sample(seed=seed)[0] for seed in range(16)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.npy")
        np.save(path, images)
        for rows in (len(images) // 2, len(images)):
            setup = SETUP.format(path=str(path), rows=rows)
            print(f"\n{rows:,} rows\n")
            pieces = {
                "cluster_near_duplicates": (setup, "cluster_near_duplicates(images)"),
                "baseline: all correlations": (setup, PLAIN),
            }
            compare(pieces)


if __name__ == "__main__":
    main()
