"""The network takes raw grey values; augmentation acts in training only and fills with black; soft targets divide an
age near the edge of a group between two.
"""

import numpy as np
import pandas as pd
import pytest

from ageclf.faces.groups import REFERENCE_EDGES, age_to_group, group_names
from ageclf.network.backend import keras
from ageclf.network.checkpoints import load_checkpoint, save_checkpoint
from ageclf.network.model import (
    augmentation,
    build_network,
    flip_averaged,
    losses,
    soft_targets,
    targets,
    with_auxiliary_outputs,
    without_augmentation,
)

AGES = np.arange(0, 121)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1)).astype("float32")


def test_probabilities_add_up_and_ignore_augmentation_outside_training(faces):
    keras.utils.set_random_seed(0)
    model = build_network(augment=augmentation())
    first, second = (np.asarray(model(faces, training=False)) for _ in range(2))
    assert first.shape == (8, 6)
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(model.predict(faces, verbose=0), first, atol=1e-6)


@pytest.mark.parametrize(("backbone", "parameters", "side"), [("small", 1.6e6, 6), ("medium", 2.9e6, 6)])
def test_residual_networks_have_the_documented_sizes(backbone, parameters, side):
    network = build_network(backbone)
    assert network.count_params() == pytest.approx(parameters, rel=0.02)
    assert network.get_layer("backbone").output.shape[1:3] == (side, side)


def test_moves_uncover_black_although_brightness_is_raised():
    white = np.full((64, 48, 48, 1), 255, "float32")
    moved = np.asarray(augmentation(brightness=0.2, translation=0.1, rotation=0.05)(white, training=True))
    assert moved.min() == 0
    assert moved[:, 20:28, 20:28].min() >= 255 * 0.8 - 1e-3  # the middle is never uncovered, only darkened


@pytest.mark.parametrize("change", ["flip", "brightness", "translation", "rotation"])
def test_each_augmentation_acts_alone_and_repeats_with_its_seed(faces, change):
    nothing = {"flip": False, "brightness": 0.0, "translation": 0.0, "rotation": 0.0}
    strength = {"flip": True, "brightness": 0.2, "translation": 0.1, "rotation": 0.05}[change]
    augmented = [np.asarray(augmentation(**{**nothing, change: strength}, seed=3)(faces, training=True)) for _ in "ab"]
    assert not np.array_equal(augmented[0], faces)
    np.testing.assert_array_equal(augmented[0], augmented[1])


def test_a_shift_by_whole_pixels_makes_no_new_grey_value(faces):
    alone = {"flip": False, "brightness": 0, "translation": 0.1, "rotation": 0, "seed": 1}
    blurred, exact = (np.asarray(augmentation(**alone, whole_pixels=whole)(faces, training=True)) for whole in (0, 1))
    middle = faces[0, 20:28, 20:28]
    windows = np.lib.stride_tricks.sliding_window_view(exact[0, ..., 0], (8, 8))
    assert (windows == middle[..., 0]).all(axis=(2, 3)).sum() == 1
    assert not np.isin(blurred, faces).all()


def test_no_augmentation_changes_nothing(faces):
    unchanged = augmentation(flip=False, brightness=0, translation=0, rotation=0)(faces, training=True)
    np.testing.assert_array_equal(unchanged, faces)


