"""Seconds of training until a validation accuracy is reached, by a run's recipe and in the straightforward way.

    python benchmarks/time_to_accuracy.py [CSV] [--run small] [--accuracy 0.6] [--limit SECONDS] [--epochs N]

The straightforward way trains the same small network with `fit`: resized to 128 pixels first, augmented there, plain
Adam at a constant 0.001, 32 faces a step. Both are validated after each epoch. Tracing, validation, and what the recipe
saves after each epoch are part of the way; reading the faces is not. One training each, in a process of its own.
"""

import argparse
import contextlib
import inspect
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _measure import alone, print_table
from _plain import straightforward_network

import ageclf
from ageclf.faces.clusters import assign_parts, cluster_near_duplicates, conflicting
from ageclf.faces.groups import age_to_group
from ageclf.faces.reading import describe, load_faces
from ageclf.network import training
from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network, flip_averaged, targets, with_auxiliary_outputs
from ageclf.network.progress import Progress, group_metrics
from ageclf.workflow import run_files


class Over(Exception):
    """The accuracy is reached, or the time is up."""


class Clock(keras.callbacks.Callback):
    """Ends a training by `Over` and keeps what it took until then."""

    def __init__(self, accuracy: float, limit: float, *progress):
        super().__init__(*progress)
        self.accuracy, self.limit = accuracy, limit
        self.epochs, self.best = 0.0, 0.0

    def time(self, train: Callable[[], object]) -> tuple[bool, float, float, float]:
        """Return whether the accuracy was reached, the seconds, the epochs, and the best accuracy."""
        self.started = time.perf_counter()
        with contextlib.suppress(Over), contextlib.redirect_stdout(sys.stderr):
            train()
        return self.best >= self.accuracy, time.perf_counter() - self.started, self.epochs, self.best

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.epochs += 1 / self.params["steps"]
        if time.perf_counter() - self.started > self.limit:
            raise Over

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        super().on_epoch_end(epoch, logs)
        self.best = max(self.best, group_metrics(logs)["val_accuracy"])
        if self.best >= self.accuracy:
            raise Over


class ProgressClock(Clock, Progress):
    """Saves an epoch, as `Progress` does, before it looks at the clock."""


def split(data: str, given: dict) -> tuple:
    """Return the faces, and which of them are for training and for validation."""
    faces = load_faces(data, on_bad_rows=given["on_bad_rows"])
    clusters = cluster_near_duplicates(faces.images)
    parts = assign_parts(faces.table["face_id"], clusters, given["split_seed"])
    train = parts == "train"
    if given["drop_conflicts"]:
        train &= ~conflicting(clusters, age_to_group(faces.table["age"], given["groups"]))
    return faces, train, parts == "val"


def follow_recipe(data: str, given: dict, accuracy: float, limit: float) -> tuple:
    """Train as 04_training does with the parameters `given`; return what `Clock.time` does."""
    faces, train, val = split(data, given)
    keras.config.set_dtype_policy(given["precision"])
    keras.utils.set_random_seed(given["seed"])
    changes = {name: given[name] for name in ("flip", "brightness", "translation", "rotation", "whole_pixels", "seed")}
    shape = given["backbone"], given["image_size"], len(given["groups"]) + 1, given["weights"]
    model = build_network(*shape, augmentation(**changes))
    kept, auxiliary = flip_averaged(model) if given["flip_average"] else model, given["auxiliary"] > 0
    trained = with_auxiliary_outputs(model) if auxiliary else model
    train_targets = targets(faces.table[train], given["groups"], given["age_width"], auxiliary)
    val_targets = targets(faces.table[val], given["groups"], auxiliary=auxiliary)
    schedule = {name: given[name] for name in inspect.getfullargspec(training.fit).kwonlyargs}
    with tempfile.TemporaryDirectory() as folder:
        clock = ProgressClock(accuracy, limit, Path(folder, "a.keras"), Path(folder, "log.csv"), {"run": "a"}, kept)
        parts = (faces.images[train], train_targets), (faces.images[val], val_targets)
        return *clock.time(lambda: training.fit(trained, *parts, clock, **schedule)), int(train.sum())


def go_straight(data: str, given: dict, accuracy: float, limit: float) -> tuple:
    """Train in the straightforward way; return what `Clock.time` does."""
    faces, train, val = split(data, given | {"drop_conflicts": False})
    keras.utils.set_random_seed(given["seed"])
    model = straightforward_network(n_groups=len(given["groups"]) + 1)
    model.compile(keras.optimizers.Adam(0.001), "categorical_crossentropy", metrics=["accuracy"])
    images, group_targets = faces.images[..., np.newaxis], targets(faces.table, given["groups"])
    clock = Clock(accuracy, limit)
    settings = {"batch_size": 32, "epochs": 10_000, "verbose": 0, "callbacks": [clock]}
    settings["validation_data"] = images[val], group_targets[val]
    return *clock.time(lambda: model.fit(images[train], group_targets[train], **settings)), int(train.sum())


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="sample", metavar="CSV", help="without it, the synthetic sample")
    parser.add_argument("--run", default="small", help="name of a file in runs/, for its section 04_training")
    parser.add_argument("--accuracy", type=float, default=0.6, help="of the validation part, 0–1")
    parser.add_argument("--limit", type=float, help="seconds after which a way is given up: 3600, or 60 for the sample")
    parser.add_argument("--epochs", type=int, help="another length of the recipe's schedule")
    chosen = parser.parse_args(arguments)
    data = "sample" if chosen.data == "sample" else str(Path(chosen.data).resolve())
    limit = chosen.limit or (60 if data == "sample" else 3600)
    given = run_files.read_defaults(ageclf.CHECKOUT / "notebooks" / "04_training.ipynb")
    given |= run_files.read_run(chosen.run)["parameters"]["04_training"]
    given |= {"epochs": chosen.epochs} if chosen.epochs else {}

    ways = {
        f"runs/{chosen.run}.yaml, {given['epochs']} epochs": follow_recipe,
        "baseline: straightforward": go_straight,
    }
    measured = {name: alone(way, data, given, chosen.accuracy, limit) for name, way in ways.items()}
    there, baseline, *_ = measured["baseline: straightforward"]
    rows = []
    for name, (reached, taken, epochs, best, faces) in measured.items():
        in_time = f"{taken:.0f}" if reached else f"not within {taken:.0f}"
        ratio = f"{'' if there else 'below '}{taken / baseline:.2f}" if reached else "–"
        rows.append([name, in_time, ratio, f"{epochs:.1f}", f"{epochs * faces:,.0f}", f"{best:.3f}"])
    print(describe(load_faces(data, on_bad_rows=given["on_bad_rows"])))
    to = f"seconds to {chosen.accuracy:.1%}"
    print_table(["", to, "of the baseline", "epochs", "pictures seen", "highest validation accuracy"], rows)


if __name__ == "__main__":
    main(sys.argv[1:])
