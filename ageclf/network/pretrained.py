"""Weights that a backbone starts from: ImageNet's, or those of a file."""

import os
from pathlib import Path

import ageclf
from ageclf.network.backend import keras


def load_backbone_weights(body: keras.Model, backbone: str, weights: str) -> None:
    """Load weights into a backbone, in place: `none` leaves it random, else `imagenet` or an HDF5 file's path.

    ImageNet weights come from Keras' own cache, or are fetched into it. Nothing falls back to random weights:
    raises FileNotFoundError, with the file's name and place, where the weights cannot be had; ValueError, with the
    reason and the remedy, for a file that is damaged or does not fit.
    """
    if weights == "none":
        return
    if backbone == "small":
        raise ValueError(f"weights={weights!r}: the small backbone has no pretrained weights; use weights='none'")
    path = _imagenet_file(backbone) if weights == "imagenet" else ageclf.resolve(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; weights is 'none', 'imagenet' or a …_notop.h5 file")
    try:
        _is_hdf5(path)  # else Keras goes by the name alone
        body.load_weights(path)
    except Exception as error:
        again = "get the file again, or use weights='none' (random weights)"
        raise ValueError(f"{path}: not the weights of {backbone} without its top: {_reason(error)}; {again}") from error


def _is_hdf5(path: Path) -> bool:
    """Tell HDF5 from .keras (a zip archive) by its first bytes. Raises ValueError for anything else."""
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith((b"\x89HDF", b"PK")):
        what = "a web page" if start[:1] == b"<" else "neither HDF5 nor .keras" if start else "empty"
        raise ValueError(f"it is {what}")
    return start.startswith(b"\x89HDF")


def _reason(error: Exception) -> str:
    """Say in one line why a file could not be read: whatever else a damaged file leads to than a ValueError."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, ValueError) else f"it is cut short or damaged ({text})"


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
