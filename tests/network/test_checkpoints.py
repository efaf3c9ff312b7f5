"""Checkpoints come back as they were saved; weights are found and fit, or are refused in one sentence."""

import json
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import ageclf
from ageclf.faces.groups import REFERENCE_EDGES
from ageclf.network import checkpoints, pretrained
from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network, flip_averaged
from ageclf.network.prediction import predict_probabilities

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tf_keras

layers = keras.layers
GROUPS = ["0-5", "6-18", "19-30", "31-45", "46-65", "66+"]


def tiny(*between: keras.Layer, shape: tuple = (48, 48, 1), groups: int = 6) -> keras.Model:
    inputs = x = keras.Input(shape)
    for layer in (*between, layers.AveragePooling2D(12), layers.Flatten(), layers.Dense(groups, activation="softmax")):
        x = layer(x)
    return keras.Model(inputs, x)


def test_checkpoint_gives_the_same_probabilities_and_provenance(tmp_path):
    model = build_network(augment=augmentation())
    model.compile("adam", "categorical_crossentropy")
    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1)).astype("uint8")
    model.fit(faces, np.eye(6)[[0, 1, 2, 3, 4, 5, 0, 1]], verbose=0)
    path = tmp_path / "checkpoint" / "some.keras"
    checkpoints.save_checkpoint(model, path, {"groups": GROUPS})
    loaded, known = checkpoints.load_checkpoint(path)
    np.testing.assert_array_equal(loaded.predict(faces, verbose=0), model.predict(faces, verbose=0))
    assert known == {"groups": GROUPS, "sha256": ageclf.sha256(path)}
    assert sorted(file.name for file in path.parent.iterdir()) == ["some.json", "some.keras"]
    assert path.stat().st_size < 1.1 * 4 * model.count_params() + 200_000, "no optimizer state in a checkpoint"


def test_what_becomes_known_later_joins_the_provenance(tmp_path):
    path = tmp_path / "some.keras"
    checkpoints.save_checkpoint(tiny(), path, {"groups": GROUPS, "seed": 1})
    checkpoints.amend_checkpoint(path, temperature=1.5)
    _, known = checkpoints.load_checkpoint(path)
    assert (known["seed"], known["temperature"]) == (1, 1.5)


def test_a_network_trained_in_mixed_precision_answers_in_float32_once_saved(tmp_path):
    plain = flip_averaged(build_network(image_size=16, augment=augmentation()))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = flip_averaged(build_network(image_size=16, augment=augmentation()))
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(plain.get_weights())
    checkpoints.save_checkpoint(mixed, tmp_path / "a.keras", {"groups": GROUPS})
    kept, _ = checkpoints.load_checkpoint(tmp_path / "a.keras")
    images = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 1)).astype("uint8")
    expected, rough, told = (network.predict_on_batch(images) for network in (plain, mixed, kept))
    np.testing.assert_allclose(told, expected, atol=1e-6)
    assert np.abs(rough - expected).max() > 1e-4


def test_auto_prefers_the_checkpoint_of_the_run_then_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    monkeypatch.setattr(ageclf, "CHECKOUT", tmp_path / "checkout")
    with pytest.raises(FileNotFoundError, match="run 04_training first"):
        checkpoints.find_checkpoint("auto", "lab")
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for shipped in ("ckpt-99.keras", "ckpt-600.keras", "ckpt-705.h5"):  # the highest number, not the last letter
        (folder / shipped).touch()
        (folder / "ckpt-800.json").touch()
        assert checkpoints.find_checkpoint("auto", "lab") == folder / shipped
    own = tmp_path / "checkout" / "checkpoint" / "ckpt-715.keras"  # in the checkout, when ROOT is elsewhere
    own.parent.mkdir(parents=True)
    own.touch()
    assert checkpoints.find_checkpoint("auto", "lab") == own
    (folder / "lab.keras").touch()
    assert checkpoints.find_checkpoint("auto", "lab") == folder / "lab.keras"
    assert checkpoints.find_checkpoint("checkpoint/other.h5", "lab") == folder / "other.h5"


