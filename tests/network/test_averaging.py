"""The average of the weights is validated, with statistics of faces as they are; training goes on without it."""

import numpy as np
import pytest

from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network
from ageclf.network.training import EvaluateEMA, recompute_batch_norm

NO_IMAGES = np.zeros((0, 48, 48), "uint8")


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


def test_the_average_is_validated_and_training_goes_on_from_the_weights():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    recorder, x = Recorder(), np.ones((4, 1))
    part = {"validation_data": (x, 3 * x), "validation_batch_size": 4}
    callbacks = [recorder, EvaluateEMA(NO_IMAGES, resumed=False)]
    model.fit(x, 3 * x, batch_size=1, epochs=2, shuffle=False, callbacks=callbacks, verbose=0, **part)
    average, averages = recorder.steps[0], []
    for weight in recorder.steps:
        average = 0.5 * average + 0.5 * weight
        averages.append(average)
    assert recorder.validated == pytest.approx([averages[3], averages[7]], rel=1e-5)
    distances = 3 - np.array(recorder.steps)
    np.testing.assert_allclose(distances[1:], 0.8 * distances[:-1], rtol=1e-4)  # one rate of descent throughout
    assert recorder.weight() == pytest.approx(averages[7], rel=1e-5)


def test_statistics_settle_on_faces_as_they_are():
    """Of the backbone's first normalisation, they become mean and variance of what its convolution makes of them."""
    keras.utils.set_random_seed(0)
    model = build_network(augment=augmentation(brightness=1.0))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (128, 48, 48)).astype("uint8")[rng.permutation(np.repeat(np.arange(128), 50))]
    body = model.get_layer("backbone")
    stem, norm = body.get_layer("stem_conv"), body.get_layer("stem_norm")
    weights = [variable.numpy() for variable in model.trainable_variables]
    recompute_batch_norm(model, images)
    seen = np.asarray(stem(images[:1000, ..., None] / 127.5 - 1.0))
    np.testing.assert_allclose(norm.moving_mean, seen.mean(axis=(0, 1, 2)), atol=0.02)
    np.testing.assert_allclose(norm.moving_variance, seen.var(axis=(0, 1, 2)), rtol=0.1)
    for variable, before in zip(model.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, before)


def test_without_faces_statistics_stay():
    model = build_network()
    before = [variable.numpy() for variable in model.variables]
    recompute_batch_norm(model, NO_IMAGES)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
