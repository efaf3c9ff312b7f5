"""Clusters of near-duplicates into training, validation and test part."""

from hashlib import blake2b

import numpy as np
import pandas as pd

PARTS = ("train", "val", "test")
UPPER_BOUNDS = (0.70, 0.85, 1.00)  # of the hash, as a share of its range: 70 %, 15 %, 15 %


def assign_parts(face_ids: np.ndarray, clusters: np.ndarray, split_seed: int = 0) -> np.ndarray:
    """Part of each face, `train`, `val` or `test`, as an object array (n,), for face ids and clusters (n,).

    A cluster goes as a whole where the hash of its smallest face id and `split_seed` says. So the part of a
    face depends on no row order and no cluster number, and rows added to other clusters do not change it.
    """
    smallest = pd.Series(np.asarray(face_ids, dtype=object)).groupby(np.asarray(clusters)).transform("min")
    part_of = {face_id: _part(face_id, split_seed) for face_id in smallest.unique()}
    return smallest.map(part_of).to_numpy(dtype=object)


def _part(face_id: str, split_seed: int) -> str:
    digest = blake2b(f"{split_seed} {face_id}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    return PARTS[int(np.searchsorted(UPPER_BOUNDS[:-1], share, side="right"))]
