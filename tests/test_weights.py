"""Checkpoints come back as they were saved; pretrained weights are found, or refused in one sentence."""

import os
import subprocess
import sys

import numpy as np
import pytest

import ageclf
from ageclf import weights
from ageclf.backend import keras
from ageclf.model import augmentation, build_network


def test_checkpoint_gives_the_same_probabilities_and_provenance(tmp_path):
    model = build_network(augment=augmentation())
    model.compile("adam", "categorical_crossentropy")
    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1)).astype("uint8")
    model.fit(faces, np.eye(6)[[0, 1, 2, 3, 4, 5, 0, 1]], verbose=0)
    path = tmp_path / "checkpoint" / "some.keras"
    weights.save_checkpoint(model, path, {"groups": ["0-5", "6+"]})
    loaded, known = weights.load_checkpoint(path)
    np.testing.assert_array_equal(loaded.predict(faces, verbose=0), model.predict(faces, verbose=0))
    assert known == {"groups": ["0-5", "6+"]}
    assert sorted(file.name for file in path.parent.iterdir()) == ["some.json", "some.keras"]
    assert path.stat().st_size < 1.1 * 4 * model.count_params() + 200_000, "no optimizer state in a checkpoint"


def test_auto_prefers_the_checkpoint_of_the_run_then_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="run 04_training first"):
        weights.find_checkpoint("auto", "lab")
    (tmp_path / "checkpoint").mkdir()
    shipped = tmp_path / "checkpoint" / "ckpt-600.keras"
    shipped.touch()
    assert weights.find_checkpoint("auto", "lab") == shipped
    own = tmp_path / "checkpoint" / "lab.keras"
    own.touch()
    assert weights.find_checkpoint("auto", "lab") == own
    assert weights.find_checkpoint("checkpoint/other.keras", "lab") == tmp_path / "checkpoint" / "other.keras"


def test_a_checkpoint_that_is_missing_or_broken_is_refused_by_name(tmp_path):
    path = tmp_path / "some.keras"
    with pytest.raises(FileNotFoundError, match=r"some\.keras: no such checkpoint"):
        weights.load_checkpoint(path)
    path.write_text("<html>not found</html>")
    (tmp_path / "some.json").write_text("{}")
    with pytest.raises(ValueError, match=r"some\.keras: not a checkpoint"):
        weights.load_checkpoint(path)


def test_a_backbone_file_is_loaded_and_one_of_another_backbone_refused(tmp_path):
    source = keras.applications.EfficientNetV2B0(include_top=False, weights=None)
    file = tmp_path / "b0_notop.h5"
    source.save(file)
    model = build_network("EfficientNetV2B0", image_size=32, weights=str(file))
    for loaded, saved in zip(model.get_layer("backbone").get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, saved)
    with pytest.raises(ValueError, match="not the weights of EfficientNetV2B1"):
        build_network("EfficientNetV2B1", image_size=32, weights=str(file))
    with pytest.raises(FileNotFoundError, match="no such file"):
        build_network("EfficientNetV2B0", image_size=32, weights=str(tmp_path / "absent.h5"))
    with pytest.raises(ValueError, match="small backbone has no pretrained weights"):
        build_network("small", weights="imagenet")


def test_imagenet_without_cache_and_network_names_the_file_and_its_place(tmp_path):
    """A process of its own, because Keras reads KERAS_HOME when it is imported; its proxy refuses every call."""
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    code = "from ageclf.model import build_network; build_network('EfficientNetV2B0', 32, weights='imagenet')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("FileNotFoundError: weights='imagenet' needs efficientnetv2-b0_notop.h5")
    assert str(tmp_path / "models" / "efficientnetv2-b0_notop.h5") in message