def test_a_missing_checkpoint_is_named_and_so_is_a_missing_json(tmp_path):
    path = tmp_path / "some.keras"
    with pytest.raises(
        FileNotFoundError, match=r"some\.keras: no such checkpoint file; run 04_training first, or name"
    ):
        checkpoints.load_checkpoint(path)
    tiny().save(path)
    with pytest.raises(FileNotFoundError, match=r"some\.json: no such checkpoint file; run 04_training first, or name"):
        checkpoints.load_checkpoint(path)


def test_a_keras_and_a_json_that_were_not_written_together_are_refused(tmp_path):
    """As when a training is killed after it has renamed the one, and before it has renamed the other."""
    path, beside = tmp_path / "some.keras", tmp_path / "some.json"
    checkpoints.save_checkpoint(tiny(), path, {"groups": GROUPS})
    earlier = beside.read_text()
    checkpoints.save_checkpoint(tiny(), path, {"groups": GROUPS})
    beside.write_text(earlier)
    with pytest.raises(ValueError, match=r"some\.keras has another SHA-256 than some\.json says .*; train on, or name"):
        checkpoints.load_checkpoint(path)
    checkpoints.save_checkpoint(tiny(), path, {"groups": GROUPS[:5]})
    with pytest.raises(ValueError, match=r"some\.keras has another number of groups than some\.json says"):
        checkpoints.load_checkpoint(path)


@pytest.mark.parametrize("text", ["", "<html>", "[1, 2]", "3"])
def test_a_damaged_json_is_refused_by_name(text, tmp_path):
    tiny().save(tmp_path / "some.keras")
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(ValueError, match=r"some\.json: not a checkpoint's provenance .*; train again, or name another"):
        checkpoints.load_checkpoint(tmp_path / "some.keras")


def test_a_json_of_before_it_held_a_hash_is_accepted(tmp_path):
    tiny().save(tmp_path / "some.keras")
    (tmp_path / "some.json").write_text(json.dumps({"groups": GROUPS}))
    assert checkpoints.load_checkpoint(tmp_path / "some.keras")[1]["sha256"] == ageclf.sha256(tmp_path / "some.keras")


