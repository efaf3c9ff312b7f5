"""Checkpoints come back as they were saved; weights are found and fit, or are refused in one sentence."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import ageclf
from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.network import checkpoints, pretrained
from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network, flip_averaged
from ageclf.network.prediction import predict_probabilities

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tf_keras

GROUPS = ["0-5", "6-18", "19-30", "31-45", "46-65", "66+"]
KNOWN = {"groups": GROUPS, "edges": list(REFERENCE_EDGES), "backbone": "small", "image_size": 16}
FACES = np.random.default_rng(0).integers(0, 256, (4, 48, 48)).astype("uint8")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint, with augmentation in it, and what its network answers."""
    path = tmp_path_factory.mktemp("saved") / "some.keras"
    model = build_network(image_size=16, augment=augmentation())
    checkpoints.save_checkpoint(model, path, KNOWN)
    return path, predict_probabilities(model, FACES)


@pytest.fixture
def checkpoint(saved, tmp_path):
    for file in (saved[0], saved[0].with_suffix(".json")):
        shutil.copy(file, tmp_path)
    return tmp_path / "some.keras"


def rewrite(path: Path, change: Callable[[dict[str, bytes]], object], packed: int = zipfile.ZIP_STORED) -> None:
    """Change what a .keras holds, and put its new hash beside it: that alone would give it away."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, one in content.items():
            archive.writestr(name, one)
    checkpoints.amend_checkpoint(path, sha256=ageclf.sha256(path))


def rewrite_arrays(path: Path, change: Callable[[h5py.File], object]) -> None:
    aside = path.with_name("model.weights.h5")
    with zipfile.ZipFile(path) as archive:
        archive.extract(aside.name, path.parent)
    with h5py.File(aside, "a") as file:
        change(file)
    rewrite(path, lambda content: content.update({aside.name: aside.read_bytes()}))


def test_checkpoint_gives_the_same_probabilities_and_provenance(tmp_path):
    model = build_network(image_size=16, augment=augmentation())
    model.compile("adam", "categorical_crossentropy")
    model.fit(FACES[..., np.newaxis], np.eye(6)[[0, 1, 2, 3]], verbose=0)
    path = tmp_path / "checkpoint" / "some.keras"
    checkpoints.save_checkpoint(model, str(path), KNOWN)
    loaded, known = checkpoints.load_checkpoint(str(path))
    np.testing.assert_allclose(predict_probabilities(loaded, FACES), predict_probabilities(model, FACES), atol=1e-6)
    assert known == KNOWN | {"sha256": ageclf.sha256(path)}
    assert sorted(file.name for file in path.parent.iterdir()) == ["some.json", "some.keras"]
    assert path.stat().st_size < 1.1 * 4 * model.count_params() + 200_000, "no optimizer state in a checkpoint"


@pytest.mark.parametrize(
    ("backbone", "size", "average"), [("EfficientNetV2B0", 32, True), ("EfficientNetV2S", 48, False)]
)
def test_every_kind_of_network_comes_back_as_it_was(backbone, size, average, tmp_path):
    model = build_network(backbone, size, 3, augment=augmentation(brightness=0, whole_pixels=True))
    kept, edges = flip_averaged(model) if average else model, [20, 40]
    known = {"groups": group_names(edges), "edges": edges, "backbone": backbone, "image_size": size}
    checkpoints.save_checkpoint(kept, tmp_path / "a.keras", known | {"flip_average": average})
    told = predict_probabilities(checkpoints.load_model(tmp_path / "a.keras"), FACES)
    np.testing.assert_allclose(told, predict_probabilities(kept, FACES), atol=1e-6)
    if average:  # by who has Keras, and not this project
        read = keras.models.load_model(tmp_path / "a.keras")
        np.testing.assert_allclose(told, predict_probabilities(read, FACES), atol=1e-6)


def test_what_becomes_known_later_joins_the_provenance(checkpoint):
    checkpoints.amend_checkpoint(str(checkpoint), temperature=1.5)
    _, known = checkpoints.load_checkpoint(checkpoint)
    assert (known["groups"], known["temperature"]) == (GROUPS, 1.5)


def test_a_network_trained_in_mixed_precision_answers_in_float32_once_saved(tmp_path):
    """Even where it is loaded by who still computes in the other, as 04 does."""
    plain = flip_averaged(build_network(image_size=16, augment=augmentation()))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = flip_averaged(build_network(image_size=16, augment=augmentation()))
        mixed.set_weights(plain.get_weights())
        checkpoints.save_checkpoint(mixed, tmp_path / "a.keras", KNOWN | {"flip_average": True})
        kept = checkpoints.load_model(tmp_path / "a.keras")
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    later = checkpoints.load_model(tmp_path / "a.keras")
    expected, rough, told, told_later = (predict_probabilities(one, FACES) for one in (plain, mixed, kept, later))
    np.testing.assert_allclose(told, expected, atol=1e-6)
    np.testing.assert_allclose(told_later, expected, atol=1e-6)
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
    earlier = checkpoint.with_suffix(".json").read_text()
    checkpoints.save_checkpoint(build_network(image_size=16), checkpoint, KNOWN)
    checkpoint.with_suffix(".json").write_text(earlier)
    with pytest.raises(ValueError, match=r"some\.keras has another SHA-256 than some\.json says .*; train on, or name"):
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
        checkpoints.save_checkpoint(network, checkpoint, KNOWN | {"backbone": "EfficientNetV2B0", "image_size": 32})
    else:
        checkpoints.amend_checkpoint(checkpoint, **OTHERS[what])
    said = "the array /layers/.* has shape|it has other layers than the network that the .json describes"
    with pytest.raises(
        ValueError, match=rf"{checkpoint.name}: not a checkpoint: ({said}).*; get the file again, train"
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
def test_a_json_with_a_value_that_cannot_be_is_refused_by_its_key(key, value, checkpoint):
    checkpoints.amend_checkpoint(checkpoint, **{key: value})
    with pytest.raises(
        ValueError, match=r"some\.json: not a checkpoint's provenance: .*; train again, or name"
    ) as said:
        checkpoints.load_checkpoint(checkpoint)
    assert re.search({"edges": "edges|groups=", "elsewhere": "not JSON compliant"}.get(key, key), str(said.value))
    assert str(said.value).isprintable()


@pytest.mark.parametrize("text", ["1e309", "-0.0", "1E0"])
def test_numbers_in_a_json_may_be_written_in_any_way_but_endless(text, checkpoint):
    checkpoints.amend_checkpoint(checkpoint, threshold="here")
    beside = checkpoint.with_suffix(".json")
    beside.write_text(beside.read_text().replace('"here"', text))
    if text == "1e309":
        with pytest.raises(ValueError, match="threshold is inf, which cannot be"):
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


def test_a_json_of_before_it_held_a_hash_is_accepted(checkpoint):
    checkpoint.with_suffix(".json").write_text(json.dumps(KNOWN | {"training_faces": None}))
    assert checkpoints.load_checkpoint(checkpoint)[1]["sha256"] == ageclf.sha256(checkpoint)


def test_a_keras_file_is_known_by_its_content_not_by_its_name(checkpoint, saved):
    renamed = checkpoint.rename(checkpoint.with_suffix(".h5"))
    np.testing.assert_allclose(predict_probabilities(checkpoints.load_model(renamed), FACES), saved[1], atol=1e-6)


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
    old = tf_keras.Model(inputs, tf_keras.layers.Conv2D(9, 9)(inputs))
    (build_network(image_size=16) if suffix == ".keras" else old).save(path)
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


def fixed(file: h5py.File) -> None:
    """As h5py before its version 3 wrote names."""
    for part in (file, *file.values()):
        for key in {"layer_names", "weight_names"} & part.attrs.keys():
            part.attrs[key] = np.array(part.attrs[key], "S")


@pytest.mark.parametrize(
    ("change", "said"),
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
def test_of_a_backbone_file_the_arrays_alone_are_read(change, said, notop, tmp_path):
    path = Path(shutil.copy(notop[0], tmp_path))
    with h5py.File(path, "a") as file:
        change(file)
    if said is None:
        build_network("EfficientNetV2B0", 32, weights=str(path))
    else:
        with pytest.raises(ValueError, match=rf"{path.name}: not the weights of .*: .*{said}.*; get the file again"):
            build_network("EfficientNetV2B0", 32, weights=str(path))


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


def calling(function: tuple[str, str], *operands: object) -> Callable[[dict[str, bytes]], None]:
    """Put an operation into a network's description that leads nowhere, and calls a function of Keras when built."""

    def change(content: dict[str, bytes]) -> None:
        described = json.loads(content["config.json"])
        layers = described["config"]["layers"]
        branch = dict(zip(("module", "config"), function, strict=True)) | {"class_name": "function"}
        inputs = layers[1]["inbound_nodes"][0]["args"][0]
        switch = {
            "module": "keras.src.ops.core",
            "class_name": "Switch",
            "config": {"name": "switch"},
            "name": "switch",
        }
        layers.append(switch | {"inbound_nodes": [{"args": [inputs, [branch], *operands], "kwargs": {}}]})
        content["config.json"] = json.dumps(described).encode()

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
def test_the_description_of_a_network_is_never_followed(function, checkpoint, saved, tmp_path):
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
        told = predict_probabilities(checkpoints.load_model(checkpoint), FACES)
    finally:
        policy = keras.config.dtype_policy().name
        keras.config.set_dtype_policy("float32")
    assert (policy, written.exists()) == ("float32", False)
    np.testing.assert_allclose(told, saved[1], atol=1e-6)


