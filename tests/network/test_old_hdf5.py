"""Old whole-model HDF5 files, written here by tf-keras, which is Keras 2: read exactly, or refused with the reason."""

import functools
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import ageclf
from ageclf.faces.groups import age_to_group
from ageclf.faces.reading import load_faces
from ageclf.network import checkpoints
from ageclf.network.backend import keras

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tf_keras

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")

layers = tf_keras.layers
# Dark and bright ones, so that a network's predictions differ.
FACES = (np.random.default_rng(0).random((12, 48, 48)) * np.linspace(9, 255, 12)[:, None, None]).astype("uint8")


def rgb(faces: np.ndarray) -> np.ndarray:
    return np.repeat(faces[..., np.newaxis], 3, axis=-1).astype("float32")


def body(**settings) -> tf_keras.Model:
    """EfficientNetV2B0 in which no array is at its initial value, with statistics of faces, so that they differ."""
    tf_keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    settings = {"input_shape": (40, 40, 3), "include_preprocessing": False, "weights": None} | settings
    model = tf_keras.applications.EfficientNetV2B0(include_top=False, **settings)
    for layer in model.layers:
        arrays = layer.get_weights()
        layer.set_weights([array + rng.uniform(-0.3, 0.3, array.shape) * (array.ndim == 1) for array in arrays])
        layer.momentum = 0.05  # not 0: variances of a few faces alone make a network that doubles rounding errors
    size = model.input_shape[1] or 48
    model(rgb(FACES)[:, :size, :size] / 127.5 - 1, training=True)
    return model


def save(model: tf_keras.Model, path: Path) -> Path:
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, layers.Dense):  # neither a flat softmax nor biases of zero
            layer.set_weights([rng.normal(0, 0.2, array.shape) for array in layer.get_weights()])
    model.save(path, save_format="h5")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    yield folder
    shutil.rmtree(folder)  # 25 MB each


def functional() -> tf_keras.Model:
    """As the reference is thought to be: nested, pooled, frozen, with augmentation around the resizing."""
    backbone = body(pooling="avg")
    backbone.trainable = False
    x = inputs = tf_keras.Input((48, 48, 3))
    x = tf_keras.Sequential([layers.RandomTranslation(0.1, 0.1), layers.RandomRotation(0.05)])(x)
    x = layers.Resizing(40, 40)(x)
    x = layers.RandomBrightness(0.2)(layers.RandomFlip("horizontal")(x))
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = backbone(x, training=False)
    x = layers.Dropout(0.3)(layers.Dense(256, activation="relu")(x))
    return tf_keras.Model(inputs, layers.Dense(6, activation="softmax")(x))


def sequential() -> tf_keras.Model:
    """Unpooled, unfrozen, with other numbers; preprocessing in a Sequential of its own, in the other order."""
    changes = [layers.RandomZoom(0.1), layers.RandomContrast(0.1), layers.RandomHeight(0.1), layers.RandomWidth(0.1)]
    steps = [layers.Rescaling(1 / 127.5, offset=-1, input_shape=(48, 48, 3)), *changes, layers.Resizing(56, 56)]
    head = [layers.Dense(256, "relu", name="dense_3"), layers.Dense(6, "softmax", name="dense")]
    backbone = body(input_shape=(None, None, 3))
    return tf_keras.Sequential(
        [tf_keras.Sequential(steps), backbone, layers.GlobalAveragePooling2D(), layers.Dropout(0.5), *head]
    )


def trained() -> tf_keras.Model:
    """Compiled, and trained for a step: the file holds the optimizer's arrays too. No resizing."""
    steps = [tf_keras.Input((48, 48, 3)), layers.RandomFlip("horizontal"), layers.Rescaling(1 / 127.5, offset=-1)]
    head = [layers.Dense(256, "relu"), layers.Dropout(0.3), layers.Dense(6, "softmax")]
    model = tf_keras.Sequential([*steps, body(input_shape=(48, 48, 3), pooling="avg"), *head])
    model.compile("adam", "categorical_crossentropy", run_eagerly=True)
    model.train_on_batch(rgb(FACES), np.eye(6)[np.arange(12) % 6])
    return model


@functools.cache
def written(build, folder: Path) -> tuple[Path, tf_keras.Model]:
    model = build()
    return save(model, folder / f"{build.__name__}.h5"), model


@functools.cache
def read(build, folder: Path) -> tuple[keras.Model, dict]:
    return checkpoints.load_checkpoint(written(build, folder)[0])


