"""Whole-model HDF5 files of Keras 2 (TensorFlow up to 2.15), such as the reference checkpoint.

Their configuration of the network is never deserialised: it is compared with the reference network layer by layer,
and the arrays are assigned to a network that `build_network` builds. Nothing in such a file is executed or ignored.
"""

import json
import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import h5py

from ageclf.faces.csv_table import SIZE
from ageclf.network.backbones import BACKBONES
from ageclf.network.backend import keras
from ageclf.network.hdf5 import MOST_TEXT, assign, find_arrays, read_text
from ageclf.network.model import build_network

NAMES = {name.lower().replace("v2", "v2-"): name for name in BACKBONES if "V2" in name}  # by those of Keras 2
# Layers that change nothing when a network predicts. RandomCrop does, and is not among them.
CHANGES = ("Brightness", "Contrast", "Flip", "Height", "Rotation", "Translation", "Width", "Zoom")
INACTIVE = ("InputLayer", "Dropout", *(f"Random{change}" for change in CHANGES))
# All others, with the settings that their arrays do not show; before these the pictures may be resized.
REFERENCE = (
    ("Rescaling", {"scale": 1 / 127.5, "offset": -1}),
    ("EfficientNetV2", {}),
    ("GlobalAveragePooling2D", {}),
    ("Dense", {"units": 256, "activation": "relu", "use_bias": True}),
    ("Dense", {"units": 6, "activation": "softmax", "use_bias": True}),
)
ACCEPTED = {*INACTIVE, "Sequential", "Resizing", *dict(REFERENCE)}


def load(path: Path) -> keras.Model:
    """Read a network that takes 48×48×3 in 0–255 as one that takes grey, float (n, 48, 48, 1) in 0–255.

    It predicts the probabilities, float32 (n, 6), that the old one predicts for the grey value in all three channels.
    The backbone is the layer named `backbone`; the network is named `age_groups_` and the backbone.

    Raises ValueError, with the first thing that does not fit, unless the file holds the reference network: pictures
    resized (bilinear, square) or not, rescaled to [-1, 1], an EfficientNetV2 without its own rescaling, and the head
    of `model.build_network` for six groups. It does not matter how layers are numbered, nested or frozen, nor which
    augmentation and dropout it has. Raises OSError where HDF5 cannot read the file.
    """
    with h5py.File(path, "r") as file:
        arrays = find_arrays(file)
        wanted = ("model_config", "keras_version")
        if not all(name in file.attrs for name in wanted) or read_text(file, wanted[1])[:2] != "2.":
            raise ValueError("it is an HDF5 file, but not a whole network saved by Keras 2")
        network, dense = _rebuild(json.loads(read_text(file, "model_config")[:MOST_TEXT]))
        own = {"/".join(variable.path.split("/")[-2:]): variable for variable in network.weights}
        assign(own, ((_new_name(old, dense), arrays[old]) for old in arrays if old.startswith("model_weights/")))
    return network


def _rebuild(config: dict) -> tuple[keras.Model, dict[str, str]]:
    """Build the network of a configuration; return it, and the new names of the two dense layers."""
    chain = list(_chain(config))
    shape = chain[0]["config"]["batch_input_shape"][1:]
    if shape != [SIZE, SIZE, 3]:
        raise ValueError(f"it takes pictures of shape {shape}, not {[SIZE, SIZE, 3]}")
    found, size = [layer for layer in chain if _kind(layer) not in INACTIVE], SIZE
    # Resizing and rescaling are linear: which of them comes first makes no difference.
    if resizing := next((layer for layer in found[:2] if _kind(layer) == "Resizing"), None):
        found.remove(resizing)
        size = resizing["config"]["height"]
        _compare([resizing], [("Resizing", {"width": size, "interpolation": "bilinear"})])
    _compare(found, REFERENCE)
    body = found[1]["config"]
    network = build_network(NAMES[body["name"]], size, include_preprocessing=False)
    own = [(type(part).__name__, {"name": part.name}) for part in network.get_layer("backbone").layers]
    _compare(body["layers"][1:], own[1:])  # without the inputs, which are numbered
    dense = [layer["config"]["name"] for layer in found if _kind(layer) == "Dense"]
    return network, dict(zip(dense, ("dense", "probabilities"), strict=True))


def _chain(model: dict) -> Iterator[dict]:
    """Yield the layers of a model where each follows on the one before, those of nested sequential ones among them.

    The pooling that a backbone may end in is taken out of it, and comes after it.
    """
    previous = None
    for layer in model["config"]["layers"]:
        if _kind(layer) not in ACCEPTED:
            raise ValueError(f"{_described(layer)} is no layer of the reference network")
        for inputs in layer.get("inbound_nodes", []):
            if [name for name, *_ in inputs] != [previous]:
                raise ValueError(f"{_described(layer)} does not follow on {previous!r} alone")
            if inputs[0][3].get("training"):
                raise ValueError(f"{_described(layer)} always runs as in training")
        previous = layer["config"]["name"]
        yield from _chain(layer) if layer["class_name"] == "Sequential" else [layer]
        if _kind(layer) == "EfficientNetV2" and _kind(layer["config"]["layers"][-1]) == "GlobalAveragePooling2D":
            yield layer["config"]["layers"].pop()


def _kind(layer: dict) -> str:
    is_backbone = layer["class_name"] == "Functional" and layer["config"]["name"] in NAMES
    return "EfficientNetV2" if is_backbone else layer["class_name"]


def _described(layer: dict) -> str:
    return f"{layer['class_name']} {layer['config']['name']!r}"


def _compare(found: list[dict], wanted: list[tuple[str, dict]]) -> None:
    """Raise ValueError unless each layer found is of the kind, and has the settings, that are wanted in its place."""
    for layer, (kind, settings) in zip_longest(found, wanted, fillvalue=("nothing", {})):
        if not isinstance(layer, dict):
            raise ValueError(f"it has nothing where the reference network has {kind}")
        if _kind(layer) != kind:
            raise ValueError(f"{_described(layer)} is where the reference network has {kind}")
        for key, value in settings.items():
            given = layer["config"][key]
            if not (math.isclose(given, value, rel_tol=1e-6) if isinstance(value, float) else given == value):
                raise ValueError(f"{_described(layer)} has {key} {given!r}, the reference network {value!r}")


def _new_name(old: str, dense: dict[str, str]) -> str:
    """Return the last two parts of an array's name, layer and kind, in which Keras 2 and 3 agree but for one."""
    layer, kind = old.removesuffix(":0").split("/")[-2:]
    return f"{dense.get(layer, layer)}/{kind.removeprefix('depthwise_')}"
