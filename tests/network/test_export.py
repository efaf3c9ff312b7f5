"""Exports predict, each in its own runtime, as the checkpoint does in Keras; and whoever has one needs nothing else."""

import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import ageclf
from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.faces.reading import load_faces
from ageclf.metrics.calibration import predictions_of_photos
from ageclf.network.backend import keras
from ageclf.network.checkpoints import load_checkpoint, save_checkpoint
from ageclf.network.export import WRITERS, export_network, write_saved_model
from ageclf.network.model import augmentation, build_network, without_augmentation
from ageclf.network.prediction import predict_probabilities
from ageclf.network.training import recompute_batch_norm

sys.modules["openvino_telemetry"] = None  # both would send messages
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

PROVENANCE = {"groups": group_names(), "edges": list(REFERENCE_EDGES), "backbone": "small", "image_size": 16}
PAGE = (ageclf.CHECKOUT / "docs" / "export.md").read_text(encoding="utf-8")
(SHIPPED,) = (ageclf.CHECKOUT / "checkpoint").glob("ckpt-*.keras")


@pytest.fixture(scope="module")
def faces():
    return load_faces("sample").images[:100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, faces):
    """The folder `checkpoint` with exports of two networks: one with Resizing, which makes Keras' own exporters leave
    dropout active; and the shipped one, which averages over mirror images.
    """
    folder = tmp_path_factory.mktemp("exports") / "checkpoint"
    folder.mkdir()
    network = build_network(image_size=16, augment=augmentation())
    recompute_batch_norm(network, faces)
    last = network.get_layer("probabilities")
    last.kernel.assign(5 * last.kernel)  # or all probabilities would be about the same
    save_checkpoint(without_augmentation(network), folder / "small.keras", PROVENANCE | {"training_faces": ["00"]})
    for form, end in ageclf.EXPORTS.items():
        export_network(folder / "small.keras", folder / f"small{end}", form)
        export_network(SHIPPED, folder / f"{SHIPPED.stem}{end}", form)
    return folder


@pytest.fixture(scope="module")
def checkpoints(folder, faces):
    """Of each network the metadata of its checkpoint, and what Keras predicts with that."""
    loaded = {path.stem: load_checkpoint(path) for path in (folder / "small.keras", SHIPPED)}
    return {name: (metadata, predict_probabilities(model, faces)) for name, (model, metadata) in loaded.items()}


def open_savedmodel(path):
    import tensorflow as tf

    known = json.loads((path / "provenance.json").read_text())
    network = tf.saved_model.load(path)
    (name,) = network.signatures["serving_default"].structured_outputs
    return known, lambda grey: network.signatures["serving_default"](grey=tf.constant(grey))[name].numpy()


def open_onnx(path):
    import onnxruntime

    network = onnxruntime.InferenceSession(path)
    assert ([one.name for one in network.get_inputs()], len(network.get_outputs())) == (["grey"], 1)
    known = json.loads(network.get_modelmeta().custom_metadata_map["provenance"])
    return known, lambda grey: network.run(None, {"grey": grey})[0]


def open_openvino(path):
    import openvino

    network = openvino.Core().read_model(path)
    assert (len(network.inputs), len(network.outputs)) == (1, 1)
    compiled = openvino.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return json.loads(network.get_rt_info("provenance").astype(str)), lambda grey: compiled(grey)[0]


def open_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    known = json.loads(zipfile.ZipFile(path).read("provenance.json"))
    network = Interpreter(path.as_posix()).get_signature_runner()
    return known, lambda grey: network(grey=grey)["output_0"]


OPEN = {"savedmodel": open_savedmodel, "onnx": open_onnx, "openvino": open_openvino, "litert": open_litert}


@pytest.mark.parametrize("form", ageclf.EXPORTS)
@pytest.mark.parametrize("name", ["small", SHIPPED.stem])
def test_an_export_predicts_in_its_runtime_as_the_checkpoint_does_in_keras(name, form, folder, faces, checkpoints):
    """Faces in any number at once, also where they do not divide the hundred."""
    metadata, expected = checkpoints[name]
    known, predict = OPEN[form](folder / f"{name}{ageclf.EXPORTS[form]}")
    assert known == {key: metadata[key] for key in metadata if key != "training_faces" or form == "savedmodel"}
    assert np.ptp(expected, axis=0).max() > 0.1  # they are not the same for every face
    grey = np.float32(faces)[..., np.newaxis]
    for size in (1, 7, 100):
        predicted = np.concatenate([predict(grey[i : i + size]) for i in range(0, 100, size)])
        np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-5)


