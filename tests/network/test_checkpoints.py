"""Checkpoints are loaded as they were saved, or refused in one sentence."""

import json
import math
import os
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from damaged_files import CONTENTS, damage

import ageclf
from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.network import checkpoints
from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network, flip_averaged
from ageclf.network.prediction import predict_probabilities

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tf_keras

GROUPS = ["0-5", "6-18", "19-30", "31-45", "46-65", "66+"]
PROVENANCE = {"groups": GROUPS, "edges": list(REFERENCE_EDGES), "backbone": "small", "image_size": 16}
FACES = np.random.default_rng(0).integers(0, 256, (4, 48, 48)).astype("uint8")


def load_network(path: Path) -> keras.Model:
    return checkpoints.load_checkpoint(path)[0]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint, with augmentation in it, and what its network predicts."""
    path = tmp_path_factory.mktemp("saved") / "some.keras"
    model = build_network(image_size=16, augment=augmentation())
    checkpoints.save_checkpoint(model, path, PROVENANCE)
    return path, predict_probabilities(model, FACES)


@pytest.fixture
def checkpoint(saved, tmp_path):
    for file in (saved[0], saved[0].with_suffix(".json")):
        shutil.copy(file, tmp_path)
    return tmp_path / "some.keras"


def rewrite(path: Path, change: Callable[[dict[str, bytes]], object], packed: int = zipfile.ZIP_STORED) -> None:
    """Change what a .keras holds, and put its new hash beside it: otherwise that alone would be refused."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, one in content.items():
            archive.writestr(name, one)
    checkpoints.amend_checkpoint(path, sha256=ageclf.sha256(path))


def rewrite_arrays(path: Path, change: Callable[[h5py.File], object]) -> None:
    weights = path.with_name("model.weights.h5")
    with zipfile.ZipFile(path) as archive:
        archive.extract(weights.name, path.parent)
    with h5py.File(weights, "a") as file:
        change(file)
    rewrite(path, lambda content: content.update({weights.name: weights.read_bytes()}))


def test_checkpoint_gives_the_same_probabilities_and_provenance(tmp_path):
    model = build_network(image_size=16, augment=augmentation())
    model.compile("adam", "categorical_crossentropy")
    model.fit(FACES[..., np.newaxis], np.eye(6)[[0, 1, 2, 3]], verbose=0)
    path = tmp_path / "checkpoint" / "some.keras"
    checkpoints.save_checkpoint(model, str(path), PROVENANCE)
    loaded, metadata = checkpoints.load_checkpoint(str(path))
    np.testing.assert_allclose(predict_probabilities(loaded, FACES), predict_probabilities(model, FACES), atol=1e-6)
    assert metadata == PROVENANCE | {"sha256": ageclf.sha256(path)}
    assert sorted(file.name for file in path.parent.iterdir()) == ["some.json", "some.keras"]
    assert path.stat().st_size < 1.1 * 4 * model.count_params() + 200_000, "no optimizer state in a checkpoint"


@pytest.mark.parametrize(
    ("backbone", "size", "average"),
    [("EfficientNetLite0", 32, True), ("EfficientNetV2B0", 32, True), ("EfficientNetV2S", 48, False)],
)
def test_every_kind_of_network_is_loaded_as_it_was_saved(backbone, size, average, tmp_path):
    model = build_network(backbone, size, 3, augment=augmentation(brightness=0, whole_pixels=True))
    inference_model, edges = flip_averaged(model) if average else model, [20, 40]
    provenance = {"groups": group_names(edges), "edges": edges, "backbone": backbone, "image_size": size}
    checkpoints.save_checkpoint(inference_model, tmp_path / "a.keras", provenance | {"flip_average": average})
    predicted = predict_probabilities(load_network(tmp_path / "a.keras"), FACES)
    np.testing.assert_allclose(predicted, predict_probabilities(inference_model, FACES), atol=1e-6)
    if average:  # by people who have Keras, and not this project
        read = keras.models.load_model(tmp_path / "a.keras")
        np.testing.assert_allclose(predicted, predict_probabilities(read, FACES), atol=1e-6)


