"""Weights of a backbone are read from the file that Keras publishes, or refused in one sentence."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from damaged_files import CONTENTS, damage

from ageclf.network import pretrained
from ageclf.network.backend import keras
from ageclf.network.model import build_network

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tf_keras


@pytest.fixture(scope="module")
def notop(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Weights of a backbone as Keras publishes them, by Keras 2; and its arrays, none at its initial value, by name."""
    body = tf_keras.applications.EfficientNetV2B0(include_top=False, weights=None)
    rng = np.random.default_rng(0)
    body.set_weights([rng.random(array.shape) for array in body.get_weights()])
    path = tmp_path_factory.mktemp("notop") / "b0_notop.h5"
    body.save_weights(path)
    arrays = {variable.name.removesuffix(":0"): variable.numpy() for variable in body.weights}
    return path, {name.replace("depthwise_", ""): array for name, array in arrays.items()}


def test_a_backbone_file_is_loaded_and_one_of_another_backbone_refused(notop, tmp_path):
    path, arrays = notop
    model = build_network("EfficientNetV2B0", image_size=32, weights=str(path))
    loaded = {variable.path: variable.numpy() for variable in model.get_layer("backbone").weights}
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array, err_msg=name)
    remedy = r"get the file again, or use weights='none' \(random weights\)"
    with pytest.raises(
        ValueError, match=rf"b0_notop\.h5: not the weights of EfficientNetV2B1 without its top: .*; {remedy}"
    ):
        build_network("EfficientNetV2B1", image_size=32, weights=str(path))
    with pytest.raises(FileNotFoundError, match="no such file"):
        build_network("EfficientNetV2B0", image_size=32, weights=str(tmp_path / "absent.h5"))
    with pytest.raises(ValueError, match="small backbone has no pretrained weights"):
        build_network("small", weights="imagenet")


def fixed(file: h5py.File) -> None:
    """As h5py before its version 3 wrote names."""
    for part in (file, *file.values()):
        for key in {"layer_names", "weight_names"} & part.attrs.keys():
            part.attrs[key] = np.array(part.attrs[key], "S")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (fixed, None),
        (lambda file: file.__setitem__("more", h5py.ExternalLink(os.devnull, "/x")), "its part more is a link"),
        (lambda file: file.__setitem__("more", [1.0]), "the array /more belongs to no layer"),
        (
            lambda file: file["stem_conv"].attrs.update(weight_names=[b"stem_conv/kernel:0"] * 2),
            "it has .* arrays, the",
        ),
        (lambda file: file["stem_conv"].attrs.update(weight_names=[b"no"]), "/stem_conv/stem_conv/kernel:0 belongs to"),
    ],
)
def test_of_a_backbone_file_the_arrays_alone_are_read(change, reason, notop, tmp_path):
    path = Path(shutil.copy(notop[0], tmp_path))
    with h5py.File(path, "a") as file:
        change(file)
    if reason is None:
        build_network("EfficientNetV2B0", 32, weights=str(path))
    else:
        with pytest.raises(ValueError, match=rf"{path.name}: not the weights of .*: .*{reason}.*; get the file again"):
            build_network("EfficientNetV2B0", 32, weights=str(path))


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_damaged_file_of_imagenet_weights_is_refused_with_its_name_and_a_remedy(kind, notop, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = tmp_path / "models" / "efficientnetv2-b0_notop.h5"
    path.parent.mkdir()
    path.write_bytes(notop[0].read_bytes())
    message = (
        f"/{path.name}: not the weights of EfficientNetV2B0 without its top: {damage(path, kind)}.*; get the file again"
    )
    body = keras.applications.EfficientNetV2B0(include_top=False, weights=None)
    with pytest.raises(ValueError, match=message):
        pretrained.load_backbone_weights(body, "EfficientNetV2B0", "imagenet")


def test_imagenet_without_cache_and_network_names_the_file_and_its_place(tmp_path):
    """A process of its own, because Keras reads KERAS_HOME when it is imported; its proxy refuses every call."""
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    code = "from ageclf.network.model import build_network; build_network('EfficientNetV2B0', 32, weights='imagenet')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("FileNotFoundError: weights='imagenet' needs efficientnetv2-b0_notop.h5")
    assert str(tmp_path / "models" / "efficientnetv2-b0_notop.h5") in message
