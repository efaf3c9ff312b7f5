"""The network, as one functional Keras model: raw 48×48×1 grey values in, probabilities of the groups out.

Augmentation, resizing, RGB and rescaling are layers inside it, so that training, evaluation and other people's
scripts cannot differ. Outside `fit` and `predict`, call it with `training=False`: without that argument some
preprocessing layers switch themselves, and every layer after them, to training mode.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr

from ageclf.faces.csv_table import SIZE
from ageclf.network.backbones import BACKBONES, LITE, RESIDUAL, build_backbone
from ageclf.network.backend import keras
from ageclf.network.pretrained import load_backbone_weights

layers = keras.layers
Targets = np.ndarray | dict[str, np.ndarray]  # of the groups, or of each output by its name

RESCALING = {LITE: (1 / 128, -127 / 128)}  # scale and offset; of all others 1 / 127.5 and -1
IMAGE_SIZES = range(8, 513)  # pixels a side inside the network
N_AGES = 117  # years 0 to 115, and all above


def augmentation(
    flip: bool = True,
    brightness: float = 0.2,
    translation: float = 0.1,
    rotation: float = 0.05,
    whole_pixels: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Random changes of grey pictures, float (n, 48, 48, 1) in 0–255 to the same; they act in training only.

    `brightness` is the largest change as a fraction of 255, `translation` as a fraction of the picture's side,
    `rotation` as a fraction of a full turn. A strength of zero leaves its layer out. Brightness comes before the
    moves: what a move uncovers is filled with black (0), and stays black. With `whole_pixels`, shifts are rounded,
    and blur nothing.
    """
    exact = {"dtype": "float32"}  # whatever the precision of the rest: bfloat16 has a quarter of a pixel's accuracy
    black = {"fill_mode": "constant", "fill_value": 0.0, **exact}
    x = inputs = keras.Input((SIZE, SIZE, 1))
    if flip:
        x = layers.RandomFlip("horizontal", **exact, seed=seed, name="flip")(x)
    if brightness:
        x = layers.RandomBrightness(brightness, (0, 255), **exact, seed=seed + 1, name="brightness")(x)
    if translation:
        shift = {"interpolation": "nearest" if whole_pixels else "bilinear", "name": "translation", **black}
        x = layers.RandomTranslation(translation, translation, **shift, seed=seed + 2)(x)
    if rotation:
        x = layers.RandomRotation(rotation, **black, seed=seed + 3, name="rotation")(x)
    model = keras.Model(inputs, x, name="augmentation")
    if keras.backend.backend() == "jax":
        # Random moves report that they cannot be compiled, which is true of TensorFlow's XLA alone; where one layer
        # of a network reports that, JAX executes each operation of each step on its own.
        for layer in model.layers:
            layer.supports_jit = True
    return model