@pytest.mark.parametrize("build", [functional, sequential, trained], ids=lambda build: build.__name__)
def test_grey_faces_get_the_probabilities_that_the_old_network_predicts(build, folder):
    path, old = written(build, folder)
    new, _ = read(build, folder)
    assert ("optimizer_weights" in h5py.File(path)) == (build is trained)
    expected = old.predict(rgb(FACES), verbose=0)
    predicted = new.predict(FACES[..., np.newaxis], verbose=0)
    assert expected.std(axis=0).max() > 0.01, "its predictions must differ between the faces"
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-4)
    assert new.input_shape == (None, 48, 48, 1)


def test_a_network_from_an_old_file_is_saved_as_a_checkpoint_like_any_other(folder, tmp_path):
    model, metadata = read(functional, folder)
    checkpoints.save_checkpoint(model, tmp_path / "new.keras", metadata)
    loaded, _ = checkpoints.load_checkpoint(tmp_path / "new.keras")
    for array, saved in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(array, saved)
    predicted, expected = (one.predict(FACES[..., np.newaxis], verbose=0) for one in (loaded, model))
    np.testing.assert_allclose(predicted, expected, atol=1e-6)


@pytest.mark.parametrize(("build", "size"), [(functional, 40), (sequential, 56), (trained, 48)])
def test_metadata_of_an_old_file_are_what_it_shows_and_otherwise_none(build, size, folder):
    unknown = ("data", "split_seed", "seed", "epoch", "val_loss", "val_accuracy", "training_counts", "training_faces")
    assert read(build, folder)[1] == {
        "run": build.__name__,
        "groups": ["0-5", "6-18", "19-30", "31-45", "46-65", "66+"],
        "edges": [6, 19, 31, 46, 66],
        "backbone": "EfficientNetV2B0",
        "image_size": size,
        "weights": "unknown",
        "include_preprocessing": False,
        "sha256": ageclf.sha256(written(build, folder)[0]),
        **dict.fromkeys(unknown),
    }


def test_a_json_beside_an_old_file_adds_metadata_whatever_the_name(folder, tmp_path):
    path = Path(shutil.copy(written(functional, folder)[0], tmp_path / "ckpt-1.keras"))
    path.with_suffix(".json").write_text(json.dumps({"weights": "imagenet", "training_faces": ["a"]}))
    _, metadata = checkpoints.load_checkpoint(path)
    assert (metadata["weights"], metadata["training_faces"], metadata["run"]) == ("imagenet", ["a"], "ckpt-1")


def stand_in(name: str = "efficientnetv2-b0", pooling=layers.GlobalAveragePooling2D) -> tf_keras.Model:
    """A model that only its name and place make the backbone: what is wrong elsewhere must be found without it."""
    inputs = tf_keras.Input((40, 40, 3))
    return tf_keras.Model(inputs, pooling()(layers.Conv2D(4, 3, name="stem_conv")(inputs)), name=name)


def network(
    backbone=None, shape=(48, 48, 3), first=(), resizing=None, scale=(1 / 127.5, -1), head=None, units=(256, 6), **dense
) -> tf_keras.Model:
    inputs = tf_keras.Input(shape)
    x = inputs
    resizing = resizing or layers.Resizing(40, 40)
    head = head or [layers.Dense(units[0], "relu", name="wide"), layers.Dropout(0.3)]
    last = layers.Dense(units[1], **{"activation": "softmax", "name": "last"} | dense)
    for layer in (*first, resizing, layers.Rescaling(*scale, name="scale"), backbone or stand_in(), *head, last):
        x = layer(x)
    return tf_keras.Model(inputs, x)


def always_dropping() -> tf_keras.Model:
    inputs = tf_keras.Input((48, 48, 3))
    return tf_keras.Model(
        inputs, layers.Dropout(0.3, name="drop")(layers.Rescaling(1 / 127.5, -1)(inputs), training=True)
    )


def branched() -> tf_keras.Model:
    inputs = tf_keras.Input((48, 48, 3))
    scaled = layers.Rescaling(1 / 127.5, -1)(inputs)
    return tf_keras.Model(inputs, [scaled, layers.Dropout(0.3, name="branch")(inputs)])


def doubled() -> tf_keras.Model:
    inputs = tf_keras.Input((48, 48, 3))
    return tf_keras.Model(inputs, layers.Rescaling(1 / 127.5, -1)(inputs * 2))


