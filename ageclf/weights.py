"""Weights in and out: pretrained backbones, and checkpoints with their provenance beside them."""

import json
import os
from pathlib import Path

import ageclf
from ageclf.backend import keras


def load_backbone_weights(body: keras.Model, backbone: str, weights: str) -> None:
    """Load weights into a backbone, in place: `none` leaves it random, else `imagenet` or an HDF5 file's path.

    ImageNet weights come from Keras' own cache, or are fetched into it. Nothing falls back to random weights:
    raises FileNotFoundError, with the file's name and place, where the weights cannot be had; ValueError for
    a file that does not fit.
    """
    if weights == "none":
        return
    if backbone == "small":
        raise ValueError(f"weights={weights!r}: the small backbone has no pretrained weights; use weights='none'")
    path = _imagenet_file(backbone) if weights == "imagenet" else ageclf.resolve(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; weights is 'none', 'imagenet' or a …_notop.h5 file")
    try:
        body.load_weights(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not the weights of {backbone} without its top ({error})") from error


def _imagenet_file(backbone: str) -> Path:
    """Return the file that Keras keeps ImageNet weights in, fetched when it is not there."""
    name = f"efficientnetv2-{backbone.removeprefix('EfficientNetV2').lower()}_notop.h5"
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / name
    if not path.is_file():
        try:  # Keras knows the address and the hash; building the network is its only way to ask for the file
            getattr(keras.applications, backbone)(include_top=False, weights="imagenet")
        except Exception as error:
            path.unlink(missing_ok=True)
            raise FileNotFoundError(
                f"weights='imagenet' needs {name}, which is not in Keras' cache and could not be fetched. "
                f"Put it at {path}, or use weights='none' (random weights)."
            ) from error
    return path


def save_checkpoint(model: keras.Model, path: Path, provenance: dict) -> None:
    """Write `path` (.keras: network and weights) and the .json beside it, each aside and then renamed.

    `provenance` is what a reader of the weights must know: groups, data, split, hashes of the training
    faces. No optimizer state is stored: that belongs to a training run, not to a checkpoint.
    """
    bare = model.__class__.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    text = json.dumps(provenance, indent=1, ensure_ascii=False)
    ageclf.write_aside(path, bare.save)
    ageclf.write_aside(path.with_suffix(".json"), lambda aside: aside.write_text(text, encoding="utf-8"))


def load_checkpoint(path: Path) -> tuple[keras.Model, dict]:
    """Read a checkpoint: the network, and its provenance. It takes raw grey values, float (n, 48, 48, 1) in 0–255.

    Raises FileNotFoundError when the .keras or the .json is missing, ValueError when one cannot be read.
    """
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such checkpoint file; run 04_training first, or name another")
    try:
        provenance = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return keras.models.load_model(path, compile=False), provenance
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path}: not a checkpoint that Keras can read ({error}); train again") from error


def find_checkpoint(checkpoint: str, run: str) -> Path:
    """Return the checkpoint to use: the one named, or for `auto` that of the run, else the shipped one.

    Raises FileNotFoundError when there is none.
    """
    if checkpoint != "auto":
        return ageclf.resolve(checkpoint)
    own = ageclf.resolve(f"checkpoint/{run}.keras")
    candidates = [own, *sorted(own.parent.glob("ckpt-*.keras"))]
    found = [path for path in candidates if path.is_file()]
    if not found:
        raise FileNotFoundError(f"{own}: no checkpoint of run {run!r} yet, and none is shipped: run 04_training first")
    return found[0]
