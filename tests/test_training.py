"""Training repeats exactly, shows every face once an epoch in a new order, and keeps the best epoch."""

from itertools import pairwise

import numpy as np
import pytest

from ageclf import training
from ageclf.backend import keras
from ageclf.weights import load_checkpoint


def faces(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 48, 48)).astype("uint8"), training.group_targets(rng.integers(0, 6, n), 6)


def tiny_network() -> keras.Model:
    """Sixteen means and a small head: through the same code in a fraction of a second."""
    layers, inputs = keras.layers, keras.Input((48, 48, 1))
    steps = [layers.Rescaling(1 / 255), layers.AveragePooling2D(12), layers.Conv2D(2, 1)]
    x = layers.Flatten()(keras.Sequential([keras.Input((48, 48, 1)), *steps], name="backbone")(inputs))
    return keras.Model(inputs, layers.Dense(6, activation="softmax", name="head")(x))


def train(model: keras.Model, folder, patience: int = 10, **settings) -> None:
    callbacks = training.training_callbacks(folder / "best.keras", {"run": "t"}, folder / "log.csv", patience)
    defaults = {"head_epochs": 0, "epochs": 2, "head_learning_rate": 1e-3, "learning_rate": 1e-3}
    training.fit(model, faces(), faces(12), callbacks, batch_size=16, seed=1, **(defaults | settings))


def test_every_epoch_shows_every_face_once_in_an_order_of_its_own():
    images = np.arange(10, dtype="uint8")[:, np.newaxis, np.newaxis] * np.ones((1, 48, 48), "uint8")
    batches = training.Batches(images, np.eye(10, dtype="float32"), batch_size=4, seed=5)
    epochs = []
    for _ in range(3):
        drawn = [batches[index] for index in range(len(batches))]
        assert all((x[:, 0, 0, 0] == y.argmax(axis=1)).all() for x, y in drawn), "a face keeps its target"
        epochs.append([int(face) for x, _ in drawn for face in x[:, 0, 0, 0]])
        batches.on_epoch_end()
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    resumed = training.Batches(images, np.eye(10, dtype="float32"), batch_size=4, seed=5, epoch=2)
    assert [int(face) for index in range(3) for face in resumed[index][0][:, 0, 0, 0]] == epochs[2]


def test_learning_rate_rises_to_its_peak_and_falls_to_zero():
    rate = training.warmup_cosine(0.01, steps=100)
    values = [float(rate(step)) for step in range(101)]
    assert np.argmax(values) == 5
    assert max(values) == pytest.approx(0.01)
    assert values[100] == pytest.approx(0, abs=1e-8)
    assert all(earlier > later for earlier, later in pairwise(values[5:]))


def test_history_and_the_best_epoch_are_kept(tmp_path):
    model = tiny_network()
    train(model, tmp_path, epochs=4, learning_rate=0.05)
    history = training.read_history(tmp_path / "log.csv")
    assert history.index.tolist() == [1, 2, 3, 4]
    _, known = load_checkpoint(tmp_path / "best.keras")
    assert known["run"] == "t"
    assert known["epoch"] == history["val_loss"].idxmin()
    kept, _ = load_checkpoint(tmp_path / "best.keras")
    images, targets = faces(12)
    loss = keras.losses.CategoricalCrossentropy()(targets, kept.predict(images[..., None], verbose=0))
    assert float(loss) == pytest.approx(known["val_loss"], abs=1e-4)


def test_training_stops_after_patience_epochs_without_a_lower_loss(tmp_path):
    train(tiny_network(), tmp_path, patience=2, epochs=30, learning_rate=10.0)
    history = training.read_history(tmp_path / "log.csv")
    assert len(history) < 30
    assert len(history) == history["val_loss"].idxmin() + 2


def test_the_head_is_trained_first_while_the_backbone_stays(tmp_path):
    model = tiny_network()
    backbone, head = model.get_layer("backbone"), model.get_layer("head")
    before = [weights.get_weights()[0].copy() for weights in (backbone, head)]
    train(model, tmp_path, head_epochs=1, epochs=0)
    np.testing.assert_array_equal(backbone.get_weights()[0], before[0])
    assert not np.array_equal(head.get_weights()[0], before[1])
    assert training.read_history(tmp_path / "log.csv")["learning_rate"].tolist() == pytest.approx([1e-3])
    train(model, tmp_path, head_epochs=1, epochs=1)
    assert training.read_history(tmp_path / "log.csv").index.tolist() == [1, 2]
    assert not np.array_equal(backbone.get_weights()[0], before[0])
