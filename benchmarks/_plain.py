"""The straightforward network: pictures are made large first, and changed at random when they are large."""

from ageclf.network.backend import keras
from ageclf.network.model import augmentation, build_network


def straightforward_network(image_size: int = 128, n_groups: int = 6) -> keras.Model:
    """Build the small network for grey values (n, 48, 48, 1), resized first and augmented at `image_size`."""
    grey, resize, *rest = build_network("small", image_size, n_groups).layers
    x = resize(grey.output)
    for layer in [*augmentation().layers[1:], *rest]:
        x = layer(x)
    # Of their own, or `layer.output` would mean the networks that the layers come from.
    return keras.models.clone_model(keras.Model(grey.output, x, name="straightforward"))