def build_network(
    backbone: str = "small",
    image_size: int = 48,
    n_groups: int = 6,
    weights: str = "none",
    augment: Callable | None = None,
    include_preprocessing: bool = True,
) -> keras.Model:
    """Build the classifier: grey values 0–255, (n, 48, 48, 1), to probabilities, float32 (n, n_groups).

    `backbone` is one of `BACKBONES`; `weights` is `none` (random), `imagenet`, or the path of a Keras
    `…_notop.h5` file for the same backbone. `augment` is a layer, or anything else that turns a batch into a batch.
    Head: global average pooling, dense 256 with ReLU, dropout 0.3, dense softmax. The backbone is the layer named
    `backbone`. Without `include_preprocessing`, B0–B3 get values in [-1, 1] as the others do.

    Raises ValueError for an unknown backbone, an `image_size` out of `IMAGE_SIZES`, or weights that do not fit;
    FileNotFoundError where there are no such weights.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"backbone={backbone!r}: expected one of {', '.join(BACKBONES)}")
    if image_size not in IMAGE_SIZES:
        raise ValueError(f"image_size={image_size!r}: expected {IMAGE_SIZES[0]} to {IMAGE_SIZES[-1]}")
    inputs = keras.Input((SIZE, SIZE, 1), name="grey")
    x = inputs if augment is None else augment(inputs)
    if image_size != SIZE:
        x = layers.Resizing(image_size, image_size, name="resize")(x)
    if backbone not in RESIDUAL:
        x = layers.Concatenate(name="rgb")([x, x, x])
    # Lite0, S, M and L were trained on [-1, 1]; B0–B3 on ImageNet's mean and variance, which Keras builds in.
    own_rescaling = include_preprocessing and "V2B" in backbone
    if not own_rescaling:
        x = layers.Rescaling(*RESCALING.get(backbone, (1 / 127.5, -1)), name="rescale")(x)
    body = build_backbone(backbone, image_size, own_rescaling)
    load_backbone_weights(body, backbone, weights)
    x = body(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(256, activation="relu", name="dense")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    # Softmax in float32 whatever the precision of the rest: probabilities of small groups matter.
    outputs = layers.Dense(n_groups, activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=f"age_groups_{backbone}")


def without_augmentation(network: keras.Model) -> keras.Model:
    """Return a network of the same layers, which share their weights, that leaves out the layer `augmentation`."""
    return _instead_of_augmentation(network, lambda x: x)


def flip_averaged(network: keras.Model) -> keras.Model:
    """Return a network of the same layers, without `augmentation`, that predicts the mean over face and mirror image.

    Both pass through the layers as one batch, so that each layer occurs once in it as in any other network. Raises
    ValueError for a network that has no layer `augmentation`, in whose place mirror images are added.
    """
    network.get_layer("augmentation")
    return mean_of_mirrored(_instead_of_augmentation(network, with_mirror_images))


def with_mirror_images(x):
    """Append to a batch of pictures (n, height, width, channels) their mirror images."""
    return keras.ops.concatenate([x, keras.ops.flip(x, axis=2)])


def mean_of_mirrored(network: keras.Model) -> keras.Model:
    """Return a network that predicts the mean over face and mirror image, from one built `with_mirror_images`."""
    pairs = keras.ops.reshape(network.output, (2, -1, network.output.shape[-1]))
    return keras.Model(network.input, keras.ops.mean(pairs, axis=0), name=network.name)


def _instead_of_augmentation(network: keras.Model, change: Callable) -> keras.Model:
    def call(layer, x, **options):
        return change(x) if layer.name == "augmentation" else layer(x, **options)

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


def with_auxiliary_outputs(network: keras.Model) -> keras.Model:
    """Return a network of the same layers with more outputs: a dictionary with probabilities of the groups
    (`probabilities`), of each age in years (`ages`, float32 (n, N_AGES)), and of male and female (`gender`).

    The layers that all outputs share learn more from each face that way (Caruana, "Multitask learning", 1997).
    """
    features = network.get_layer("dropout").output
    further = {
        name: layers.Dense(width, activation="softmax", dtype="float32", name=name)(features)
        for name, width in (("ages", N_AGES), ("gender", 2))
    }
    return keras.Model(network.input, {"probabilities": network.output} | further, name=network.name)


def losses(network: keras.Model, auxiliary: float) -> dict:
    """Return what `compile` takes: cross-entropy of each output, auxiliary ones weighted; accuracy of the groups."""
    if not isinstance(network.output, dict):
        return {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}
    return {
        "loss": dict.fromkeys(network.output, "categorical_crossentropy"),
        "loss_weights": dict.fromkeys(network.output, auxiliary) | {"probabilities": 1.0},
        "metrics": {"probabilities": ["accuracy"]},
    }


def soft_targets(ages: np.ndarray, edges: Sequence[int], width: float = 0.0) -> np.ndarray:
    """Spread ages in whole years (n,) over the groups that begin at 0 and at `edges`: float32 (n, 1 + edges).

    An age is taken as uncertain, normally distributed about the middle of its year with a standard deviation of
    `width` years; each row adds up to 1. With 0, or less than a tenth of a year, targets are one-hot. Geng, "Label
    distribution learning", 2016, with the probabilities of single years summed over groups.
    """
    distances = np.asarray(edges) - np.asarray(ages, dtype=float)[:, np.newaxis] - 0.5
    younger = ndtr(distances / max(width, 1e-3))
    return np.diff(younger, axis=1, prepend=0.0, append=1.0).astype(np.float32)


def targets(table: pd.DataFrame, edges: Sequence[int], width: float = 0.0, auxiliary: bool = False) -> Targets:
    """Return the targets of the faces of `Faces.table`, as `training.fit` takes them.

    They are `soft_targets` of the groups, and with `auxiliary` those of all outputs of `model.with_auxiliary_outputs`,
    by name: the groups, the ages softened alike, and one-hot the gender.
    """
    groups = soft_targets(table["age"], edges, width)
    if not auxiliary:
        return groups
    genders = np.eye(2, dtype=np.float32)[table["gender"]]
    return {"probabilities": groups, "ages": soft_targets(table["age"], range(1, N_AGES), width), "gender": genders}
