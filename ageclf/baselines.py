"""What is reached without the network: answers that any classifier must beat."""

import numpy as np
from sklearn.linear_model import LogisticRegression

THUMBNAIL = 12  # pixels a side


def baselines(
    images: np.ndarray, train: np.ndarray, groups: np.ndarray, chosen: np.ndarray, counts: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Predict groups, int (m,), for the chosen ones of images uint8 (n, 48, 48) by each baseline.

    `majority` always answers the most frequent group of training, `prior` draws from the groups as frequent as
    there, by `counts` (groups,). `logistic` is a logistic regression on thumbnails of 12×12 pixels, trained on the
    faces `train`, bool (n,), that are not chosen; where these have fewer than two groups it is left out.
    """
    answers = {
        "majority": np.full(chosen.sum(), np.argmax(counts)),
        "prior": np.random.default_rng(seed).choice(len(counts), chosen.sum(), p=np.asarray(counts) / np.sum(counts)),
    }
    train = train & ~chosen
    if len(np.unique(groups[train])) > 1:
        features = thumbnails(images)
        model = LogisticRegression(max_iter=300).fit(features[train], groups[train])
        answers["logistic"] = model.predict(features[chosen])
    return answers


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Mean grey values of the 4×4 blocks of images (n, 48, 48), float32 (n, 144) in -1–1."""
    block = images.shape[1] // THUMBNAIL
    blocks = images.reshape(len(images), THUMBNAIL, block, THUMBNAIL, block)
    return blocks.mean(axis=(2, 4), dtype=np.float32).reshape(len(images), -1) / 127.5 - 1