def test_what_is_measured_later_is_added_to_the_provenance(checkpoint):
    checkpoints.amend_checkpoint(str(checkpoint), temperature=1.5)
    _, metadata = checkpoints.load_checkpoint(checkpoint)
    assert (metadata["groups"], metadata["temperature"]) == (GROUPS, 1.5)


def test_a_network_trained_in_mixed_precision_predicts_in_float32_once_saved(tmp_path):
    """Even where it is loaded while the policy is still the other, as in 04."""
    plain = flip_averaged(build_network(image_size=16, augment=augmentation()))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = flip_averaged(build_network(image_size=16, augment=augmentation()))
        mixed.set_weights(plain.get_weights())
        checkpoints.save_checkpoint(mixed, tmp_path / "a.keras", PROVENANCE | {"flip_average": True})
        loaded = load_network(tmp_path / "a.keras")
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    later = load_network(tmp_path / "a.keras")
    expected, rough, *exact = (predict_probabilities(one, FACES) for one in (plain, mixed, loaded, later))
    for predicted in exact:
        np.testing.assert_allclose(predicted, expected, atol=1e-6)
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


def test_a_missing_checkpoint_is_named_and_so_is_a_missing_json(checkpoint):
    checkpoint.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"some\.json: no such checkpoint file; run 04_training first, or name"):
        checkpoints.load_checkpoint(checkpoint)
    checkpoint.unlink()
    os.mkfifo(checkpoint)
    for path in (checkpoint, checkpoint.with_name("absent.keras")):
        with pytest.raises(
            FileNotFoundError, match=rf"{path.name}: no such checkpoint file; run 04_training first, or"
        ):
            checkpoints.load_checkpoint(path)


def test_a_keras_and_a_json_that_were_not_written_together_are_refused(checkpoint):
    """As when a training is killed after it has renamed the one, and before it has renamed the other."""
    before = checkpoint.with_suffix(".json").read_text()
    checkpoints.save_checkpoint(build_network(image_size=16), checkpoint, PROVENANCE)
    checkpoint.with_suffix(".json").write_text(before)
    with pytest.raises(ValueError, match=r"some\.keras has another SHA-256 than some\.json says .*; resume the"):
        checkpoints.load_checkpoint(checkpoint)


OTHERS = {
    "groups": {"groups": group_names([6, 19]), "edges": [6, 19]},
    "backbone": {"backbone": "EfficientNetV2B0", "image_size": 32},
    "resizing": {"image_size": 48},
}


@pytest.mark.parametrize("what", [*OTHERS, "rescaling"])
def test_a_json_that_describes_another_network_is_refused(what, checkpoint):
    if what == "rescaling":  # which no array shows
        checkpoint = checkpoint.with_name("b0.keras")
        network = build_network("EfficientNetV2B0", 32, include_preprocessing=False)
        provenance = PROVENANCE | {"backbone": "EfficientNetV2B0", "image_size": 32}
        checkpoints.save_checkpoint(network, checkpoint, provenance)
    else:
        checkpoints.amend_checkpoint(checkpoint, **OTHERS[what])
    reason = "the array /layers/.* has shape|it has other layers than the network that the .json describes"
    with pytest.raises(
        ValueError, match=rf"{checkpoint.name}: not a checkpoint: ({reason}).*; get the file again, train"
    ):
        checkpoints.load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "text", ["", "<html>", "[1, 2]", "3", "{}", "[" * 100_000, '{"seed": ' + "9" * 5000 + "}", "\xff"]
)
def test_a_damaged_json_is_refused_by_name(text, checkpoint):
    checkpoint.with_suffix(".json").write_text(text, encoding="latin-1")
    with pytest.raises(
        ValueError, match=r"some\.json: not a checkpoint's provenance: .*; train again, or name another"
    ):
        checkpoints.load_checkpoint(checkpoint)


