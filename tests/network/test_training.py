"""Training repeats exactly, shows every face once an epoch in a new order, and saves the best epoch."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_training import FACES, SCHEDULE, VAL_LOSSES, read_history, saved, train

from ageclf.network import training
from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network

NO_IMAGES = np.zeros((0, 48, 48), "uint8")


def test_every_epoch_shows_every_face_once_in_an_order_of_its_own():
    images = np.arange(10, dtype="uint8")[:, np.newaxis, np.newaxis] * np.ones((1, 48, 48), "uint8")
    batches = training.Batches(images, np.eye(10, dtype="float32"), batch_size=4, seed=5)
    epochs = []
    for _ in range(3):
        seen = [batches[index] for index in range(len(batches))]
        assert all((x[:, 0, 0, 0] == y.argmax(axis=1)).all() for x, y in seen), "a face keeps its target"
        epochs.append([int(face) for x, _ in seen for face in x[:, 0, 0, 0]])
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


def test_history_and_the_best_epoch_are_saved(tmp_path):
    train(tmp_path, epochs=4)
    history = read_history(tmp_path)
    assert history.index.tolist() == [1, 2, 3, 4, 5, 6]
    network, metadata = saved(tmp_path)
    assert metadata["run"] == "tiny"
    assert (metadata["epoch"], metadata["val_loss"]) == (2, VAL_LOSSES[1])
    images, targets = FACES[1]
    loss = keras.losses.CategoricalCrossentropy()(targets, network.predict(images[..., None], verbose=0))
    assert float(loss) == pytest.approx(history["measured"][2], abs=1e-5)


def test_training_stops_after_patience_epochs_without_a_lower_loss(tmp_path):
    train(tmp_path, patience=2, epochs=30, head_epochs=0)
    history = read_history(tmp_path)
    assert tuple(history["val_loss"]) == VAL_LOSSES[:4]  # of which the second is the lowest


def test_batches_that_cannot_be_split_equally_between_gpus_are_refused():
    three = SimpleNamespace(distribute_strategy=SimpleNamespace(num_replicas_in_sync=3))
    with pytest.raises(ValueError, match=r"batch_size=8 .* a multiple of 3"):
        training.fit(three, *FACES, None, **SCHEDULE)


def test_the_head_is_trained_first_while_the_backbone_does_not_change(tmp_path):
    def weights(model: keras.Model, layer: str) -> np.ndarray:
        return model.get_layer(layer).get_weights()[0]

    before = train(tmp_path / "before", head_epochs=0, epochs=0)
    head_only = train(tmp_path / "head", epochs=0)
    np.testing.assert_array_equal(weights(head_only, "backbone"), weights(before, "backbone"))
    assert not np.array_equal(weights(head_only, "head"), weights(before, "head"))
    log = read_history(tmp_path / "head")
    assert log["learning_rate"].tolist() == pytest.approx([1e-2, 1e-2])
    everything = train(tmp_path / "both", epochs=1)
    assert read_history(tmp_path / "both").index.tolist() == [1, 2, 3]
    assert not np.array_equal(weights(everything, "backbone"), weights(before, "backbone"))


def test_batch_norm_statistics_are_recomputed_on_faces_from_the_whole_file(tmp_path, monkeypatch):
    """UTKFace's CSV is in order of age: the first faces would be infants alone."""
    used, made = [], training.evaluate_ema
    monkeypatch.setattr(training, "evaluate_ema", lambda model, images: (used.append(images), made(model, images))[1])
    train(tmp_path, head_epochs=0, epochs=1, batch_norm_faces=12)
    (images,) = used
    positions = [int(np.flatnonzero((FACES[0][0] == image).all(axis=(1, 2)))[0]) for image in images]
    assert len(set(positions)) == 12
    assert max(positions) >= 12


class Recorder(keras.callbacks.Callback):
    """The only weight after each batch, and while the network is validated."""

    def __init__(self):
        super().__init__()
        self.steps, self.validated = [], []

    def weight(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.trainable_variables[0]).item())

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.steps.append(self.weight())

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.validated.append(self.weight())


def test_the_average_is_validated_and_training_continues_from_the_weights():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    recorder, x = Recorder(), np.ones((4, 1))
    part = {"validation_data": (x, 3 * x), "validation_batch_size": 4}
    callbacks = [recorder, training.evaluate_ema(model, NO_IMAGES)]
    model.fit(x, 3 * x, batch_size=1, epochs=2, shuffle=False, callbacks=callbacks, verbose=0, **part)
    average, averages = recorder.steps[0], []
    for weight in recorder.steps:
        average = 0.5 * average + 0.5 * weight
        averages.append(average)
    assert recorder.validated == pytest.approx([averages[3], averages[7]], rel=1e-5)
    distances = 3 - np.array(recorder.steps)
    np.testing.assert_allclose(distances[1:], 0.8 * distances[:-1], rtol=1e-4)  # one rate of descent throughout
    assert recorder.weight() == pytest.approx(averages[7], rel=1e-5)


def test_batch_norm_statistics_are_recomputed_on_unaugmented_faces():
    """Those of the backbone's first normalisation become mean and variance of its convolution's output."""
    keras.utils.set_random_seed(0)
    model = build_network(augment=augmentation(brightness=1.0))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (128, 48, 48)).astype("uint8")[rng.permutation(np.repeat(np.arange(128), 50))]
    body = model.get_layer("backbone")
    stem, norm = body.get_layer("stem_conv"), body.get_layer("stem_norm")
    weights = [variable.numpy() for variable in model.trainable_variables]
    training.recompute_batch_norm(model, images)
    convolved = np.asarray(stem(images[:1000, ..., None] / 127.5 - 1.0))
    np.testing.assert_allclose(norm.moving_mean, convolved.mean(axis=(0, 1, 2)), atol=0.02)
    np.testing.assert_allclose(norm.moving_variance, convolved.var(axis=(0, 1, 2)), rtol=0.1)
    for variable, before in zip(model.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, before)


def test_without_faces_batch_norm_statistics_do_not_change():
    model = build_network()
    before = [variable.numpy() for variable in model.variables]
    training.recompute_batch_norm(model, NO_IMAGES)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