OTHER_NETWORKS = {
    "rescaling to [0, 1]": (
        lambda: network(scale=(1 / 255, 0)),
        "Rescaling 'scale' has scale 0.00392156862745098, the reference network 0.00784313725490196",
    ),
    "rescaling to [0, 2]": (lambda: network(scale=(1 / 127.5, 0)), "Rescaling 'scale' has offset 0, "),
    "the backbone's own rescaling": (
        lambda: network(body(pooling="avg", include_preprocessing=True)),
        "Rescaling 'rescaling.*' is where the reference network has Conv2D",
    ),
    "resizing to nearest": (
        lambda: network(resizing=layers.Resizing(40, 40, "nearest", name="size")),
        "Resizing 'size' has interpolation 'nearest', the reference network 'bilinear'",
    ),
    "not square": (
        lambda: network(resizing=layers.Resizing(40, 41, name="size")),
        "Resizing 'size' has width 41, the reference network 40",
    ),
    "another backbone": (
        lambda: network(stand_in("efficientnetb0")),
        "Functional 'efficientnetb0' is no layer of the reference network",
    ),
    "another network under its name": (network, "it has nothing where the reference network has BatchNormalization"),
    "maximum pooling": (
        lambda: network(stand_in(pooling=layers.GlobalMaxPooling2D)),
        "Dense 'wide' is where the reference network has GlobalAveragePooling2D",
    ),
    "five groups": (lambda: network(units=(256, 5)), "Dense 'last' has units 5, the reference network 6"),
    "another width": (lambda: network(units=(128, 6)), "Dense 'wide' has units 128, the reference network 256"),
    "no probabilities": (lambda: network(activation="linear"), "Dense 'last' has activation 'linear', "),
    "no bias": (lambda: network(use_bias=False), "Dense 'last' has use_bias False, the reference network True"),
    "no dense layer but the last": (
        lambda: network(head=[layers.Dropout(0.3)]),
        "Dense 'last' has units 6, the reference network 256",
    ),
    "one layer more": (
        lambda: tf_keras.Sequential([network(), layers.Dense(6, name="more")]),
        "Functional 'model.*' is no layer of the reference network",
    ),
    "one layer less": (
        lambda: tf_keras.Sequential([tf_keras.Input((48, 48, 3)), layers.Rescaling(1 / 127.5, -1), stand_in()]),
        "it has nothing where the reference network has Dense",
    ),
    "a Lambda layer": (
        lambda: network(first=[layers.Lambda(lambda x: x, name="any")]),
        "Lambda 'any' is no layer of the reference network",
    ),
    "an operation": (doubled, "TFOpLambda 'tf.math.multiply.*' is no layer of the reference network"),
    "a crop": (
        lambda: network(first=[layers.RandomCrop(40, 40, name="crop")]),
        "RandomCrop 'crop' is no layer of the reference network",
    ),
    "dropout that is always active": (always_dropping, "Dropout 'drop' always runs as in training"),
    "a branch": (branched, "Dropout 'branch' does not follow on 'rescaling.*' alone"),
    "larger pictures": (
        lambda: network(shape=(64, 64, 3)),
        r"takes pictures of shape \[64, 64, 3\], not \[48, 48, 3\]",
    ),
}


@pytest.mark.parametrize("what", OTHER_NETWORKS)
def test_another_network_is_refused_by_the_first_thing_that_does_not_fit(what, folder):
    build, message = OTHER_NETWORKS[what]
    path = save(build(), folder / "other.h5")
    with pytest.raises(
        ValueError, match=rf"other\.h5: not a checkpoint: .*{message}.*; get the file again, train again"
    ):
        checkpoints.load_checkpoint(path)


STEM = "efficientnetv2-b0/stem_conv/kernel:0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop(STEM), "the array stem_conv/kernel is missing"),
        (lambda arrays: arrays.pop("dense/dense/bias:0"), "the array probabilities/bias is missing"),
        (
            lambda arrays: arrays.copy(STEM, "dense/more/kernel:0"),
            "the array .*/dense/more/kernel:0 belongs to no layer",
        ),
        (lambda arrays: arrays.copy(STEM, f"dense/{STEM}"), "stem_conv/kernel:0 belongs to no layer"),
        (
            lambda arrays: (arrays.pop(STEM), arrays.create_dataset(STEM, (3, 3, 3, 24))),
            r"stem_conv/kernel:0 has shape \(3, 3, 3, 24\), not \(3, 3, 3, 32\)",
        ),
    ],
    ids=["missing in the backbone", "missing in the head", "left over", "twice", "another shape"],
)
def test_an_array_that_does_not_fit_is_refused_by_name(change, message, folder):
    path = Path(shutil.copy(written(sequential, folder)[0], folder / "changed.h5"))
    with h5py.File(path, "a") as file:
        change(file["model_weights"])
    with pytest.raises(ValueError, match=message):
        checkpoints.load_checkpoint(path)


def outside(file: h5py.File) -> None:
    del file["model_weights"][STEM]
    external = [(str(Path(file.filename).with_name("secret")), 0, h5py.h5f.UNLIMITED)]
    file["model_weights"].create_dataset(STEM, (3, 3, 3, 32), "f4", external=external)


def pipe(file: h5py.File) -> None:
    Path(file.filename).with_name("secret").unlink()
    os.mkfifo(Path(file.filename).with_name("secret"))
    outside(file)