BAD = {
    "groups": [None, 6, [], GROUPS[:5], GROUPS[::-1], ["0-5"] * 6, [*GROUPS[:5], "<b>66+</b>"], [*GROUPS[:5], 66]],
    "edges": [None, 6, [], [6.5, 19, 31, 46, 66], [19, 6, 31, 46, 66], [True, 19, 31, 46, 66], list(range(1, 2000))],
    "backbone": [None, "", "ResNet50", "tiny", 5, ["small"], "small\x1b[2J"],
    "image_size": [None, "16", 16.0, True, 0, -16, 7, 513, 10**300, math.nan, [16]],
    "flip_average": [1, "no", [], 0.0],
    "temperature": ["1", -1, 0, math.nan, math.inf, 1e-9, 10**400, True, [1.0]],
    "threshold": [math.nan, [0.1], -0.1, 1.1, "0.5", False, 10**400],
    "sha256": [1, ["00"], {}],
    "training_faces": [1, "00", [1], [["00"]], {"00": 1}],
    "training_counts": [[1, 2], 6, ["1"] * 6, [-1] * 6],
    "group_ages": [[1.0], [math.nan] * 6],
    "data": ["sample", [1], True],
    "run": [1, "\x1b[2J"],
    "weights": [[]],
    "val_loss": [math.nan, -math.inf],
    "elsewhere": [math.nan, {"deep": [math.inf]}],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in BAD for value in BAD[key]])
def test_a_json_with_an_invalid_value_is_refused_by_its_key(key, value, checkpoint):
    checkpoints.amend_checkpoint(checkpoint, **{key: value})
    with pytest.raises(
        ValueError, match=r"some\.json: not a checkpoint's provenance: .*; train again, or name"
    ) as refusal:
        checkpoints.load_checkpoint(checkpoint)
    named = f"{key}|groups=" if key == "edges" else key
    not_json = key == "elsewhere" or "nan" in str(value)  # a schema knows no NaN
    assert re.search(f"{named}|not JSON compliant" if not_json else named, str(refusal.value))
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("text", ["1e309", "-0.0", "1E0"])
def test_numbers_in_a_json_may_be_written_in_any_way_but_must_be_finite(text, checkpoint):
    checkpoints.amend_checkpoint(checkpoint, threshold="here")
    beside = checkpoint.with_suffix(".json")
    beside.write_text(beside.read_text().replace('"here"', text))
    if text == "1e309":
        with pytest.raises(ValueError, match="threshold is invalid: inf"):
            checkpoints.load_checkpoint(checkpoint)
    else:
        assert checkpoints.load_checkpoint(checkpoint)[1]["threshold"] == float(text)


@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "large"])
def test_a_json_that_would_never_end_is_refused_unread(kind, checkpoint):
    beside = checkpoint.with_suffix(".json")
    beside.unlink()
    {
        "device": lambda: beside.symlink_to("/dev/zero"),
        "pipe": lambda: os.mkfifo(beside),
        "folder": beside.mkdir,
        "large": lambda: (beside.touch(), os.truncate(beside, 2**25 + 1)),
    }[kind]()
    with pytest.raises(
        ValueError, match=r"some\.json: not a checkpoint's provenance: it is no regular file of up to 32"
    ):
        checkpoints.load_checkpoint(checkpoint)


def test_a_json_from_before_it_held_a_hash_is_accepted(checkpoint):
    checkpoint.with_suffix(".json").write_text(json.dumps(PROVENANCE | {"training_faces": None}))
    assert checkpoints.load_checkpoint(checkpoint)[1]["sha256"] == ageclf.sha256(checkpoint)


def test_a_keras_file_is_recognised_by_its_content_not_by_its_name(checkpoint, saved):
    renamed = checkpoint.rename(checkpoint.with_suffix(".h5"))
    np.testing.assert_allclose(predict_probabilities(load_network(renamed), FACES), saved[1], atol=1e-6)


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_a_file_that_is_no_checkpoint_is_refused_with_its_name_and_a_remedy(suffix, kind, tmp_path):
    path = tmp_path / f"some{suffix}"
    inputs = tf_keras.Input((48, 48, 3))
    old = tf_keras.Model(inputs, tf_keras.layers.Conv2D(9, 9)(inputs))
    (build_network(image_size=16) if suffix == ".keras" else old).save(path)
    reason = damage(path, kind)
    with pytest.raises(
        ValueError, match=rf"/some\{suffix}: not a checkpoint: {reason}.*; get the file again, train again"
    ):
        load_network(path)


