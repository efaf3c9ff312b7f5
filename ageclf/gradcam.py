"""Where the network looks: heat maps by Grad-CAM."""

import cv2
import numpy as np

from ageclf.backend import keras


def grad_cam(model: keras.Model, images: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Map what speaks for a group: float64 (n, 48, 48) in 0–1, for images uint8 (n, 48, 48) and a group of each (n,).

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017,
    equations 1 and 2: relu(Σₖ αₖ Aᵏ), where Aᵏ is channel k of what the layer `backbone` gives, and αₖ the mean over
    its places of ∂y/∂Aᵏ. y is the group's logit, as there: the gradient of the probability vanishes where the network
    is sure. Each map is enlarged, and divided by its highest value; one that is zero everywhere stays so.

    Keras has no gradients that every backend knows, and none are needed: what follows the backbone in
    `model.build_network` is a mean over places and two dense layers, y = V relu(W pool(A) + b) + c. So
    αₖ = Σⱼ Wₖⱼ Vⱼ / places, over the units j that are above zero. Of a network that is `flip_averaged`, the map is that
    of the face as it stands. Raises ValueError for a network with other layers.
    """
    pool, dense, last = (model.get_layer(name) for name in ("pool", "dense", "probabilities"))
    body = keras.Model(model.input, [pool.input, dense.output])
    # Without `training=False` dropout and augmentation act, and the statistics of the network change.
    told = (keras.ops.convert_to_numpy(x) for x in body(images[..., np.newaxis], training=False))
    channels, units = (x[: len(images)] for x in told)  # what is behind are mirror images, of `flip_averaged`
    w, v = (keras.ops.convert_to_numpy(layer.kernel).astype(float) for layer in (dense, last))
    alpha = ((units > 0) * v.T[groups]) @ w.T / np.prod(channels.shape[1:3])
    maps = np.maximum(np.einsum("nijk,nk->nij", channels.astype(float), alpha), 0)
    size = images.shape[:0:-1]  # OpenCV takes width, then height
    large = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in maps])
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, highest, out=np.zeros_like(large), where=highest > 0)
