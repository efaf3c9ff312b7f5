"""What a network predicts for faces, and where in a face the evidence for a group is."""

import cv2
import numpy as np

from ageclf.network.backend import keras


def predict_probabilities(network: keras.Model, images: np.ndarray, at_once: int = 128) -> np.ndarray:
    """Predict the probabilities of faces: uint8 (n, 48, 48) to float32 (n, groups).

    The same numbers as `network.predict` without the pipeline that it sets up and takes down, which costs more than
    a few faces do, and sometimes waits at its end for as long as it ran. Raises ValueError for a network whose numbers
    overflow: what it predicts are no probabilities.
    """
    if not len(images):
        return np.zeros((0, network.output_shape[-1]), dtype=np.float32)
    starts = range(0, len(images), at_once)
    found = np.concatenate([network.predict_on_batch(images[i : i + at_once, ..., np.newaxis]) for i in starts])
    if not np.isfinite(found).all():
        raise ValueError(f"{network.name}: it predicts {found.max()}, not probabilities; train it again")
    return found


def grad_cam(model: keras.Model, images: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Map the evidence for a group: float64 (n, 48, 48) in 0–1, for images uint8 (n, 48, 48) and a group of each (n,).

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017,
    equations 1 and 2: relu(Σₖ αₖ Aᵏ), where Aᵏ is channel k of the output of the layer `backbone`, and αₖ the mean over
    its places of ∂y/∂Aᵏ. As in the paper, y is the group's logit: the gradient of a probability close to 1 vanishes.
    Each map is enlarged, and divided by its highest value; one that is zero everywhere stays so.

    Keras has no gradients that every backend knows, and none are needed: what follows the backbone in
    `model.build_network` is a mean over places and two dense layers, y = V relu(W pool(A) + b) + c. So
    αₖ = Σⱼ Wₖⱼ Vⱼ / places, over the units j that are above zero. Of a network that is `flip_averaged`, the map is that
    of the face as it is. Raises ValueError for a network with other layers.
    """
    pool, dense, last = (model.get_layer(name) for name in ("pool", "dense", "probabilities"))
    body = keras.Model(model.input, [pool.input, dense.output])
    # Without `training=False` dropout and augmentation act, and the statistics of the network change.
    outputs = (keras.ops.convert_to_numpy(x) for x in body(images[..., np.newaxis], training=False))
    channels, units = (x[: len(images)] for x in outputs)  # what is behind are mirror images, of `flip_averaged`
    w, v = (keras.ops.convert_to_numpy(layer.kernel).astype(float) for layer in (dense, last))
    alpha = ((units > 0) * v.T[groups]) @ w.T / np.prod(channels.shape[1:3])
    maps = np.maximum(np.einsum("nijk,nk->nij", channels.astype(float), alpha), 0)
    size = images.shape[:0:-1]  # OpenCV takes width, then height
    large = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in maps])
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, highest, out=np.zeros_like(large), where=highest > 0)
