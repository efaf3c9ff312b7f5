"""Faces predicted in a second, by `predict_probabilities`, ONNX Runtime and OpenVINO against plain `model.predict`.

    python benchmarks/prediction.py [CSV]

Networks that are already compiled: the shipped one, and the small one with random weights and recomputed statistics;
without a file the faces are synthetic. All must give the same probabilities within 1e-4. The runtimes get exports, 128
faces at once as `predict_probabilities` gives them to Keras.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from _measure import in_turns, print_table, seconds, spread
from _synthetic_faces import synthesize_sample

from ageclf.faces.reading import load_faces
from ageclf.network.backend import keras
from ageclf.network.checkpoints import find_checkpoint, load_checkpoint
from ageclf.network.export import WRITERS, write_saved_model
from ageclf.network.model import augmentation, build_network
from ageclf.network.prediction import predict_probabilities
from ageclf.network.training import recompute_batch_norm

REPETITIONS = {1: 100, 32: 30, 10_000: 3}  # by the number of faces


def load_networks(images: np.ndarray) -> dict[str, keras.Model]:
    keras.utils.set_random_seed(0)
    small = build_network(augment=augmentation())
    recompute_batch_norm(small, images[:256])  # or all probabilities might be the same
    shipped = find_checkpoint("auto", "best")
    return {"small": small, shipped.stem: load_checkpoint(shipped)[0]}


def load_runtimes(network: keras.Model, folder: Path) -> dict[str, Callable]:
    """Export a network, and return what predicts with it: float32 (n, 48, 48, 1) to probabilities."""
    write_saved_model(network, folder / "saved")
    onnx, openvino_xml = folder / "a.onnx", folder / "a.xml"
    WRITERS["onnx"](folder / "saved", onnx, "{}")
    WRITERS["openvino"](folder / "saved", openvino_xml, "{}")  # which keeps OpenVINO from reporting its use
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime
    import openvino

    session = onnxruntime.InferenceSession(onnx)
    compiled = openvino.compile_model(openvino_xml, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {"ONNX Runtime": lambda grey: session.run(None, {"grey": grey})[0], "OpenVINO": lambda x: compiled(x)[0]}


def predict_exported(predict: Callable, faces: np.ndarray) -> np.ndarray:
    starts = range(0, len(faces), 128)
    return np.concatenate([predict(np.float32(faces[i : i + 128, ..., np.newaxis])) for i in starts])


def compare_networks(images: np.ndarray, repetitions: dict[int, int]) -> None:
    table = []
    for name, network in load_networks(images).items():
        with TemporaryDirectory() as folder:
            runtimes = load_runtimes(network, Path(folder))
        for count, times in repetitions.items():
            faces = np.resize(images, (count, 48, 48))  # over again where there are not enough
            ways = {"predict_probabilities": partial(predict_probabilities, network, faces)}
            ways |= {way: partial(predict_exported, predict, faces) for way, predict in runtimes.items()}
            ways["baseline: predict"] = partial(network.predict, faces[..., np.newaxis], verbose=0)
            predictions = {way: call() for way, call in ways.items()}
            plain = predictions["baseline: predict"]
            off = {way: float(np.abs(found - plain).max()) for way, found in predictions.items()}
            if max(off.values()) > 1e-4:
                raise ValueError(f"{name}, {count:,} faces: probabilities differ by {max(off.values()):.1e}, not 1e-4")
            taken = in_turns({way: partial(seconds, call) for way, call in ways.items()}, times)
            rates = {way: [count / each for each in taken[way]] for way in ways}
            span = f"{plain.max(axis=1).min():.2f}–{plain.max(axis=1).max():.2f}"
            for way, rate in rates.items():
                ratio = median(rate) / median(rates["baseline: predict"])
                table.append([name, f"{count:,}", way, spread(rate, 0), f"{ratio:.2f}", f"{off[way]:.0e}", span])
    rates = "faces a second, median (min–max)"
    print_table(
        ["network", "faces", "by", rates, "of the baseline", "largest difference", "highest probability"], table
    )


def main(arguments: list[str], repetitions: dict[int, int] = REPETITIONS) -> None:
    path = Path(arguments[0]).resolve() if arguments else "sample"
    images = load_faces(path).images if arguments else synthesize_sample(2000)[0]
    print(f"{path.name if arguments else 'SYNTHETIC faces'}")
    compare_networks(images, repetitions)


if __name__ == "__main__":
    main(sys.argv[1:])
