"""What a network predicts: probabilities of faces, the groups of those in photos, and where it looks."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from ageclf.faces.photos import BOX, crop_face, find_faces, read_photo
from ageclf.metrics.calibration import scale
from ageclf.network.backend import keras


def tell(paths: Iterable[Path], model: Any, known: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tell the groups of all faces in photos; return a row for each face, and one for each photo without an answer.

    `model` and `known` are those of `weights.load_checkpoint`. The first table has `photo` (its path), `face` (from 1),
    the box as `x`, `y`, `width`, `height`, `group` (its name), `probability`, `sure`, and p_0, p_1… of all groups,
    scaled by the checkpoint's temperature. `sure` says that the probability reaches the checkpoint's threshold, and is
    missing where it has none. The second table has `photo` and `reason`. Photos are read one after the other, only
    their faces are kept, and the network sees these in batches.
    """
    rows, faces, problems = [], [], []
    for path in paths:
        try:
            photo = read_photo(path)
            boxes = find_faces(photo)
            if not len(boxes):
                raise ValueError("no face found; it must be seen from the front, upright, and not too small")
        except ValueError as error:
            problems.append({"photo": str(path), "reason": str(error)})
            continue
        for number, box in enumerate(boxes, start=1):
            rows.append({"photo": str(path), "face": number, **dict(zip(BOX, box, strict=True))})
            faces.append(crop_face(photo, box))
    table = pd.DataFrame(rows, columns=["photo", "face", *BOX])
    probabilities = np.zeros((0, len(known["groups"])))
    if faces:
        probabilities = scale(predict_probabilities(model, np.stack(faces)), known.get("temperature") or 1.0)
    confidence, threshold = probabilities.max(axis=1, initial=0), known.get("threshold")
    table["group"] = np.asarray(known["groups"])[probabilities.argmax(axis=1)]
    table["probability"] = confidence
    table["sure"] = None if threshold is None else confidence >= threshold
    for group in range(len(known["groups"])):
        table[f"p_{group}"] = probabilities[:, group]
    return table, pd.DataFrame(problems, columns=["photo", "reason"])


def of_drawn_faces(known: dict[str, Any]) -> bool:
    """Return whether a checkpoint was trained on the drawn sample, by what `weights.load_checkpoint` knows."""
    return bool((known.get("data") or {}).get("synthetic"))


def as_text(table: pd.DataFrame) -> str:
    """Write the faces of `tell` as a table for people."""
    if table.empty:
        return "no faces"
    said = table["sure"].map({True: "sure", False: "not sure", None: "threshold not known"})
    shown = table[["photo", "face", "group"]].assign(probability=table["probability"].map("{:.0%}".format), sure=said)
    return shown.to_string(index=False)


def as_json(table: pd.DataFrame, problems: pd.DataFrame, checkpoint: Path, known: dict[str, Any]) -> str:
    """Write what `tell` returned as JSON for programs: `checkpoint`, `synthetic`, `threshold`, `faces`, `problems`."""
    faces = [
        {
            **row[["photo", "face", "group", "sure"]].to_dict(),
            "box": [int(row[name]) for name in BOX],
            "probability": round(float(row["probability"]), 6),
            "probabilities": {name: round(float(row[f"p_{i}"]), 6) for i, name in enumerate(known["groups"])},
        }
        for _, row in table.iterrows()
    ]
    synthetic, threshold = of_drawn_faces(known), known.get("threshold")
    about = {"schema": 1, "checkpoint": checkpoint.name, "synthetic": synthetic, "threshold": threshold}
    return json.dumps(about | {"faces": faces, "problems": problems.to_dict("records")}, indent=1, ensure_ascii=False)


def predict_probabilities(network: keras.Model, images: np.ndarray, at_once: int = 128) -> np.ndarray:
    """Return what the network answers: uint8 (n, 48, 48), one or more, to float32 (n, groups).

    The same numbers as `network.predict` without the pipeline that it sets up and takes down, which costs more than
    a few faces do, and sometimes waits at its end for as long as it ran.
    """
    starts = range(0, len(images), at_once)
    return np.concatenate([network.predict_on_batch(images[i : i + at_once, ..., np.newaxis]) for i in starts])


def grad_cam(model: keras.Model, images: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Map what speaks for a group: float64 (n, 48, 48) in 0–1, for images uint8 (n, 48, 48) and a group of each (n,).

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017,
    equations 1 and 2: relu(Σₖ αₖ Aᵏ), where Aᵏ is channel k of what the layer `backbone` gives, and αₖ the mean over
    its places of ∂y/∂Aᵏ. y is the group's logit, as there: the gradient of the probability vanishes where the network
    is sure. Each map is enlarged, and divided by its highest value; one that is zero everywhere stays so.

    Keras has no gradients that every backend knows, and none are needed: what follows the backbone in
    `model.build_network` is a mean over places and two dense layers, y = V relu(W pool(A) + b) + c. So
    αₖ = Σⱼ Wₖⱼ Vⱼ / places, over the units j that are above zero. Of a network that is `flip_averaged`, the map is that
    of the face as it stands. Raises ValueError for a network with other layers.
    """
    pool, dense, last = (model.get_layer(name) for name in ("pool", "dense", "probabilities"))
    body = keras.Model(model.input, [pool.input, dense.output])
    # Without `training=False` dropout and augmentation act, and the statistics of the network change.
    told = (keras.ops.convert_to_numpy(x) for x in body(images[..., np.newaxis], training=False))
    channels, units = (x[: len(images)] for x in told)  # what is behind are mirror images, of `flip_averaged`
    w, v = (keras.ops.convert_to_numpy(layer.kernel).astype(float) for layer in (dense, last))
    alpha = ((units > 0) * v.T[groups]) @ w.T / np.prod(channels.shape[1:3])
    maps = np.maximum(np.einsum("nijk,nk->nij", channels.astype(float), alpha), 0)
    size = images.shape[:0:-1]  # OpenCV takes width, then height
    large = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in maps])
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, highest, out=np.zeros_like(large), where=highest > 0)