def computed(file: h5py.File) -> None:
    del file["model_weights"][STEM]
    layout = h5py.VirtualLayout((3, 3, 3, 32), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3, 3, 3, 32))
    file["model_weights"].create_virtual_dataset(STEM, layout)


def linked(file: h5py.File) -> None:
    del file["model_weights"]
    file["model_weights"] = h5py.ExternalLink("other.h5", "/")


def configured(change: Callable[[str], str]) -> Callable[[h5py.File], None]:
    def rewrite(file: h5py.File) -> None:
        file.attrs["model_config"] = change(file.attrs["model_config"])

    return rewrite


HOSTILE = {
    "values in a file of the user's": (outside, f"its part model_weights/{STEM} is a link"),
    "values in a pipe": (pipe, f"its part model_weights/{STEM} is a link"),
    "values from another file": (computed, f"its part model_weights/{STEM} is a link"),
    "arrays by a link to another file": (linked, "its part model_weights is a link"),
    "a deep configuration": (configured(lambda _: "[" * 10**6), "cut short or damaged .maximum recursion depth"),
    "a long configuration": (configured(lambda _: " " * (2**25 + 1)), "Expecting value"),
    "a huge picture": (configured(lambda text: text.replace(": 56", ": 99999")), "expected 8 to 512"),
    "an endless one": (
        configured(lambda text: text.replace(": 56", f": {'9' * 300}")),
        "image_size=999",
    ),
    "two configurations": (lambda file: file.attrs.update(model_config=[b"{}"] * 2), "model_config is no text"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_holds_more_than_its_own_arrays_is_refused(what, folder, tmp_path):
    change, message = HOSTILE[what]
    path = Path(shutil.copy(written(sequential, folder)[0], tmp_path / "changed.h5"))
    np.zeros(3 * 3 * 3 * 32, "f4").tofile(tmp_path / "secret")
    with h5py.File(tmp_path / "other.h5", "w") as other, h5py.File(path, "a") as file:
        other["x"] = np.zeros((3, 3, 3, 32), "f4")
        change(file)
    with pytest.raises(ValueError, match=rf"changed\.h5: not a checkpoint: .*{message}.*; get the file again, train"):
        checkpoints.load_checkpoint(path)


def test_a_json_beside_an_old_file_is_checked_as_any_other(folder, tmp_path):
    path = Path(shutil.copy(written(functional, folder)[0], tmp_path / "old.h5"))
    for metadata in ({"temperature": -1}, {"groups": ["0-5", "6+"], "edges": [6]}, {"training_counts": [1]}):
        path.with_suffix(".json").write_text(json.dumps(metadata))
        with pytest.raises(
            ValueError, match=rf"old\.json: not a checkpoint's provenance: {'|'.join([*metadata, 'groups'])}"
        ):
            checkpoints.load_checkpoint(path)


def test_hdf5_that_is_no_whole_network_of_keras_2_is_refused(folder):
    stand_in().save_weights(folder / "only.h5")
    keras.Sequential([keras.Input((48, 48, 3)), keras.layers.Flatten(), keras.layers.Dense(6)]).save(folder / "k3.h5")
    for name in ("only.h5", "k3.h5"):
        with pytest.raises(ValueError, match=f"{name}: not a checkpoint: it is an HDF5 file, but not a whole network"):
            checkpoints.load_checkpoint(folder / name)


def test_the_evaluation_notebook_measures_an_old_file_as_keras_2_does(folder, tmp_path):
    path, old = written(functional, folder)
    notebook = ageclf.CHECKOUT / "notebooks" / "05_evaluation.ipynb"
    parameters = {"data": "sample", "run": "old", "checkpoint": path}
    command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "05.ipynb"), "--no-progress-bar"]
    command += [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    environment = {**os.environ, "AGECLF_ROOT": str(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((tmp_path / "reports" / "old" / "metrics.json").read_text())
    table = pd.read_parquet(tmp_path / "reports" / "old" / "predictions.parquet")
    faces = load_faces("sample")
    chosen = faces.table["face_id"].isin(table["face_id"]).to_numpy()
    expected = old.predict(rgb(faces.images[chosen]), verbose=0)
    np.testing.assert_allclose(table[[f"p_{i}" for i in range(6)]], expected, rtol=0, atol=1e-4)
    right = expected.argmax(axis=1) == age_to_group(faces.table["age"][chosen])
    assert metrics["n"] == chosen.sum()
    assert metrics["measures"]["accuracy"]["value"] == pytest.approx(right.mean())
    assert metrics["left_out"] is None
    assert metrics["weights"] == "unknown"
    assert "not known, so the numbers may be too good" in (tmp_path / "05.ipynb").read_text()
