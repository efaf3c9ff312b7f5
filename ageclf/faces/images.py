"""Measures on pictures (black edges, brightness), and pictures shifted and rotated."""

import cv2
import numpy as np

NEAR_BLACK = 10  # grey values up to this one count as black


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


def shifted(images: np.ndarray, pixels: float, seed: int = 0) -> np.ndarray:
    """Shift each of images uint8 (n, 48, 48) by `pixels`, in random directions; what they uncover is black."""
    directions = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(images))
    return _warped(images, [np.float64([[1, 0, pixels * np.cos(a)], [0, 1, pixels * np.sin(a)]]) for a in directions])


def rotated(images: np.ndarray, degrees: float, seed: int = 0) -> np.ndarray:
    """Turn each of images uint8 (n, 48, 48) by `degrees`, left or right at random; what they uncover is black."""
    signs = np.random.default_rng(seed).choice([-1, 1], len(images))
    centre = ((images.shape[2] - 1) / 2, (images.shape[1] - 1) / 2)
    return _warped(images, [cv2.getRotationMatrix2D(centre, float(sign * degrees), 1.0) for sign in signs])


def _warped(images: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    size = images.shape[:0:-1]  # OpenCV takes width, then height
    pairs = zip(images, matrices, strict=True)
    return np.stack([cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR) for image, matrix in pairs])