def test_a_keras_file_is_known_by_its_content_not_by_its_name(tmp_path):
    model = tiny()
    model.save(tmp_path / "some.keras")
    (tmp_path / "some.keras").rename(tmp_path / "some.h5")
    for loaded, saved in zip(
        checkpoints.load_model(tmp_path / "some.h5").get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(loaded, saved)


CONTENTS = {
    "empty": (b"", "it is empty"),
    "page": (b"\n <!DOCTYPE html><html>Sign in", "it is a web page"),
    "text": (b"version https://git-lfs", "it is neither HDF5 nor .keras"),
    "half": (None, "it is cut short or damaged"),
}


def spoil(path: Path, kind: str) -> str:
    """Give a good file another content, and return what is to be said of it."""
    content, said = CONTENTS[kind]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    return said


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_a_file_that_is_no_checkpoint_is_refused_with_its_name_and_a_remedy(suffix, kind, tmp_path):
    path = tmp_path / f"some{suffix}"
    inputs = tf_keras.Input((48, 48, 3))
    (tiny() if suffix == ".keras" else tf_keras.Model(inputs, tf_keras.layers.Conv2D(9, 9)(inputs))).save(path)
    said = spoil(path, kind)
    with pytest.raises(
        ValueError, match=rf"/some\{suffix}: not a checkpoint: {said}.*; get the file again, train again"
    ):
        checkpoints.load_model(path)


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


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_spoilt_file_of_imagenet_weights_is_refused_with_its_name_and_a_remedy(kind, notop, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = tmp_path / "models" / "efficientnetv2-b0_notop.h5"
    path.parent.mkdir()
    path.write_bytes(notop[0].read_bytes())
    said = (
        f"/{path.name}: not the weights of EfficientNetV2B0 without its top: {spoil(path, kind)}.*; get the file again"
    )
    body = keras.applications.EfficientNetV2B0(include_top=False, weights=None)
    with pytest.raises(ValueError, match=said):
        pretrained.load_backbone_weights(body, "EfficientNetV2B0", "imagenet")


@keras.saving.register_keras_serializable("elsewhere")
class Own(layers.Layer):
    def call(self, x):
        return x


def own_function(x):
    return x


@pytest.mark.parametrize(
    ("layer", "name"),
    [(layers.Lambda(lambda x: x), "Lambda"), (Own(), "Own"), (layers.Activation(own_function), "function")],
    ids=["Lambda", "class", "function"],
)
def test_a_keras_file_that_holds_code_or_asks_for_it_is_refused_before_it_is_built(layer, name, tmp_path, monkeypatch):
    path = tmp_path / "some.keras"
    tiny(layers.Rescaling(1 / 255), layer).save(path)
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(
        ValueError, match=rf"some\.keras: not a checkpoint: it holds {name}, which is not of Keras itself"
    ):
        checkpoints.load_model(path)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b'"class_name": "TFSMLayer"', "TFSMLayer"),
        (b'"class_name": "TorchModuleWrapper"', "TorchModuleWrapper"),
        (b'"registered_name": "elsewhere>Own", "class_name": "Activation"', "Activation"),
    ],
)
def test_a_keras_file_changed_by_hand_to_run_something_is_refused(written, name, tmp_path):
    """Layers of Keras that run other files, and a layer of Keras in whose stead a registered one would be built."""
    tiny(layers.Activation("relu")).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for file in good.namelist():
            content = good.read(file).replace(b'"registered_name": null, ', b"")
            bad.writestr(file, content.replace(b'"class_name": "Activation"', written))
    with pytest.raises(ValueError, match=f"it holds {name}, which is not of Keras itself or could run code"):
        checkpoints.load_model(tmp_path / "bad.keras")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: tiny(shape=(64, 64, 1)), r"it takes \(None, 64, 64, 1\) and gives \(None, 6\)"),
        (lambda: tiny(shape=(48, 48, 3)), r"it takes \(None, 48, 48, 3\)"),
        (lambda: keras.Sequential([keras.Input((48, 48, 1)), layers.ReLU()]), r".* and gives \(None, 48, 48, 1\)"),
    ],
    ids=["larger pictures", "colour", "pictures out"],
)
def test_a_keras_file_of_another_network_is_refused(model, said, tmp_path):
    model().save(tmp_path / "some.keras")
    with pytest.raises(ValueError, match=rf"some\.keras: not a checkpoint: {said}"):
        checkpoints.load_model(tmp_path / "some.keras")


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_a_keras_file_without_one_of_its_arrays_is_refused(tmp_path):
    """Keras would otherwise leave random values there."""
    tiny().save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good:
        good.extractall(tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "a") as arrays:
        del arrays["layers/dense/vars/1"]
    with zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            bad.write(tmp_path / name, name)
    with pytest.raises(ValueError, match=r"bad\.keras: not a checkpoint: "):
        checkpoints.load_model(tmp_path / "bad.keras")


def test_imagenet_without_cache_and_network_names_the_file_and_its_place(tmp_path):
    """A process of its own, because Keras reads KERAS_HOME when it is imported; its proxy refuses every call."""
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    code = "from ageclf.model import build_network; build_network('EfficientNetV2B0', 32, weights='imagenet')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("FileNotFoundError: weights='imagenet' needs efficientnetv2-b0_notop.h5")
    assert str(tmp_path / "models" / "efficientnetv2-b0_notop.h5") in message


def test_the_shipped_network_is_the_one_whose_results_are_recorded():
    (path,) = (ageclf.CHECKOUT / "checkpoint").glob("ckpt-*.keras")
    recorded = json.loads((ageclf.CHECKOUT / "docs" / "best" / "metrics.json").read_text(encoding="utf-8"))
    model, known = checkpoints.load_checkpoint(path)  # which refuses a .json that belongs to another file
    assert (known["sha256"], path.name) == (recorded["checkpoint_sha256"], recorded["checkpoint"])
    assert path.name == f"ckpt-{1000 * recorded['measures']['accuracy']['value']:.0f}.keras"
    assert (known["groups"], known["edges"]) == (GROUPS, list(REFERENCE_EDGES))
    assert known["training_counts"] == recorded["training_counts"]
    assert 0 < len(known["training_faces"]) <= sum(known["training_counts"])  # equal pictures have one hash
    assert path.stat().st_size + path.with_suffix(".json").stat().st_size < 45e6
    assert known["sha256"] in (path.parent / "README.md").read_text(encoding="utf-8")
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48)).astype("uint8")
    np.testing.assert_allclose(predict_probabilities(model, images).sum(axis=1), 1, atol=1e-5)
