"""Training: batches in a seeded order, the learning rate, and fit with a checkpoint after every better epoch."""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ageclf.backend import keras
from ageclf.weights import save_checkpoint


def group_targets(groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Turn group indices, int (n,), into one-hot targets, float32 (n, n_groups)."""
    return np.eye(n_groups, dtype="float32")[groups]


class Batches(keras.utils.PyDataset):
    """Shuffled batches: uint8 (b, 48, 48, 1) with targets float32 (b, n_groups).

    The order depends on `seed` and the number of the epoch alone: it is new in every epoch, which
    `fit(arrays, shuffle=True)` after seeding is not, and the same in every run.
    """

    def __init__(self, images: np.ndarray, targets: np.ndarray, batch_size: int, seed: int, epoch: int = 0):
        super().__init__()
        self.images, self.targets = images[..., np.newaxis], targets
        self.batch_size, self.seed = batch_size, seed
        self._shuffle(epoch)

    def _shuffle(self, epoch: int) -> None:
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.images))

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[chosen], self.targets[chosen]

    def on_epoch_end(self) -> None:
        self._shuffle(self.epoch + 1)


def warmup_cosine(peak: float, steps: int, warmup: float = 0.05) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate as a function of the step: linear warm-up over a share of `steps`, cosine to zero.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without restarts.
    """
    rising = max(1, round(warmup * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=max(1, steps - rising), warmup_target=peak, warmup_steps=rising
    )


class BestCheckpoint(keras.callbacks.Callback):
    """After each epoch, save the network if its validation loss is the lowest so far."""

    def __init__(self, path: Path, provenance: dict):
        super().__init__()
        self.path, self.provenance, self.best = path, provenance, math.inf

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        if logs["val_loss"] < self.best:
            self.best = logs["val_loss"]
            measured = {
                "epoch": epoch + 1,
                "val_loss": logs["val_loss"],
                "val_accuracy": logs["val_accuracy"],
            }
            save_checkpoint(self.model, self.path, self.provenance | measured)


class LearningRateLog(keras.callbacks.Callback):
    """Add the learning rate at the end of the epoch to what is logged; comes before the callbacks that log."""

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


class ProgressBar(keras.callbacks.Callback):
    """One bar over all batches of some epochs, with the last epoch's figures and the time left beside it."""

    def __init__(self, name: str, epochs: int):
        super().__init__()
        self.name, self.epochs = name, epochs

    def on_train_begin(self, logs: dict | None = None) -> None:
        # Once a second: an executed notebook keeps every state of the bar, and training may take hours.
        total = self.epochs * self.params["steps"]
        self.bar = tqdm(total=total, desc=self.name, unit="batch", file=sys.stdout, mininterval=1, ncols=100)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        self.bar.set_postfix_str(f"epoch {epoch + 1}, validation accuracy {logs['val_accuracy']:.3f}")

    def on_train_end(self, logs: dict | None = None) -> None:
        self.bar.close()


def training_callbacks(checkpoint: Path, provenance: dict, log: Path, patience: int) -> list[keras.callbacks.Callback]:
    """Return what goes along with training: history, checkpoint, early stopping.

    `log` becomes a CSV of one row an epoch: epoch (from 0), accuracy, learning_rate, loss, val_accuracy,
    val_loss. With TensorFlow, the same figures go to a folder `tensorboard` beside it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    callbacks = [
        LearningRateLog(),
        BestCheckpoint(checkpoint, provenance),
        keras.callbacks.CSVLogger(log, append=True),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience),
    ]
    if keras.backend.backend() == "tensorflow":
        callbacks.append(keras.callbacks.TensorBoard(log.parent / "tensorboard", write_graph=False))
    return callbacks


def fit(
    model: keras.Model,
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    callbacks: list[keras.callbacks.Callback],
    *,
    head_epochs: int,
    epochs: int,
    batch_size: int,
    head_learning_rate: float,
    learning_rate: float,
    seed: int,
) -> None:
    """Train the head alone for `head_epochs` at a constant rate, then everything for `epochs` by `warmup_cosine`.

    `train` and `val` are images uint8 (n, 48, 48) with targets float32 (n, n_groups). The model is compiled
    anew for each phase: which weights an optimizer moves is settled then.
    """
    steps = math.ceil(len(train[0]) / batch_size)
    phases = []
    if head_epochs:
        phases.append(("head", 0, head_epochs, head_learning_rate))
    if epochs:
        rate = warmup_cosine(learning_rate, epochs * steps)
        phases.append(("everything", head_epochs, head_epochs + epochs, rate))
    for phase, first, last, rate in phases:
        model.get_layer("backbone").trainable = phase == "everything"
        model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
        model.fit(
            Batches(*train, batch_size, seed, epoch=first),
            validation_data=(val[0][..., np.newaxis], val[1]),
            validation_batch_size=256,
            initial_epoch=first,
            epochs=last,
            callbacks=[*callbacks, ProgressBar(phase, last - first)],
            verbose=0,
        )


def read_history(log: Path) -> pd.DataFrame:
    """Read the CSV of a training run: one row an epoch, indexed by the epoch's number, from 1."""
    history = pd.read_csv(log, index_col="epoch")
    return history.set_index(history.index + 1)