def test_faces_are_moved_exactly_whatever_the_precision(faces):
    moved = augmentation(seed=1)(faces, training=True)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        also = augmentation(seed=1)(faces, training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(also, moved)


def test_without_augmentation_a_network_is_trained_on_faces_as_they_are(faces):
    model = build_network(augment=augmentation(flip=False, translation=0, rotation=0))
    plain = without_augmentation(model)
    np.testing.assert_allclose(plain.predict(faces, verbose=0), model.predict(faces, verbose=0), atol=1e-6)
    inside, inputs = plain.get_layer("rescale"), []
    inside.call = lambda x, call=inside.call: (inputs.append(np.asarray(x)), call(x))[1]
    plain(faces, training=True)
    model(faces, training=True)
    np.testing.assert_array_equal(inputs[0], faces)
    assert not np.array_equal(inputs[1], faces)


@pytest.mark.parametrize("backbone", ["small", "medium", "EfficientNetV2B0"])
def test_the_mean_over_face_and_mirror_image_survives_saving(faces, tmp_path, backbone):
    model = build_network(backbone, 32, augment=augmentation())
    provenance = {"groups": group_names(), "edges": list(REFERENCE_EDGES), "backbone": backbone, "image_size": 32}
    save_checkpoint(flip_averaged(model), tmp_path / "flip.keras", provenance | {"flip_average": True})
    one, mirrored = (model.predict(x, verbose=0) for x in (faces, faces[:, :, ::-1]))
    assert not np.allclose(one, mirrored, atol=1e-6)
    averaged, _ = load_checkpoint(tmp_path / "flip.keras")
    np.testing.assert_allclose(averaged.predict(faces, verbose=0), (one + mirrored) / 2, atol=1e-6)
    np.testing.assert_allclose(averaged.predict(faces[:1], verbose=0), (one + mirrored)[:1] / 2, atol=1e-6)


def test_a_network_without_augmentation_cannot_be_flip_averaged():
    with pytest.raises(ValueError, match="augmentation"):
        flip_averaged(build_network())


def test_auxiliary_outputs_share_all_but_their_last_layer(faces):
    model = build_network()
    more = with_auxiliary_outputs(model)
    predicted = more.predict(faces, verbose=0)
    assert {name: values.shape for name, values in predicted.items()} == {
        "probabilities": (8, 6),
        "ages": (8, 117),
        "gender": (8, 2),
    }
    np.testing.assert_allclose(predicted["probabilities"], model.predict(faces, verbose=0), atol=1e-6)
    more.get_layer("dense").kernel.assign(0 * more.get_layer("dense").kernel)
    assert np.ptp(model.predict(faces, verbose=0), axis=0).max() == pytest.approx(0, abs=1e-7)


def test_auxiliary_losses_are_weighted_and_the_groups_is_not():
    assert losses(build_network(), 0.5) == {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}
    settings = losses(with_auxiliary_outputs(build_network()), 0.5)
    assert settings["loss_weights"] == {"probabilities": 1.0, "ages": 0.5, "gender": 0.5}
    assert settings["metrics"] == {"probabilities": ["accuracy"]}


@pytest.mark.parametrize(("backbone", "own"), [("EfficientNetV2B0", False), ("EfficientNetV2S", True)])
def test_each_efficientnet_is_rescaled_once(backbone, own):
    """S, M and L by the network's own layer, B0–B3 by the layers that Keras builds into the backbone."""
    model = build_network(backbone, image_size=32)
    inside = {type(layer).__name__ for layer in model.get_layer("backbone").layers}
    assert ("rescale" in [layer.name for layer in model.layers]) is own
    assert ("Rescaling" in inside) is not own
    assert model.output_shape == (None, 6)


def test_unknown_backbone_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="small, medium, EfficientNetLite0, EfficientNetV2B0"):
        build_network("ResNet50")


def test_without_a_width_targets_are_one_hot():
    expected = np.eye(6)[age_to_group(AGES)]
    hard = soft_targets(AGES, REFERENCE_EDGES)
    np.testing.assert_array_equal(hard, expected)
    assert hard.dtype == np.float32


def test_soft_targets_add_up_to_one_and_are_highest_for_the_own_group():
    soft = soft_targets(AGES, REFERENCE_EDGES, 2.5)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(soft.argmax(axis=1), age_to_group(AGES))


def test_soft_targets_beside_an_edge_follow_the_normal_distribution():
    """18 years are 18.5 at the mean, half a year below 19: Φ(0.2) = 0.5793 for a width of 2.5."""
    row = soft_targets([18], REFERENCE_EDGES, 2.5)[0]
    assert row[1] == pytest.approx(0.5793, abs=1e-4)
    assert row[2] == pytest.approx(0.4207, abs=1e-4)


def test_auxiliary_targets_are_those_of_each_output():
    table = pd.DataFrame({"age": [0, 40, 120], "gender": [0, 1, 1]})
    several = targets(table, REFERENCE_EDGES, 2.0, auxiliary=True)
    assert {name: values.shape for name, values in several.items()} == {
        "probabilities": (3, 6),
        "ages": (3, 117),
        "gender": (3, 2),
    }
    np.testing.assert_array_equal(several["probabilities"], targets(table, REFERENCE_EDGES, 2.0))
    np.testing.assert_array_equal(several["ages"].argmax(axis=1), [0, 40, 116])
    np.testing.assert_array_equal(several["gender"], [[1, 0], [0, 1], [0, 1]])