def test_constants_that_a_layer_computes_are_no_inputs_of_an_onnx_file(tmp_path, faces):
    """As EfficientNetV2B0's normalization does: Keras' own exporter wrote a file that no runtime could use."""
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Normalization(mean=100.0, variance=400.0)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(6, "softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    write_saved_model(model, tmp_path / "saved")
    WRITERS["onnx"][0](tmp_path / "saved", tmp_path / "a.onnx", "{}")
    _, predict = open_onnx(tmp_path / "a.onnx")
    grey = np.float32(faces)[..., np.newaxis]
    np.testing.assert_allclose(predict(grey), model.predict(grey, verbose=0), rtol=0, atol=1e-5)


FORMATS = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
PROGRAMS = dict(zip(FORMATS, re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL), strict=True))


@pytest.mark.parametrize("form", ageclf.EXPORTS)
def test_the_program_on_the_page_answers_as_the_package_does_without_it(form, folder, faces, checkpoints, tmp_path):
    """Without Keras, too, and without TensorFlow but for its own format. The others leave nothing at home, and no
    identifier: they would where they report their use.
    """
    paths = [str(tmp_path / f"{number}.png") for number in range(100)]
    for path, face in zip(paths, faces, strict=True):
        Image.fromarray(face).save(path)
    absent = ["ageclf", "keras", *(["tensorflow"] if form != "savedmodel" else [])]
    (tmp_path / "home").mkdir()
    code = f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n{PROGRAMS[form]}"
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        cwd=folder.parent,
        env=os.environ | {"HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    metadata, probabilities = checkpoints[SHIPPED.stem]
    answers = predictions_of_photos(pd.DataFrame({"photo": paths}), probabilities, metadata)
    assert 0 < answers["above_threshold"].sum() < 100
    printed = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in printed] == answers[["photo", "group"]].to_numpy().tolist()
    np.testing.assert_allclose([float(line[2]) for line in printed], answers["confidence"], rtol=0, atol=6e-4)
    assert [line[3:] != ["not", "sure"] for line in printed] == answers["above_threshold"].tolist()
    assert form == "savedmodel" or not list((tmp_path / "home").iterdir())


@pytest.fixture
def checkpoint(folder, tmp_path):
    for file in ("small.keras", "small.json"):
        os.link(folder / file, tmp_path / file)
    return tmp_path / "small.keras"


def test_an_older_export_is_replaced_and_never_written_into(checkpoint, folder):
    """Another name of the old files shows that they are as they were: whoever is killed leaves no half of a network."""
    kept = {}
    for file in ("small.xml", "small.bin"):
        os.link(folder / file, checkpoint.with_name(f"old-{file}"))
        os.link(folder / file, checkpoint.with_name(file))
        kept[file] = (folder / file).read_bytes()
    export_network(checkpoint, checkpoint.with_suffix(".xml"), "openvino")
    for file, content in kept.items():
        assert checkpoint.with_name(f"old-{file}").read_bytes() == content
        assert not checkpoint.with_name(file).samefile(folder / file)
    left = ["old-small.bin", "old-small.xml", "small.bin", "small.json", "small.keras", "small.xml"]
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == left


@pytest.mark.parametrize(
    ("form", "name"),
    [("savedmodel", "data"), ("onnx", "data.onnx"), ("openvino", "data.xml"), ("openvino", "data.bin")],
)
def test_an_export_never_replaces_anything_else(form, name, tmp_path):
    path = tmp_path / name
    path.mkdir() if form == "savedmodel" else path.write_text("precious")
    with pytest.raises(ValueError, match=rf"{name} exists and is no export; remove or rename it"):
        export_network(tmp_path / "some.keras", path.with_suffix(".xml") if form == "openvino" else path, form)
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_checkpoint_leaves_no_export(checkpoint):
    checkpoint.unlink()
    checkpoint.write_bytes(b"")
    with pytest.raises(ValueError, match=r"small\.keras: not a checkpoint: it is empty"):
        export_network(checkpoint, checkpoint.with_suffix(".onnx"), "onnx")
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["small.json", "small.keras"]


@pytest.mark.parametrize(("form", "package"), [("onnx", "tf2onnx"), ("openvino", "openvino")])
def test_a_missing_package_is_named_with_what_to_type(form, package, checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"^FORMAT={form} needs tensorflow and {package}: pip install {package}$"):
        export_network(checkpoint, checkpoint.with_suffix(".a"), form)