@pytest.mark.parametrize("description", [b"", b"[" * 100_000, b"\x00" * 10**7], ids=["none", "deep", "long"])
def test_whatever_describes_a_network_its_arrays_are_read(description, checkpoint, saved):
    rewrite(checkpoint, lambda content: content.update({"config.json": description}))
    np.testing.assert_allclose(predict_probabilities(checkpoints.load_model(checkpoint), FACES), saved[1], atol=1e-6)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "/etc/passwd", "../out", "assets/", "é"])
def test_a_keras_file_that_holds_more_is_refused(name, checkpoint):
    with zipfile.ZipFile(checkpoint, "a") as archive:
        archive.writestr(name, b"more")
    with pytest.raises(ValueError, match=r"some\.keras: not a checkpoint: it holds other files than Keras puts there"):
        checkpoints.load_model(checkpoint)


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_keras_file_that_unpacks_to_more_is_refused_unread(packed, checkpoint, monkeypatch):
    rewrite(checkpoint, lambda content: content.update({"config.json": b" " * 10**7}), packed)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ValueError, match="it holds other files than Keras puts there, or packed ones"):
        checkpoints.load_model(checkpoint)


def test_a_keras_file_whose_arrays_claim_to_be_longer_than_the_file_is_refused(checkpoint):
    content = bytearray(checkpoint.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 20  # sizes of the last entry, packed and not
    content[at : at + 8] = (2**31).to_bytes(4, "little") * 2
    checkpoint.write_bytes(content)
    with pytest.raises(ValueError, match=r"some\.keras: not a checkpoint: it is cut short or damaged"):
        checkpoints.load_model(checkpoint)


def test_a_keras_file_of_keras_2_is_refused_with_a_way_out(tmp_path):
    inputs = tf_keras.Input((48, 48, 1))
    tf_keras.Model(inputs, tf_keras.layers.Flatten()(inputs)).save(tmp_path / "some.keras")
    with pytest.raises(ValueError, match="Keras 2 saved it; save it there with save_format='h5', and name that file"):
        checkpoints.load_model(tmp_path / "some.keras")


KERNEL = "layers/dense/vars/0"


def elsewhere(file: h5py.File) -> None:
    shape = file[KERNEL].shape
    del file[KERNEL]
    file.create_dataset(KERNEL, shape, "f4", external=[(os.devnull, 0, h5py.h5f.UNLIMITED)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (elsewhere, f"its part {KERNEL} is a link, a second name, or no array that lies in it as it is"),
        (lambda file: file.__delitem__(KERNEL), "the array dense/0 is missing"),
        (lambda file: file.__setitem__("layers/dense/vars/2", [1.0]), "the array /layers/dense/vars/2 belongs to no"),
        (lambda file: file.__setitem__("more", [1.0]), "no 'name'|Unable|can't locate|belongs to no layer"),
        (lambda file: file.copy("layers/dense", "layers/dense_2"), "vars/. belongs to no layer"),
        (lambda file: file["layers/dense/vars"].attrs.update(name=[b"dense"] * 9), "its attribute name is no text"),
        (lambda file: file["layers/dense/vars"].attrs.update(name="rgb"), "it has other layers than the network that"),
        (lambda file: file["layers/functional_1"].move("layers/conv2d", "layers/conv2d_99"), None),
    ],
)
def test_an_array_in_a_keras_file_that_does_not_fit_is_refused_by_name(change, said, checkpoint):
    """Where one is missing, Keras would leave random values. Which number a layer of a kind has does not matter."""
    rewrite_arrays(checkpoint, change)
    if said is None:
        checkpoints.load_model(checkpoint)
    else:
        with pytest.raises(
            ValueError, match=rf"some\.keras: not a checkpoint: .*({said}).*; get the file again, train"
        ):
            checkpoints.load_model(checkpoint)


def test_a_network_of_somebody_else_is_refused(checkpoint):
    inputs = keras.Input((48, 48, 1))
    keras.Model(inputs, keras.layers.Dense(6)(keras.layers.Flatten()(inputs))).save(checkpoint)
    checkpoints.amend_checkpoint(checkpoint, sha256=ageclf.sha256(checkpoint))
    with pytest.raises(ValueError, match=r"some\.keras: not a checkpoint: it has other layers than the network"):
        checkpoints.load_model(checkpoint)


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