def calling(function: tuple[str, str], *operands: object) -> Callable[[dict[str, bytes]], None]:
    """Put an operation into a network's configuration that leads nowhere, and calls a function of Keras when built."""

    def change(content: dict[str, bytes]) -> None:
        config = json.loads(content["config.json"])
        layers = config["config"]["layers"]
        branch = dict(zip(("module", "config"), function, strict=True)) | {"class_name": "function"}
        inputs = layers[1]["inbound_nodes"][0]["args"][0]
        switch = {
            "module": "keras.src.ops.core",
            "class_name": "Switch",
            "config": {"name": "switch"},
            "name": "switch",
        }
        layers.append(switch | {"inbound_nodes": [{"args": [inputs, [branch], *operands], "kwargs": {}}]})
        content["config.json"] = json.dumps(config).encode()

    return change


def savedmodel_that_writes(folder: Path, path: Path) -> str:
    import tensorflow as tf
    from tensorflow.python.trackable.resource import TrackableResource

    class Writer(TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self):
            tf.io.write_file(str(path), "written")

    module = tf.Module()
    module.writer = Writer()
    module.handle = module.writer.resource_handle
    module.serve = tf.function(lambda x: x, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(module, str(folder), signatures={"serve": module.serve})
    path.unlink(missing_ok=True)  # written while it was saved
    return str(folder)


@pytest.mark.parametrize("function", ["TFSMLayer", "plot_image_gallery", "set_dtype_policy"])
def test_the_configuration_of_a_network_is_never_executed(function, checkpoint, saved, tmp_path):
    """Keras' safe mode lets each of these pass: it loads a SavedModel, overwrites a picture, changes the process."""
    written = tmp_path / "written.png"
    picture = {"class_name": "__numpy__", "config": {"value": [[[[0.0]]]], "dtype": "float32"}}
    operands = {
        "TFSMLayer": lambda: ("keras.layers", savedmodel_that_writes(tmp_path / "saved", written), "serve"),
        "plot_image_gallery": lambda: ("keras.visualization", picture, *[None] * 3, 1, 1, [0, 255], 2, str(written)),
        "set_dtype_policy": lambda: ("keras.config", "mixed_bfloat16"),
    }[function]()
    rewrite(checkpoint, calling((operands[0], function), *operands[1:]))
    try:
        predicted = predict_probabilities(load_network(checkpoint), FACES)
    finally:
        policy = keras.config.dtype_policy().name
        keras.config.set_dtype_policy("float32")
    assert (policy, written.exists()) == ("float32", False)
    np.testing.assert_allclose(predicted, saved[1], atol=1e-6)


@pytest.mark.parametrize("config", [b"", b"[" * 100_000, b"\x00" * 10**7], ids=["none", "deep", "long"])
def test_arrays_are_read_whatever_the_configuration_beside_them(config, checkpoint, saved):
    rewrite(checkpoint, lambda content: content.update({"config.json": config}))
    np.testing.assert_allclose(predict_probabilities(load_network(checkpoint), FACES), saved[1], atol=1e-6)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "/etc/passwd", "../out", "assets/", "é"])
def test_a_keras_file_that_holds_more_is_refused(name, checkpoint):
    with zipfile.ZipFile(checkpoint, "a") as archive:
        archive.writestr(name, b"more")
    with pytest.raises(ValueError, match=r"some\.keras: not a checkpoint: it holds other files than Keras puts there"):
        load_network(checkpoint)


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_keras_file_that_unpacks_to_more_is_refused_unread(packed, checkpoint, monkeypatch):
    rewrite(checkpoint, lambda content: content.update({"config.json": b" " * 10**7}), packed)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="it holds other files than Keras puts there, or compressed ones"):
        load_network(checkpoint)


