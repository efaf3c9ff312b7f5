"""One training step of the small network: its parts, what makes it faster, how far it is from what the cores can do.

    python benchmarks/training_step.py

Medians of calls in turns, each network in processes of its own, with random pictures. Augmentation includes the
resizing; the forward pass is a call in training mode less that; the backward pass is what gradients take on top; the
update what `train_on_batch` takes on top of both: Adam, metrics, handing over the arrays. The first step traces the
graph, once a training. Operations are two for each multiplication and addition of convolutions and dense layers, the
backward pass counted as two forward ones.
"""

import math
from functools import partial
from itertools import chain, pairwise
from statistics import median

import numpy as np
from _measure import alone, in_turns, print_table, seconds
from _plain import straightforward_network

from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network

# Pixels a side inside the network, faces a step, precision, whether pictures are resized before they are augmented.
VARIANTS = {
    "48 px, 64 faces": (48, 64, "float32", False),
    "48 px, 32 faces": (48, 32, "float32", False),
    "48 px, 128 faces": (48, 128, "float32", False),
    "48 px, 64 faces, mixed bfloat16": (48, 64, "mixed_bfloat16", False),
    "128 px, 64 faces, augmented at 48": (128, 64, "float32", False),
    "baseline: 128 px, 64 faces, augmented at 128": (128, 64, "float32", True),
}
PARTS = ("augmentation", "forward", "backward", "update")


def measure_step(size: int, batch: int, precision: str, resize_first: bool, repetitions: int) -> dict:
    """Return lists of seconds: of the `first` step, and of a step up to each of PARTS; and the `multiply_adds`."""
    import tensorflow as tf  # after Keras, which is imported without TensorFlow's notices

    keras.config.set_dtype_policy(precision)
    network = straightforward_network(size) if resize_first else build_network("small", size, augment=augmentation())
    augment = keras.Model(network.input, network.get_layer("rescale").input)
    network.compile(keras.optimizers.Adam(), "categorical_crossentropy", metrics=["accuracy"])

    def gradients(images, targets):
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.losses.categorical_crossentropy(targets, network(images, training=True)))
        return tape.gradient(loss, [variable.value for variable in network.trainable_variables])

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, 48, 48, 1)).astype(np.uint8)
    targets = np.eye(6, dtype=np.float32)[rng.integers(0, 6, batch)]
    tensors = tf.constant(images), tf.constant(targets)
    calls = {
        "augmentation": partial(tf.function(partial(augment, training=True)), tensors[0]),
        "forward": partial(tf.function(partial(network, training=True)), tensors[0]),
        "backward": partial(tf.function(gradients), *tensors),
        "update": partial(network.train_on_batch, images, targets),
    }
    pieces = {name: partial(seconds, call) for name, call in calls.items()}
    first = in_turns(pieces, 1)["update"]
    in_turns(pieces, 1)
    return {"first": first, "multiply_adds": multiply_adds(network), **in_turns(pieces, repetitions)}


def multiply_adds(model) -> int:
    """Count a picture's multiplications in convolutions and dense layers, those of submodels included."""
    count = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            count += multiply_adds(layer)
        elif hasattr(layer, "kernel"):
            shape = layer.kernel.shape  # height, width, channels in, and out; without the first two in dense layers
            each = shape[:2] if type(layer).__name__ == "DepthwiseConv2D" else shape[:-1]
            count += math.prod(layer.output.shape[1:]) * math.prod(each)
    return count


def measure_product(precision: str, side: int, repetitions: int) -> list[float]:
    """Return the seconds of the product of two matrices, each time."""
    import tensorflow as tf

    factors = [keras.ops.cast(keras.random.normal((side, side), seed=seed), precision) for seed in (0, 1)]
    product = partial(tf.function(keras.ops.matmul), *factors)
    return [seconds(product) for _ in range(2 + repetitions)][2:]


def main(variants: dict = VARIANTS, rounds: int = 3, repetitions: int = 7, side: int = 4096) -> None:
    pieces = {name: partial(alone, measure_step, *variant, repetitions) for name, variant in variants.items()}
    pieces |= {kind: partial(alone, measure_product, kind, side, repetitions) for kind in ("float32", "bfloat16")}
    runs = in_turns(pieces, rounds)
    product = {kind: 2 * side**3 / median(chain(*runs[kind])) / 1e9 for kind in ("float32", "bfloat16")}
    steps, speeds = [], []
    for name, (_, batch, precision, _) in variants.items():
        ends = [0.0, *(median(chain(*(run[part] for run in runs[name]))) for part in PARTS)]
        parts = [f"{1e3 * (end - start):.0f} ({(end - start) / ends[-1]:.0%})" for start, end in pairwise(ends)]
        first = median(chain(*(run["first"] for run in runs[name])))
        steps.append([name, *parts, f"{1e3 * ends[-1]:.0f}", batch / ends[-1], f"{first:.1f}"])

        operations, kind = 2 * runs[name][0]["multiply_adds"] * batch / 1e9, precision.removeprefix("mixed_")
        passes = ((1, ends[2] - ends[1]), (2, ends[3] - ends[2]), (3, ends[4]))
        reached = [forwards * operations / taken for forwards, taken in passes]
        speeds.append([name, *(f"{speed:.0f} ({speed / product[kind]:.0%})" for speed in reached), kind])
    baseline = steps[-1][-2]
    for row in steps:
        row[-2:-1] = [f"{row[-2]:.0f}", f"{row[-2] / baseline:.2f}"]
    header = ["", *(f"{part}, ms" for part in PARTS), "step, ms", "faces a second", "of the baseline"]
    print_table([*header, "first step, s"], steps)
    print(f"A product of two {side:,} × {side:,} matrices: {product['float32']:.0f} billion operations a second in")
    print(f"float32, {product['bfloat16']:.0f} in bfloat16. The network's, and the share of that:")
    print_table(["", "forward", "backward", "whole step", "of the product in"], speeds)


if __name__ == "__main__":
    main()
