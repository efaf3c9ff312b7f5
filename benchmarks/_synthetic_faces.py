"""Synthetic faces, made with NumPy: as many as a benchmark needs; and the sample, which the package ships as a file.

    python benchmarks/_synthetic_faces.py    # writes ageclf/faces/sample.csv.bz2 again

A file has the same grey values on every processor; computed anew, a few could be rounded otherwise.
"""

import bz2

import numpy as np
import pandas as pd

from ageclf.faces.csv_table import SIZE
from ageclf.faces.reading import LABELS, SAMPLE

GROUP_AGES = ((0, 5), (6, 18), (19, 30), (31, 45), (46, 65), (66, 95))  # first and last age
GROUP_SHARES = (0.10, 0.09, 0.34, 0.23, 0.16, 0.08)  # uneven, about as in UTKFace
PLANTED_PAIRS = 8


def synthesize_sample(n: int = 600, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Synthesize n faces: images uint8 (n, 48, 48), table age, ethnicity, gender, img_name.

    Age shows in the proportions of the head, in wrinkles, hairline and grey hair; ethnicity and gender hardly
    show. As in UTKFace there are black borders, uneven brightness, and near-duplicates with conflicting
    ages: up to `PLANTED_PAIRS` faces come twice, the second time brighter or darker, every other one mirrored,
    with an age of another group; `img_name` ends with the same number then.
    """
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.searchsorted(np.cumsum(GROUP_SHARES)[:-1], (np.arange(n) + 0.5) / n, side="right"))
    first, last = np.array(GROUP_AGES)[group].T
    age = rng.integers(first, last + 1)
    ethnicity, gender, number = rng.integers(0, 5, n), rng.integers(0, 2, n), np.arange(n)
    pictures = _photograph(age, ethnicity, gender, rng)

    # The copies take over the picture of an original from another group, and keep their own age.
    pairs = rng.permutation(n)[: n // 2 * 2].reshape(2, -1)
    originals, copies = pairs[:, group[pairs[0]] != group[pairs[1]]][:, : min(PLANTED_PAIRS, n // 40)]
    pictures[copies] = pictures[originals] * rng.uniform(0.8, 1.05, (len(copies), 1, 1))
    pictures[copies[::2]] = pictures[copies[::2], :, ::-1]
    for column in (ethnicity, gender, number):
        column[copies] = column[originals]
    pictures += rng.normal(0, 1, pictures.shape) * rng.uniform(1, 3, (n, 1, 1)) * (pictures > 0)

    names = [f"{a}_{e}_{g}_sample{i:04d}" for a, e, g, i in zip(age, ethnicity, gender, number, strict=True)]
    table = pd.DataFrame({"age": age, "ethnicity": ethnicity, "gender": gender, "img_name": names})
    return np.clip(pictures, 0, 255).round().astype(np.uint8), table.astype(LABELS)


def _photograph(age: np.ndarray, ethnicity: np.ndarray, gender: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Render a face for each age, unevenly lit, one in four with black borders: float (n, 48, 48), about 0–255."""

    def vary(low: float, high: float) -> np.ndarray:
        """Sample a number for each face between two bounds, float32 (n, 1, 1)."""
        return rng.uniform(low, high, (len(age), 1, 1)).astype(np.float32)

    age, ethnicity, gender = (column[:, None, None].astype(np.float32) for column in (age, ethnicity, gender))
    child = np.exp(-age / 11)  # 1 at birth, 0.2 at 18
    wrinkled = np.sqrt(np.clip((age - 28) / 36, 0, 1))
    grey = np.clip((age - 32) / 32 + vary(-0.1, 0.1), 0, 1)

    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
    tilt, turn = vary(-0.15, 0.15), vary(-0.1, 0.1)
    across = (x - vary(-0.14, 0.14)) * np.cos(tilt) + (y - vary(-0.1, 0.1)) * np.sin(tilt)
    down = (y - vary(-0.14, 0.1)) * np.cos(tilt) - (x - vary(-0.1, 0.1)) * np.sin(tilt)

    def blob(left: float, top: float, wide: float, high: float, edge: float = 0.06) -> np.ndarray:
        """Mask in 0–1 of an ellipse: centre and half axes in halves of the picture's side."""
        distance = np.sqrt(((across - left) / wide) ** 2 + ((down - top) / high) ** 2)
        return np.clip(0.5 + (1 - distance) * np.minimum(wide, high) / edge, 0, 1)

    waves = sum(vary(4, 22) * np.sin(x * vary(-7, 7) + y * vary(-7, 7) + vary(0, 6)) for _ in range(3))
    canvas = vary(40, 210) + waves
    hair_tone = vary(10, 50) + 8 * (ethnicity == 0) + grey * vary(160, 200)
    skin_tone = vary(130, 200) - 15 * (ethnicity == 1) - 6 * (ethnicity == 3)

    def paint(mask: np.ndarray, tone: np.ndarray | float) -> None:
        canvas[:] += mask * (tone - canvas)

    wide, high = vary(0.54, 0.64) + 0.06 * child, vary(0.78, 0.86) - 0.24 * child
    paint(blob(0, 1.25, 0.95, vary(0.35, 0.5)), vary(20, 230))  # clothes
    length = vary(-0.1, 0.1) + (0.1 + 0.5 * gender) * (1 - child)
    back = blob(0, -0.05, wide * vary(1.1, 1.3), high * 1.1) * np.clip((length - down) * 6, 0, 1)
    paint(back, hair_tone)
    paint(blob(0, 0.9, 0.28 - 0.06 * child, 0.5), skin_tone * 0.8)  # neck
    for side in (-1, 1):
        paint(blob(side * wide, 0.1, 0.1, 0.16), skin_tone * 0.85)  # ears
    paint(blob(0, 0, wide, high, edge=0.1), skin_tone * (1 - 0.22 * np.abs(across) - 0.08 * down))

    bald = np.clip(child * 1.3 - 0.2, 0, 1) + np.clip((age - 40) / 60, 0, 1) * (gender == 0)
    hairline = -0.48 + 0.1 * child - 0.25 * bald + vary(-0.06, 0.06)
    fringe = blob(0, -0.1, wide * 1.1, high * 1.08) * np.clip((hairline - down + vary(-0.3, 0.3) * across) * 10, 0, 1)
    paint(fringe, hair_tone)

    eye_line = 0.02 + 0.1 * child + vary(-0.03, 0.03)
    spacing, eye = vary(0.25, 0.3) + 0.02 * child, 0.085 + 0.09 * child + vary(-0.007, 0.007)
    for side in (-1, 1):
        centre = turn + side * spacing
        paint(blob(centre, eye_line, eye * 1.45, eye * vary(0.6, 0.8)), 225)
        paint(blob(centre + turn * 0.3, eye_line, eye * 0.7, eye * 0.7), vary(10, 60))
        paint(blob(centre, eye_line - eye * 1.7, 0.17, 0.035) * (1 - 0.7 * child), hair_tone * 0.8)  # brow
        paint(blob(centre, eye_line + 0.16, 0.16, 0.05) * 0.8 * wrinkled, skin_tone * 0.4)  # bag
        fold = blob(turn + side * 0.27, 0.4, 0.16, 0.2) - blob(turn + side * 0.32, 0.4, 0.16, 0.2)
        paint(np.clip(fold, 0, 1) * 0.7 * wrinkled, skin_tone * 0.45)
    nose = 0.3 - 0.04 * child
    paint(blob(turn * 1.5, nose, 0.12 - 0.03 * child, 0.06) * 0.5, skin_tone * 0.5)
    paint(blob(turn * 1.5 + 0.05, nose - 0.15, 0.03, 0.16) * 0.4, skin_tone * 0.6)
    mouth, smile = 0.52 - 0.12 * child + vary(-0.04, 0.04), vary(-0.3, 0.6)
    bend = smile * (across - turn) ** 2
    lips = np.hypot((across - turn) / (vary(0.18, 0.28) - 0.06 * child), (down - mouth + bend) / vary(0.04, 0.08))
    paint(np.clip((1.2 - lips) * 2, 0, 1) * 0.8, skin_tone * vary(0.35, 0.65))

    lines = np.clip(np.sin((down + 0.1 * across**2) * vary(45, 60)), 0, 1) * blob(0, -0.33, wide * 0.7, 0.17)
    paint(lines * 0.7 * wrinkled, skin_tone * 0.4)  # forehead

    # Uneven light, and in some photos the black of a crop that reaches beyond them.
    lit = canvas * vary(0.55, 1.2) * (1 + vary(-0.35, 0.35) * x + vary(-0.2, 0.2) * y)
    angle, reach = vary(-0.6, 0.6), vary(0.75, 1.05)
    edge_x, edge_y = vary(-0.15, 0.15), vary(-0.15, 0.15)
    inside = np.abs(x * np.cos(angle) + y * np.sin(angle) - edge_x) < reach
    inside &= np.abs(y * np.cos(angle) - x * np.sin(angle) - edge_y) < reach
    return np.maximum(lit, 1) * (inside | (vary(0, 1) > 0.25))


def csv_text(images: np.ndarray, table: pd.DataFrame) -> str:
    """Write faces in the format of age_gender.csv."""
    pixels = [" ".join(map(str, image.ravel())) for image in images]
    return table.assign(pixels=pixels).to_csv(index=False, lineterminator="\n")


if __name__ == "__main__":
    SAMPLE.write_bytes(bz2.compress(csv_text(*synthesize_sample()).encode()))
