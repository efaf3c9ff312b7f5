"""Clusters of near-duplicates: found, checked for labels that contradict each other, and split into parts."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import combinations, combinations_with_replacement

import numpy as np
import pandas as pd
from scipy.fft import dct
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

FREQUENCIES = 12  # a side: candidates are found by 12 × 12 cosine coefficients of each picture
BLOCK = 1024  # pictures, or pairs of pictures, processed at once
PARTS = ("train", "val", "test")
BOUNDS = (0.70, 0.85)  # between the parts, as fractions of the hash's range: 70 %, 15 %, 15 %


def cluster_near_duplicates(images: np.ndarray, threshold: float = 0.95) -> np.ndarray:
    """Cluster of each picture, int64 (n,), numbered from 0 in order of first appearance.

    Two pictures are near-duplicates when the Pearson correlation of their pixels, as they are or with one
    of them mirrored, is above `threshold`; clusters are the connected components. Exact: a bound that no
    near-duplicate can miss finds the candidates, and each candidate is verified on all pixels. A picture
    of one grey value has no correlation: all such pictures form one cluster. There must be a picture: `load_faces`
    returns no faces without one.
    """
    pairs = [pair[:, _correlations(images, *pair) > threshold] for pair in _candidates(images, threshold)]
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(len(images), len(images)))
    return pd.factorize(connected_components(graph, directed=False)[1])[0]


def _candidates(images: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """Yield index pairs (2, m), first < second, among them all with a correlation above `threshold`.

    For unit vectors x, y and their projections Px, Py on any subspace, Cauchy and Schwarz give
    x·y ≤ Px·Py + |x − Px| |y − Py|. Here the subspace is that of low frequencies: mirroring turns the sign of
    odd horizontal frequencies, so x·y and x·mirrored(y) are the sum and the difference of the same two products.
    """
    even, odd = _low_frequencies(images)
    margin = 1e-5  # more than float32 products of unit vectors can be off
    for i, j in combinations_with_replacement(range(0, len(images), BLOCK), 2):
        bound = even[i : i + BLOCK] @ even[j : j + BLOCK].T
        bound += np.abs(odd[i : i + BLOCK] @ odd[j : j + BLOCK].T)
        # np.argwhere finds the same pairs in the two dimensions, and takes far longer for few.
        found = np.divmod(np.flatnonzero(bound > threshold - margin), bound.shape[1])
        pairs = np.array(found) + np.array([[i], [j]])
        yield pairs[:, pairs[0] < pairs[1]]


def _low_frequencies(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine coefficients of the normalised pictures: even horizontal frequencies and the length of what all
    of them leave out, float32 (n, 73); odd ones, float32 (n, 72)."""
    basis = dct(np.eye(images.shape[1]), axis=0, norm="ortho")[:FREQUENCIES]
    even, odd = [], []
    for i in range(0, len(images), BLOCK):
        low = basis @ normalised(images[i : i + BLOCK]) @ basis.T
        rest = np.sqrt(np.maximum(0, 1 - (low**2).sum(axis=(1, 2))))
        even.append(np.column_stack([low[:, :, ::2].reshape(len(low), -1), rest]).astype(np.float32))
        odd.append(low[:, :, 1::2].reshape(len(low), -1).astype(np.float32))
    return np.concatenate(even), np.concatenate(odd)


def _correlations(images: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlations, float64 (m,), of pictures with the indices `first` and `second`: as they are, or one mirrored."""
    highest = np.empty(len(first))
    for i in range(0, len(first), BLOCK):
        one, other = (normalised(images[side[i : i + BLOCK]]) for side in (first, second))
        highest[i : i + BLOCK] = np.maximum((one * other).sum((1, 2)), (one * other[:, :, ::-1]).sum((1, 2)))
    return highest


def normalised(images: np.ndarray) -> np.ndarray:
    """Pictures with mean 0 and length 1, float64; those of one grey value with equal pixels and length 1."""
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    centred += ~centred.any(axis=(1, 2), keepdims=True)
    return centred / np.linalg.norm(centred, axis=(1, 2), keepdims=True)


def assign_parts(face_ids: np.ndarray, clusters: np.ndarray, split_seed: int = 0) -> np.ndarray:
    """Part of each face, `train`, `val` or `test`, as an object array (n,), for face ids and clusters (n,).

    The hash of `split_seed` and its smallest face id decides the part of a whole cluster. So the part of a face
    depends on no row order and no cluster number, and rows added to other clusters do not change it.
    """
    smallest = pd.Series(np.asarray(face_ids, dtype=object)).groupby(np.asarray(clusters)).transform("min")
    digests = [blake2b(f"{split_seed} {face_id}".encode(), digest_size=8).digest() for face_id in smallest]
    fractions = np.frombuffer(b"".join(digests), dtype=">u8") / 2**64
    return np.array(PARTS, dtype=object)[np.searchsorted(BOUNDS, fractions, side="right")]


def split_by_row(table: pd.DataFrame, split_seed: int = 0) -> np.ndarray:
    """Part of each face of `Faces.table`, (n,), as `assign_parts` gives it, but row by row.

    The number of the row is hashed: even exact copies may come into different parts. Only to measure what that leaks.
    """
    return assign_parts(table["row"].astype(str), np.arange(len(table)), split_seed)


def in_training(clusters: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Mark the faces, bool (n,), that have a near-duplicate, another face of their cluster, in the part `train`."""
    trained = pd.Series(parts == "train")
    return (trained.groupby(np.asarray(clusters)).transform("sum") - trained > 0).to_numpy()


def near_duplicate_pairs(images: np.ndarray, clusters: np.ndarray) -> pd.DataFrame:
    """List the pairs within clusters of near-duplicates, closest first.

    Takes images uint8 (n, 48, 48) and the cluster of each, (n,). Columns: first, second (positions), correlation (the
    higher one of as they are and one mirrored).
    """
    members = pd.Series(np.arange(len(clusters))).groupby(np.asarray(clusters)).agg(list)
    pairs = [pair for cluster in members for pair in combinations(cluster, 2)]
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    frame = pd.DataFrame({"first": first, "second": second, "correlation": _correlations(images, first, second)})
    return frame.sort_values("correlation", ascending=False, kind="stable", ignore_index=True)


def conflicting(clusters: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mark the faces, bool (n,), whose cluster of near-duplicates holds more than one group: a label must be wrong."""
    return (pd.Series(groups).groupby(np.asarray(clusters)).transform("nunique") > 1).to_numpy()


def split_warnings(clusters: np.ndarray, parts: np.ndarray, groups: np.ndarray, names: list[str]) -> list[str]:
    """Sentences on what can hardly be meant in a split.

    Takes the cluster, part and group number of each face, (n,), and the names of all groups.
    """
    largest, shares = np.bincount(clusters).max(), pd.Series(parts).value_counts(normalize=True)
    absent = [name for number, name in enumerate(names) if number not in groups]
    found = {
        f"{largest:,} faces are near-duplicates of each other: look at a few": largest > 10 + len(clusters) / 10,
        f"{shares.max():.0%} of the faces are in the part {shares.idxmax()}": shares.max() > 0.9,
        f"no face is in the group {' or '.join(absent)}": absent,
    }
    return [sentence for sentence, holds in found.items() if holds]