def test_a_keras_file_whose_arrays_claim_to_be_longer_than_the_file_is_refused(checkpoint):
    content = bytearray(checkpoint.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 20  # sizes of the last entry, packed and not
    content[at : at + 8] = (2**31).to_bytes(4, "little") * 2
    checkpoint.write_bytes(content)
    with pytest.raises(ValueError, match=r"some\.keras: not a checkpoint: it is cut short or damaged"):
        load_network(checkpoint)


def test_a_keras_file_of_keras_2_is_refused_with_a_way_out(tmp_path):
    inputs = tf_keras.Input((48, 48, 1))
    tf_keras.Model(inputs, tf_keras.layers.Flatten()(inputs)).save(tmp_path / "some.keras")
    with pytest.raises(ValueError, match="Keras 2 saved it; save it there with save_format='h5', and name that file"):
        load_network(tmp_path / "some.keras")


KERNEL = "layers/dense/vars/0"


def external(file: h5py.File) -> None:
    shape = file[KERNEL].shape
    del file[KERNEL]
    file.create_dataset(KERNEL, shape, "f4", external=[(os.devnull, 0, h5py.h5f.UNLIMITED)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (external, f"its part {KERNEL} is a link, a second name, or no array that lies in it as it is"),
        (lambda file: file.__delitem__(KERNEL), f"the array {KERNEL} is missing"),
        (lambda file: file.__setitem__("layers/dense/vars/2", [1.0]), "the array /layers/dense/vars/2 belongs to no"),
        (lambda file: file.__setitem__("more", [1.0]), "the array /more belongs to no layer"),
        (lambda file: file["layers/functional_1/layers"].move("conv2d", "conv2d_99"), "conv2d_99/vars/0 belongs to no"),
        (lambda file: file.copy("layers/dense", "layers/dense_2"), "it has other layers than the network that"),
        (lambda file: file.move("layers/rescaling", "layers/resizing_1"), "it has other layers than the network that"),
        (lambda file: file.move("layers", "levels"), "it is cut short or damaged"),
        (lambda file: (file.move("layers", "levels"), file.create_dataset("layers", 10**12)), "cut short or damaged"),
        (lambda file: file["layers/dense/vars/1"].__setitem__(0, math.nan), "not of finite floats"),
        (lambda file: file["layers/dense/vars"].attrs.update(name=[b"a" * 10**4] * 9), None),
    ],
)
def test_an_array_in_a_keras_file_that_does_not_fit_is_refused_by_name(change, reason, checkpoint):
    """Where one is missing, Keras would leave random values. No attribute is read: HDF5 can be made to hang there."""
    rewrite_arrays(checkpoint, change)
    if reason is None:
        load_network(checkpoint)
    else:
        with pytest.raises(
            ValueError, match=rf"some\.keras: not a checkpoint: .*({reason}).*; get the file again, train"
        ):
            load_network(checkpoint)


def test_a_network_of_another_project_is_refused(checkpoint):
    inputs = keras.Input((48, 48, 1))
    keras.Model(inputs, keras.layers.Dense(6)(keras.layers.Flatten()(inputs))).save(checkpoint)
    checkpoints.amend_checkpoint(checkpoint, sha256=ageclf.sha256(checkpoint))
    with pytest.raises(ValueError, match=r"some\.keras: not a checkpoint: it has other layers than the network"):
        load_network(checkpoint)


def test_the_shipped_network_is_the_one_whose_results_are_recorded():
    (path,) = (ageclf.CHECKOUT / "checkpoint").glob("ckpt-*.keras")
    recorded = json.loads((ageclf.CHECKOUT / "docs" / "best" / "metrics.json").read_text(encoding="utf-8"))
    model, metadata = checkpoints.load_checkpoint(path)  # which refuses a .json that belongs to another file
    assert (metadata["sha256"], path.name) == (recorded["checkpoint_sha256"], recorded["checkpoint"])
    assert path.name == f"ckpt-{1000 * recorded['measures']['accuracy']['value']:.0f}.keras"
    assert (metadata["groups"], metadata["edges"]) == (GROUPS, list(REFERENCE_EDGES))
    assert metadata["training_counts"] == recorded["training_counts"]
    assert 0 < len(metadata["training_faces"]) <= sum(metadata["training_counts"])  # equal pictures have one hash
    assert path.stat().st_size + path.with_suffix(".json").stat().st_size < 45e6
    assert metadata["sha256"] in (path.parent / "README.md").read_text(encoding="utf-8")
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48)).astype("uint8")
    np.testing.assert_allclose(predict_probabilities(model, images).sum(axis=1), 1, atol=1e-5)
