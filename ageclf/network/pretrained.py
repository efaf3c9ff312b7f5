"""Weights that a backbone starts from: ImageNet's, or those of a file."""

import os
from pathlib import Path

import h5py

import ageclf
from ageclf.network import efficientnet_lite
from ageclf.network.backend import keras
from ageclf.network.hdf5 import assign, find_arrays, is_hdf5, refusing


def load_backbone_weights(body: keras.Model, backbone: str, weights: str) -> None:
    """Load weights into a backbone, in place: `none` leaves it random, else `imagenet` or an HDF5 file's path.

    ImageNet weights come from Keras' own cache, or are fetched into it. Nothing falls back to random weights:
    raises FileNotFoundError, with the file's name and place, where there are no such weights; ValueError, with the
    reason and the remedy, for a file that is damaged or does not fit.
    """
    if weights == "none":
        return
    if backbone == "small":
        raise ValueError(f"weights={weights!r}: the small backbone has no pretrained weights; use weights='none'")
    if (backbone, weights) == (efficientnet_lite.NAME, "imagenet"):
        return efficientnet_lite.load_imagenet(body)
    path = _imagenet_file(backbone) if weights == "imagenet" else ageclf.resolve(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; weights is 'none', 'imagenet' or a …_notop.h5 file")
    again = "get the file again, or use weights='none' (random weights)"
    with refusing(path, f"not the weights of {backbone} without its top", again):
        is_hdf5(path)  # whose errors name what the file is; those of HDF5 do not
        with h5py.File(path, "r") as file:
            arrays = find_arrays(file)
            # By order, as Keras does it: layers, and the arrays of each.
            layers = [(layer, file[layer].attrs["weight_names"]) for layer in file.attrs["layer_names"].astype(str)]
            names = [f"{layer}/{name}" for layer, several in layers for name in several.astype(str)]
            variables = [variable for layer in body.layers for variable in layer.weights]
            if len(names) != len(variables):
                raise ValueError(f"it has {len(names)} arrays, the backbone {len(variables)}")
            assign(dict(zip(names, variables, strict=True)), arrays.items())


def _imagenet_file(backbone: str) -> Path:
    """Return the file that Keras keeps ImageNet weights in, fetched when it is not there."""
    name = f"efficientnetv2-{backbone.removeprefix('EfficientNetV2').lower()}_notop.h5"
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / name
    if not path.is_file():
        try:  # Keras knows the address and the hash; building the network is its only way to ask for the file
            getattr(keras.applications, backbone)(include_top=False, weights="imagenet")
        except Exception as error:
            path.unlink(missing_ok=True)
            missing = f"weights='imagenet' needs {name}, which is not in Keras' cache and could not be fetched"
            raise FileNotFoundError(f"{missing}; put it at {path}, or use weights='none' (random weights)") from error
    return path
