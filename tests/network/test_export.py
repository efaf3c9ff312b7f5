"""Exports predict, each in its own runtime, as the checkpoint does in Keras; and whoever has one needs nothing else."""

import json
import os
import re
import shutil
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
def networks(faces):
    """The shipped network, which averages over mirror images, and one with layers that let Keras' own exporters leave
    dropout active; of each the metadata, and what Keras predicts.
    """
    small = build_network(image_size=16, augment=augmentation())
    recompute_batch_norm(small, faces)
    last = small.get_layer("probabilities")
    last.kernel.assign(5 * last.kernel)  # or all probabilities would be about the same
    networks = {"small": (without_augmentation(small), PROVENANCE), SHIPPED.stem: load_checkpoint(SHIPPED)}
    return {name: (*network, predict_probabilities(network[0], faces)) for name, network in networks.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, networks):
    """A folder `checkpoint` with both networks in each format; of the small one, all are made from one SavedModel."""
    folder = tmp_path_factory.mktemp("exports") / "checkpoint"
    folder.mkdir()
    small, metadata, _ = networks["small"]
    write_saved_model(small, folder / "small-savedmodel")
    (folder / "small-savedmodel" / "provenance.json").write_text(json.dumps(metadata))
    for file in (SHIPPED, SHIPPED.with_suffix(".json")):
        shutil.copy(file, folder)
    for form, write in WRITERS.items():
        write(folder / "small-savedmodel", folder / f"small{ageclf.EXPORTS[form][0]}", json.dumps(metadata))
    for form, ends in ageclf.EXPORTS.items():
        assert export_network(folder / SHIPPED.name, form) == folder / f"{SHIPPED.stem}{ends[0]}"
    return folder


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
def test_an_export_predicts_in_its_runtime_as_the_checkpoint_does_in_keras(name, form, folder, faces, networks):
    """Faces in any number at once: one, seven, the six that are left of twenty, a hundred."""
    _, metadata, expected = networks[name]
    known, predict = OPEN[form](folder / f"{name}{ageclf.EXPORTS[form][0]}")
    assert known == {key: metadata[key] for key in metadata if key != "training_faces" or form == "savedmodel"}
    assert np.ptp(expected, axis=0).max() > 0.1  # they are not the same for every face
    grey = np.float32(faces)[..., np.newaxis]
    for size, upto in ((1, 7), (7, 20), (100, 100)):
        predicted = np.concatenate([predict(grey[i : min(i + size, upto)]) for i in range(0, upto, size)])
        np.testing.assert_allclose(predicted, expected[:upto], rtol=0, atol=1e-5)


def test_constants_that_a_layer_computes_are_no_inputs_of_an_onnx_file(tmp_path, faces):
    """As EfficientNetV2B0's normalization does: Keras' own exporter wrote a file that no runtime could use."""
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Normalization(mean=100.0, variance=400.0)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(6, "softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    write_saved_model(model, tmp_path / "saved")
    WRITERS["onnx"](tmp_path / "saved", tmp_path / "a.onnx", "{}")
    _, predict = open_onnx(tmp_path / "a.onnx")
    grey = np.float32(faces)[..., np.newaxis]
    np.testing.assert_allclose(predict(grey), model.predict(grey, verbose=0), rtol=0, atol=1e-5)


FORMATS = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
PROGRAMS = dict(zip(FORMATS, re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL), strict=True))


@pytest.mark.parametrize("form", ageclf.EXPORTS)
def test_the_program_on_the_page_answers_as_the_package_does_without_it(form, folder, faces, networks, tmp_path):
    """Without Keras, too, and without TensorFlow but for its own format. The others leave nothing at home, and no
    identifier: they would where they report their use.
    """
    paths = [str(tmp_path / f"{number}.png") for number in range(100)]
    for path, face in zip(paths, faces, strict=True):
        # Larger, as UTKFace's are. Four equal pixels give one again, unless they are averaged with those around them.
        Image.fromarray(face.repeat(2, axis=0).repeat(2, axis=1)).save(path)
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
    _, metadata, probabilities = networks[SHIPPED.stem]
    answers = predictions_of_photos(pd.DataFrame({"photo": paths}), probabilities, metadata)
    assert 0 < answers["above_threshold"].sum() < 100
    printed = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in printed] == answers[["photo", "group"]].to_numpy().tolist()
    np.testing.assert_allclose([float(line[2]) for line in printed], answers["confidence"], rtol=0, atol=6e-4)
    assert [line[3:] != ["not", "sure"] for line in printed] == answers["above_threshold"].tolist()
    assert form == "savedmodel" or not list((tmp_path / "home").iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "some.keras"
    save_checkpoint(build_network(image_size=16), path, PROVENANCE)
    return path


@pytest.fixture
def checkpoint(saved, tmp_path):
    for file in (saved, saved.with_suffix(".json")):
        shutil.copy(file, tmp_path)
    return tmp_path / "some.keras"


def test_an_older_export_is_replaced_and_never_written_into(checkpoint, folder):
    """Further names of the old files show that they are as they were: a kill leaves no half of a network."""
    path, kept = checkpoint.with_suffix(".xml"), {}
    for end in (".xml", ".bin"):
        for name in (f"old{end}", f"some{end}"):
            os.link(folder / f"small{end}", checkpoint.with_name(name))
        kept[end] = (folder / f"small{end}").read_bytes()
    export_network(checkpoint, "openvino")
    for end, content in kept.items():
        assert checkpoint.with_name(f"old{end}").read_bytes() == content
        assert not path.with_suffix(end).samefile(folder / f"small{end}")
    left = ["old.bin", "old.xml", "some.bin", "some.json", "some.keras", "some.xml"]
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == left


@pytest.mark.parametrize("name", ["some-savedmodel", "some.onnx", "some.xml", "some.bin", "some.tflite"])
def test_an_export_never_replaces_anything_else(name, tmp_path):
    path = tmp_path / name
    path.mkdir() if name == "some-savedmodel" else path.write_text("precious")
    (form,) = (form for form, ends in ageclf.EXPORTS.items() if name.removeprefix("some") in ends)
    with pytest.raises(ValueError, match=rf"{name} exists and is no export; remove or rename it"):
        export_network(tmp_path / "some.keras", form)
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_checkpoint_leaves_no_export(checkpoint):
    checkpoint.write_bytes(b"")
    with pytest.raises(ValueError, match=r"some\.keras: not a checkpoint: it is empty"):
        export_network(checkpoint, "onnx")
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["some.json", "some.keras"]


@pytest.mark.parametrize(("form", "package"), [("onnx", "tf2onnx"), ("openvino", "openvino")])
def test_a_missing_package_is_named_with_what_to_type(form, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"^TensorFlow writes FORMAT={form}: pip install {package}$"):
        export_network(tmp_path / "some.keras", form)
