"""Checkpoints in formats that other programs run without this package: SavedModel, ONNX, OpenVINO and LiteRT."""

import importlib.util
import json
import logging
import sys
import tempfile
import zipfile
from pathlib import Path

import ageclf
from ageclf.faces.csv_table import SIZE
from ageclf.network.backend import keras
from ageclf.network.checkpoints import load_checkpoint

CONVERTERS = {"onnx": ["tf2onnx"], "openvino": ["openvino"]}  # packages that a format needs beside TensorFlow


def export_network(checkpoint: Path, form: str) -> Path:
    """Write a checkpoint beside it in one of the formats of `ageclf.EXPORTS`, and return the path.

    Each takes float32 (n, 48, 48, 1) in 0–255, any n, and returns what `predict_probabilities` does. It holds the
    checkpoint's metadata as JSON: a SavedModel, which is a folder, in the file `provenance.json`; ONNX and OpenVINO
    as `provenance` among their own metadata; LiteRT as `provenance.json` in a zip archive at its end, where that format
    has what belongs to a network. The hashes of the training faces are left to the SavedModel, which is no single file.
    The weights of OpenVINO lie in a second file.

    All is written under another name and renamed; an older export is replaced. Raises ValueError where anything else
    has its name, where a package is missing, and on another backend than TensorFlow; and what `load_checkpoint` does.
    """
    path, *_ = files = [checkpoint.with_name(f"{checkpoint.stem}{end}") for end in ageclf.EXPORTS[form]]
    replaced = (path / "saved_model.pb").is_file() or (path.is_file() and b"provenance" in path.read_bytes())
    for file in (file for file in files if file.exists() and not replaced):
        raise ValueError(f"{file} exists and is no export; remove or rename it")
    lacking = [one for one in ("tensorflow", *CONVERTERS.get(form, ())) if importlib.util.find_spec(one) is None]
    if lacking or keras.backend.backend() != "tensorflow":
        remedy = f"pip install {' '.join(lacking)}" if lacking else "leave KERAS_BACKEND unset"
        raise ValueError(f"TensorFlow writes FORMAT={form}: {remedy}")
    model, metadata = load_checkpoint(checkpoint)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as partial:
        saved = Path(partial, f"{checkpoint.stem}{ageclf.EXPORTS['savedmodel'][0]}")
        write_saved_model(model, saved)
        ageclf.write_text(saved / "provenance.json", json.dumps(metadata, indent=1, ensure_ascii=False))
        metadata.pop("training_faces", None)
        if form in WRITERS:
            WRITERS[form](saved, Path(partial, path.name), json.dumps(metadata))
        if replaced:  # at no time a new .bin beside an old .xml
            path.rename(Path(partial, "old"))
        for file in reversed(files):
            Path(partial, file.name).rename(file)
    return path


def write_saved_model(model: keras.Model, folder: Path) -> None:
    """Write a SavedModel, from which all formats are made; its `serve` is its default signature, too.

    A network that is exported as it is, is called as if in training, by Keras' exporters of all formats but LiteRT. And
    in its ONNX, constants that a layer computes, as EfficientNetV2B0's normalization does, would become inputs.
    """
    grey = keras.Input((SIZE, SIZE, 1), name="grey")
    keras.Model(grey, model(grey, training=False)).export(folder, "tf_saved_model", verbose=False)


def _write_onnx(saved: Path, path: Path, text: str) -> None:
    from tf2onnx import convert, tf_loader

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # tf2onnx uses what TensorFlow calls deprecated
    found = tf_loader.from_saved_model(saved, None, None, ["serve"], ["serve"], return_tensors_to_rename=True)
    graph, *ends, names = found  # without the names, the input would be called as in TensorFlow's graph
    network, _ = convert.from_graph_def(graph, None, *ends, tensors_to_rename=names)
    network.metadata_props.add(key="provenance", value=text)
    path.write_bytes(network.SerializeToString())


def _write_openvino(saved: Path, path: Path, text: str) -> None:
    sys.modules["openvino_telemetry"] = None  # or the import of OpenVINO sends a message to Google Analytics
    import openvino

    network = openvino.convert_model(saved)
    network.set_rt_info(text, "provenance")
    openvino.serialize(network, path)  # `save_model` would round the weights to float16


def _write_litert(saved: Path, path: Path, text: str) -> None:
    import tensorflow as tf

    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("provenance.json", text)


WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino, "litert": _write_litert}
