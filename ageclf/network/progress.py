"""Progress of a training: its history, its best network, and the state from which a stopped one resumes."""

import json
import reprlib
from pathlib import Path

import numpy as np
import pandas as pd

import ageclf
from ageclf.network.backend import keras
from ageclf.network.checkpoints import save_checkpoint
from ageclf.network.hdf5 import refusing

# A training that is resumed with other code than it was started with has a result that nothing explains.
SOURCES = sorted(Path(__file__).parent.glob("*.py"))
IGNORED = ("commit", "data.name")  # another commit with the same sources, or a file that was moved, changes nothing


class Progress(keras.callbacks.Callback):
    """Resumes a training where it was stopped, and saves it after every epoch.

    First the network is saved to `checkpoint`, when its validation loss is the lowest so far; then the history to
    `log`, a CSV with a row an epoch: epoch (from 1), accuracy, loss, val_accuracy, val_loss, learning_rate. Last
    comes the state, beside the checkpoint: whatever happens before that, the epoch is repeated, with the same result.

    `inference_model` is the network that is saved to the checkpoint when it is not the one that is trained, whose
    weights it shares. `history` is that of the state, empty when there is none. `provenance`, which is saved in the
    checkpoint's .json, must hold all that the training depends on. Raises ValueError for a state that was started with
    anything else, or cannot be read.
    """

    def __init__(self, checkpoint: Path, log: Path, provenance: dict, inference_model: keras.Model | None = None):
        super().__init__()
        self.checkpoint, self.log, self.provenance = checkpoint, log, provenance
        self.inference_model, self.state = inference_model, checkpoint.with_suffix(ageclf.STATE)
        self._start_over = f"make clean-training RUN={provenance['run']} starts over"
        self._in_state = self.state, "the training that was stopped cannot be read", self._start_over
        self.settings = _flat(provenance | {"source": {path.name: ageclf.sha256(path) for path in SOURCES}})
        for path in (checkpoint, checkpoint.with_suffix(ageclf.PROVENANCE), self.state):
            ageclf.remove_partial(path)
        self.read()

    def read(self) -> None:
        """Read the history of the state; without a state, or without the checkpoint beside it, start anew."""
        self.history = []
        if not (self.state.exists() and self.checkpoint.exists()):
            self.log.unlink(missing_ok=True)
            return
        with refusing(*self._in_state), np.load(self.state, allow_pickle=False) as stored:
            recorded = json.loads(str(stored["metadata"]))
            started, history = dict(recorded["settings"]), recorded["history"]
            epochs_since_best(history)
        for key in sorted(started.keys() | self.settings.keys()):
            before, now = (settings.get(key) for settings in (started, self.settings))
            if before != now:
                changed = f"was started with {key} {reprlib.repr(before)}, and now it is {reprlib.repr(now)}"
                raise self._refused(f"{changed}; change that back to resume it")
        self.history = history

    def _refused(self, reason: str) -> ValueError:
        return ValueError(f"{self.state}: the training that was stopped {reason}; {self._start_over}")

    def restore(self, kind: str, variables: list) -> None:
        """Assign the state's values of the `network`, or of its `optimizer`, to all variables of it.

        Raises ValueError, and may have assigned some, when the state holds other variables.
        """
        # By order: the names of random generators count up with whatever else a process has built.
        with refusing(*self._in_state), np.load(self.state, allow_pickle=False) as stored:
            arrays = [stored[f"{kind} {i}"] for i in range(len(variables))]
        for variable, array in zip(variables, arrays, strict=True):
            if array.shape == tuple(variable.shape):
                variable.assign(array)
            if not np.array_equal(keras.ops.convert_to_numpy(variable), array, equal_nan=True):
                raise self._refused(f"does not come back as it was ({variable.path})")

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Validate what will be saved: each of several GPUs has moving averages of its own; the first's are saved."""
        for variable in self.model.non_trainable_variables:
            variable.assign(keras.ops.convert_to_numpy(variable))

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Save what the epoch has led to.

        Raises ValueError when its loss is no finite number, OSError when it cannot be saved; what the last one saved
        stays.
        """
        if not np.isfinite([logs["loss"], logs["val_loss"]]).all():
            diverged = f"epoch {epoch + 1}: the loss is {logs['loss']}, of validation {logs['val_loss']}"
            raise ValueError(f"{diverged}, and nothing of it is saved; lower learning_rate; {self._start_over}")
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = {"epoch": epoch + 1, **group_metrics(logs), "learning_rate": rate}
        history = [*self.history, row]
        state = {"metadata": np.array(json.dumps({"settings": self.settings, "history": history}))}
        for kind, variables in (("network", self.model.variables), ("optimizer", self.model.optimizer.variables)):
            state |= {f"{kind} {i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(variables)}
        try:
            if epochs_since_best(history) == 0:
                measured = {name: row[name] for name in ("epoch", "val_loss", "val_accuracy")}
                save_checkpoint(self.inference_model or self.model, self.checkpoint, self.provenance | measured)
            ageclf.atomic_write(self.log, lambda partial: pd.DataFrame(history).to_csv(partial, index=False))
            ageclf.atomic_write(self.state, lambda partial: np.savez(partial, allow_pickle=False, **state))
        except OSError as error:
            again = f"once that is fixed, the same command resumes after epoch {epoch}"
            raise OSError(f"{self.state.parent}: epoch {epoch + 1} could not be saved ({error}); {again}") from error
        self.history = history

    def finish(self) -> None:
        """Remove the state: the next training starts anew."""
        self.state.unlink(missing_ok=True)


def group_metrics(logs: dict) -> dict:
    """Give loss and accuracy of the groups the same names whether the network has auxiliary outputs or not."""
    own = {name.replace("probabilities_", ""): logs[name] for name in logs if "probabilities_" in name}
    return {name: logs[name] for name in logs if "probabilities_" not in name} | own


def epochs_since_best(history: list[dict]) -> int:
    """Count the epochs after the one with the lowest validation loss; 0 for none."""
    losses = [row["val_loss"] for row in history] or [0.0]
    return len(losses) - 1 - int(np.argmin(losses))


def _flat(values: dict) -> dict:
    """Flatten inner dictionaries to `outer.inner`, through JSON as what it is compared with: no tuples."""
    parts = ({f"{k}.{inner}": v[inner] for inner in v} if isinstance(v, dict) else {k: v} for k, v in values.items())
    return json.loads(json.dumps({key: value for part in parts for key, value in part.items() if key not in IGNORED}))
