"""Faces are predicted as Keras does; Grad-CAM is high where the evidence is, and agrees with automatic gradients."""

import numpy as np
import pytest

from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.network.backend import keras
from ageclf.network.checkpoints import load_checkpoint, save_checkpoint
from ageclf.network.model import augmentation, build_network, flip_averaged
from ageclf.network.prediction import grad_cam, predict_probabilities


def by_hand() -> keras.Model:
    """Group 0 is evident where the picture is bright, group 1 where it is dark, group 2 nowhere: eight by eight."""
    inputs = keras.Input((48, 48, 1))
    steps = [keras.layers.Rescaling(1 / 255), keras.layers.AveragePooling2D(6)]
    features = keras.layers.Conv2D(2, 1, activation="relu", name="light")
    x = keras.Sequential([keras.Input((48, 48, 1)), *steps, features], name="backbone")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    dense = keras.layers.Dense(2, activation="relu", name="dense")
    last = keras.layers.Dense(3, activation="softmax", name="probabilities")
    model = keras.Model(inputs, last(keras.layers.Dropout(0.9)(dense(x))))
    features.set_weights([np.array([[[[1.0, -1.0]]]]), np.array([0.0, 1.0])])  # brightness, darkness
    dense.set_weights([np.eye(2), np.zeros(2)])
    last.set_weights([np.array([[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0]]), np.zeros(3)])
    return model


def corner() -> np.ndarray:
    """A black picture whose upper left quarter is white."""
    image = np.zeros((1, 48, 48), dtype=np.uint8)
    image[0, :24, :24] = 255
    return image


def test_predicting_in_batches_gives_what_keras_predicts():
    model = build_network(augment=augmentation())
    images = np.random.default_rng(0).integers(0, 256, (8, 48, 48)).astype(np.uint8)
    expected = model.predict(images[..., None], verbose=0)
    for n in (0, 1, 3, 8):
        probabilities = predict_probabilities(model, images[:n], at_once=3)
        assert (probabilities.shape, probabilities.dtype) == ((n, 6), np.float32)
        np.testing.assert_allclose(probabilities, expected[:n], atol=1e-6)


def test_the_map_is_high_where_the_evidence_for_the_group_is():
    bright, dark, nowhere = grad_cam(by_hand(), np.repeat(corner(), 3, axis=0), np.array([0, 1, 2]))
    # Places are six pixels wide: three pixels from the corner's edge on, nothing is between two of them.
    inside, outside = (slice(0, 21), slice(0, 21)), (slice(27, 48), slice(27, 48))
    assert bright[inside] == pytest.approx(1)
    assert bright[outside] == pytest.approx(0)
    # Evidence against a group is no evidence for it.
    assert dark[inside] == pytest.approx(0)
    assert dark[outside] == pytest.approx(1)
    assert not nowhere.any(), "no evidence anywhere is no heat, and no division by zero"
    assert bright.shape == (48, 48)


def test_a_prediction_of_probability_1_has_a_map_too():
    """With these weights the softmax is 1 to the last digit, and its gradient 0."""
    model = by_hand()
    model.get_layer("probabilities").set_weights([100 * np.array([[2.0, -1, -1], [-1, 2, -1]]), np.zeros(3)])
    white = np.full((1, 48, 48), 255, dtype=np.uint8)
    assert model.predict(white[..., None], verbose=0)[0].tolist() == [1, 0, 0]
    assert grad_cam(model, white, np.array([0])) == pytest.approx(1)


@pytest.mark.parametrize(("backbone", "size"), [("small", 48), ("EfficientNetV2B0", 64)])
def test_it_is_what_automatic_gradients_of_the_logit_give(backbone, size):
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = build_network(backbone, size, augment=augmentation())
    images = np.random.default_rng(0).integers(0, 256, (6, 48, 48)).astype(np.uint8)
    before, groups = [weights.copy() for weights in model.get_weights()], np.arange(6)
    maps = grad_cam(model, images, groups)

    pool, dense, last = (model.get_layer(name) for name in ("pool", "dense", "probabilities"))
    features = keras.Model(model.input, pool.input)(images[..., None], training=False)
    with tf.GradientTape() as tape:
        tape.watch(features)
        logits = tf.matmul(dense(pool(features)), last.kernel) + last.bias
        chosen = tf.gather(logits, groups, axis=1, batch_dims=1)
    alpha = tf.reduce_mean(tape.gradient(chosen, features), axis=(1, 2), keepdims=True)
    expected = tf.nn.relu(tf.reduce_sum(alpha * features, axis=-1, keepdims=True))
    expected = tf.image.resize(expected, (48, 48))[..., 0].numpy()
    highest = expected.max(axis=(1, 2), keepdims=True)
    assert (highest > 0).sum() >= 2, "some groups have evidence"
    np.testing.assert_allclose(maps, expected / np.where(highest > 0, highest, 1), atol=1e-4)
    for weights, earlier in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, earlier, "the network is left as it was")


def test_augmentation_and_dropout_do_not_act():
    keras.utils.set_random_seed(0)
    images, groups = np.repeat(corner(), 2, axis=0), np.array([1, 2])
    model, plain = build_network(augment=augmentation()), build_network()
    plain.set_weights(model.get_weights()[-len(plain.get_weights()) :])
    np.testing.assert_array_equal(grad_cam(model, images, groups), grad_cam(model, images, groups))
    np.testing.assert_array_equal(grad_cam(model, images, groups), grad_cam(plain, images, groups))


def test_the_map_of_a_mirror_averaged_network_is_that_of_the_face_as_it_is(tmp_path):
    network = build_network(augment=augmentation())
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype("uint8")
    expected = grad_cam(network, images, np.array([0, 1, 2]))
    path, provenance = tmp_path / "mirrored.keras", {"groups": group_names(), "edges": list(REFERENCE_EDGES)}
    provenance |= {"backbone": "small", "image_size": 48, "flip_average": True}
    save_checkpoint(flip_averaged(network), path, provenance)
    for mirrored in (load_checkpoint(path)[0], keras.models.load_model(path, compile=False)):
        np.testing.assert_allclose(grad_cam(mirrored, images, np.array([0, 1, 2])), expected, atol=1e-5)


def test_a_network_with_other_layers_is_refused():
    inputs = keras.Input((48, 48, 1))
    other = keras.Model(inputs, keras.layers.Dense(6)(keras.layers.Flatten()(inputs)))
    with pytest.raises(ValueError, match="pool"):
        grad_cam(other, corner(), np.array([0]))


@pytest.mark.parametrize("value", [1e38, np.nan])
def test_a_network_whose_numbers_overflow_predicts_nothing(value):
    network = build_network("small", image_size=16)
    network.get_layer("dense").kernel.assign(np.full((192, 256), value))
    network.get_layer("probabilities").kernel.assign(np.full((256, 6), value))
    with pytest.raises(ValueError, match=r"age_groups_small: it predicts nan, not probabilities; train it again"):
        predict_probabilities(network, np.full((3, 48, 48), 200, dtype=np.uint8))
