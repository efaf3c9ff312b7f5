"""A small training through the project's own code, as a process that kills itself where a test wants it.

    python tests/network/tiny_training.py FOLDER [POINT]

Its validation losses are set, `VAL_LOSSES`: which epoch is best and when it stops early are the same on any processor.

A point is `batch N`: when the Nth batch is asked for; or `half X`, `before X`, `after X`: when half of the file X of
an epoch is written, right before or right after it gets its name. X is `.keras 2` for the second .keras file.
With TWO_DEVICES in the environment, TensorFlow sees the processor as two devices, and trains on both; then moving
averages of the weights are saved.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import ageclf
from ageclf.network import training
from ageclf.network.backend import keras
from ageclf.network.model import augmentation
from ageclf.network.progress import Progress

SCHEDULE = {"head_epochs": 2, "epochs": 12, "batch_size": 8, "head_learning_rate": 1e-2, "learning_rate": 1e-2}
SCHEDULE |= {"patience": 3, "seed": 1}
# Two epochs of the head; of everything, the fifth is better than these, the sixth the best, and the ninth the last.
VAL_LOSSES = (5.0, 4.0, 9.0, 8.0, 7.0, 6.0, 3.0, 1.0, 2.0, 2.0, 2.0)
AVERAGED = {"epochs": 6, "ema_momentum": 0.9, "batch_norm_faces": 24, "weight_decay": 0.1}
TWO_DEVICES = "TWO_DEVICES" in os.environ
PROVENANCE = {"run": "tiny", "commit": "abc1234", "data": {"name": "a.csv", "sha256": "00"}, "training_faces": ["00"]}


def faces(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 48, 48)).astype("uint8"), np.eye(6, dtype="float32")[rng.integers(0, 6, n)]


if TWO_DEVICES:
    import tensorflow as tf

    halves = [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)

# To train on, to validate with; one more than can be divided between two devices.
FACES = faces(24 + TWO_DEVICES, seed=0), faces(12 + TWO_DEVICES, seed=5)


def tiny_network() -> keras.Model:
    """All that a state must hold, in 700 weights: random layers, statistics, a backbone and a head."""
    layers, inputs = keras.layers, keras.Input((48, 48, 1))
    x = layers.Rescaling(1 / 255)(augmentation()(inputs))
    steps = [layers.AveragePooling2D(12), layers.Conv2D(4, 1), layers.BatchNormalization()]
    x = layers.Flatten()(keras.Sequential([keras.Input((48, 48, 1)), *steps], name="backbone")(x))
    x = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(6, activation="softmax", name="head")(x))


def weights(model: keras.Model) -> np.ndarray:
    """Return all that a network holds, float64 in one row."""
    return np.concatenate([keras.ops.convert_to_numpy(one).ravel().astype("float64") for one in model.variables])


def saved(folder: Path) -> tuple[keras.Model, dict]:
    """Return the network that a training has saved, and the metadata beside it; the two must belong together."""
    path = folder / "tiny.keras"
    metadata = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert metadata["sha256"] == ageclf.sha256(path)
    return keras.models.load_model(path, compile=False), metadata


def read_history(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "tiny.csv", index_col="epoch")


class SetLosses(Progress):
    """The validation losses are `VAL_LOSSES`; those of the network are in the history as `measured`."""

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        super().on_epoch_end(epoch, logs | {"val_loss": VAL_LOSSES[epoch], "measured": logs["val_loss"]})


class Interrupted(SetLosses):
    """Ctrl-C comes when the third epoch is saved."""

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        super().on_epoch_end(epoch, logs)
        if epoch + 1 == 3:
            raise KeyboardInterrupt


def train(folder: Path, progress: type[Progress] = SetLosses, **changes: float) -> keras.Model:
    """Train the tiny network, its state and log in a folder, with other settings if asked for."""
    keras.utils.set_random_seed(3)
    with training.on_all_gpus("CPU"):
        model, schedule = tiny_network(), SCHEDULE | changes
    saving = progress(folder / "tiny.keras", folder / "tiny.csv", PROVENANCE | schedule)
    training.fit(model, *FACES, saving, **schedule)
    return model


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(point: str) -> None:
    moment, _, rest = point.partition(" ")
    calls = []
    if moment == "batch":
        getitem = training.Batches.__getitem__

        def count(self: training.Batches, index: int) -> tuple[np.ndarray, np.ndarray]:
            calls.append(index)
            return die() if len(calls) == int(rest) else getitem(self, index)

        training.Batches.__getitem__ = count
        return
    suffix, number = rest.split()
    replace = Path.replace

    def rename(partial: Path, path: Path) -> Path:
        if not path.name.endswith(suffix):
            return replace(partial, path)
        calls.append(path)
        if len(calls) < int(number):
            return replace(partial, path)
        if moment == "half":
            os.truncate(partial, partial.stat().st_size // 2)
        if moment == "after":
            replace(partial, path)
        return die()

    Path.replace = rename


if __name__ == "__main__":
    if len(sys.argv) > 2:
        die_at(sys.argv[2])
    folder = Path(sys.argv[1])
    model = train(folder, **(AVERAGED if TWO_DEVICES else {}))
    print("trained on", model.distribute_strategy.num_replicas_in_sync)
    ageclf.atomic_write(folder / "end.npy", lambda partial: np.save(partial, weights(model)))
