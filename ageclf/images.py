"""Measures on pictures: black edges, brightness, contrast, clusters of near-duplicates."""

from collections.abc import Iterator

import numpy as np
from scipy.fft import dct
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NEAR_BLACK = 10  # grey values up to this one count as black

FREQUENCIES = 12  # a side: 12 × 12 cosine coefficients stand for a picture when candidates are sought
BLOCK = 1024  # pictures, or pairs of pictures, worked on at once


def black_edge_share(images: np.ndarray, border: int = 3, level: int = NEAR_BLACK) -> np.ndarray:
    """Share of near-black pixels (≤ `level`) in the `border` outermost pixels, float32 (n,) in 0–1."""
    frame = np.ones(images.shape[1:], dtype=bool)
    frame[border:-border, border:-border] = False
    return (images[:, frame] <= level).mean(axis=1, dtype=np.float32)


def black_edge_map(images: np.ndarray, level: int = NEAR_BLACK) -> np.ndarray:
    """Share of pictures in which a pixel is near-black (≤ `level`), float32 (48, 48) in 0–1."""
    return (images <= level).mean(axis=0, dtype=np.float32)


def brightness(images: np.ndarray) -> np.ndarray:
    """Mean grey value of each picture, float32 (n,) in 0–255."""
    return images.mean(axis=(1, 2), dtype=np.float32)


def contrast(images: np.ndarray) -> np.ndarray:
    """Standard deviation of each picture's grey values, float32 (n,) in 0–127.5."""
    return images.std(axis=(1, 2), dtype=np.float32)


def cluster_near_duplicates(images: np.ndarray, threshold: float = 0.95) -> np.ndarray:
    """Cluster of each picture, int64 (n,), numbered from 0 in order of first appearance.

    Two pictures are near-duplicates when the Pearson correlation of their pixels, as they are or with one
    of them mirrored, is above `threshold`; clusters are the connected components. Exact: a bound that no
    near-duplicate can miss finds the candidates, and each candidate is verified on all pixels. A picture
    of one grey value has no correlation: all such pictures form one cluster.
    """
    pairs = [_verified(images, pair, threshold) for pair in _candidates(images, threshold)]
    first, second = np.concatenate([np.empty((2, 0), dtype=np.int64), *pairs], axis=1)
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(len(images), len(images)))
    labels = connected_components(graph, directed=False)[1]
    _, appearance, labels = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(appearance))[labels]


def _candidates(images: np.ndarray, threshold: float) -> Iterator[np.ndarray]:
    """Yield index pairs (2, m), first < second, among them all with a correlation above `threshold`.

    For unit vectors x, y and their projections Px, Py on any subspace, Cauchy and Schwarz give
    x·y ≤ Px·Py + |x − Px| |y − Py|. Here the subspace is that of low frequencies: mirroring turns the sign of
    odd horizontal frequencies, so x·y and x·mirrored(y) are the sum and the difference of the same two products.
    """
    even, odd = _low_frequencies(images)
    margin = 1e-5  # more than float32 products of unit vectors can be off
    for i in range(0, len(images), BLOCK):
        for j in range(i, len(images), BLOCK):
            bound = even[i : i + BLOCK] @ even[j : j + BLOCK].T
            bound += np.abs(odd[i : i + BLOCK] @ odd[j : j + BLOCK].T)
            # np.argwhere finds the same pairs in the two dimensions, and takes far longer where there are few.
            found = np.divmod(np.flatnonzero(bound > threshold - margin), bound.shape[1])
            pairs = np.array(found) + np.array([[i], [j]])
            yield pairs[:, pairs[0] < pairs[1]]


def _low_frequencies(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine coefficients of the normalised pictures: even horizontal frequencies and the length of what all
    of them leave out, float32 (n, 73); odd ones, float32 (n, 72)."""
    size = images.shape[1]
    basis = dct(np.eye(size), axis=0, norm="ortho")[:FREQUENCIES]
    even = np.empty((len(images), FREQUENCIES, FREQUENCIES // 2), dtype=np.float32)
    odd, rest = np.empty_like(even), np.empty((len(images), 1), dtype=np.float32)
    for i in range(0, len(images), BLOCK):
        block = images[i : i + BLOCK].astype(np.float64)
        length = size * block.std(axis=(1, 2), keepdims=True)
        low = basis @ block @ basis.T / np.where(length == 0, 1, length)
        low[:, 0, 0] = 0  # the mean
        even[i : i + BLOCK], odd[i : i + BLOCK] = low[:, :, ::2], low[:, :, 1::2]
        rest[i : i + BLOCK, 0] = np.sqrt(np.maximum(0, 1 - (low**2).sum(axis=(1, 2))))
    flat = (len(images), FREQUENCIES**2 // 2)
    return np.hstack([even.reshape(flat), rest]), odd.reshape(flat)


def _verified(images: np.ndarray, pairs: np.ndarray, threshold: float) -> np.ndarray:
    """Those of the index pairs (2, m) whose correlation, one mirrored or not, is above `threshold`."""
    keep = [np.empty(0, dtype=bool)]
    for i in range(0, pairs.shape[1], BLOCK):
        first, second = (normalised(images[side]) for side in pairs[:, i : i + BLOCK])
        straight = np.einsum("nij,nij->n", first, second)
        mirrored = np.einsum("nij,nij->n", first, second[:, :, ::-1])
        keep.append(np.maximum(straight, mirrored) > threshold)
    return pairs[:, np.concatenate(keep)]


def normalised(images: np.ndarray) -> np.ndarray:
    """Pictures with mean 0 and length 1, float64; those of one grey value with equal pixels and length 1."""
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    centred += ~centred.any(axis=(1, 2), keepdims=True)
    return centred / np.linalg.norm(centred, axis=(1, 2), keepdims=True)
