"""Backbones: rescaled pictures, (n, size, size, channels), to features, (n, rows, columns, channels).

`small` and `medium` are ours, EfficientNetLite0 is written here from its description, all others are Keras'.
"""

from functools import partial

from ageclf.network.backend import keras

layers = keras.layers

LITE = "EfficientNetLite0"
# Residual networks for grey pictures: stride of the stem, channels of the stages.
RESIDUAL = {"small": (2, (48, 96, 192)), "medium": (1, (32, 64, 128, 256))}
BACKBONES = (*RESIDUAL, LITE, *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")))
# Repeats, kernel, stride, expansion and channels of each stage of EfficientNet-B0: Tan and Le, 2019, table 1.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80))
STAGES += ((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))


def build_backbone(backbone: str, image_size: int, own_rescaling: bool = False) -> keras.Model:
    """Build one of `BACKBONES` with random weights. Only B0–B3 have a rescaling of their own, which takes 0–255."""
    if backbone in RESIDUAL:
        return _residual(image_size, *RESIDUAL[backbone])
    if backbone == LITE:
        return _efficientnet_lite0(image_size)
    settings = {"include_top": False, "weights": None, "include_preprocessing": own_rescaling}
    body = getattr(keras.applications, backbone)(input_shape=(image_size, image_size, 3), **settings)
    body.name = "backbone"  # given as an argument, Keras looks it up among its networks
    return body


def _residual(image_size: int, stride: int, widths: tuple[int, ...]) -> keras.Model:
    """A plain residual network: rescaled grey (n, size, size, 1) to features (n, size/8, size/8, channels).

    Stem of 32 channels, then stages of two basic blocks each (He et al., "Deep Residual Learning", 2016, figure 5
    left), each but the first at half the resolution. With the head, 1.6 million parameters (small) or 2.9 (medium).
    """
    inputs = keras.Input((image_size, image_size, 1))
    x = _convolution(inputs, 32, stride=stride, name="stem")
    for stage, width in enumerate(widths, start=1):
        for block in (1, 2):
            name, shortcut, stride = f"stage{stage}_block{block}", x, 2 if stage > 1 and block == 1 else 1
            if x.shape[-1] != width or stride != 1:
                shortcut = _convolution(x, width, size=1, stride=stride, relu=False, name=f"{name}_shortcut")
            x = _convolution(x, width, stride=stride, name=f"{name}_conv1")
            x = _convolution(x, width, relu=False, name=f"{name}_conv2")
            x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([shortcut, x]))
    return keras.Model(inputs, x, name="backbone")


def _efficientnet_lite0(image_size: int) -> keras.Model:
    """EfficientNet-B0 for small machines: no squeeze-excitation, ReLU6 instead of swish; 3.4 million parameters.

    Rescaled colours (n, size, size, 3) to features (n, size/32, size/32, 1280). TensorFlow's EfficientNet-Lite.
    """
    convolution = partial(_convolution, most=6)
    inputs = keras.Input((image_size, image_size, 3))
    x = convolution(inputs, 32, stride=2, name="stem")
    for stage, (repeats, size, stride, expansion, width) in enumerate(STAGES, start=1):
        for block in range(1, repeats + 1):
            name, before = f"stage{stage}_block{block}", x
            if expansion > 1:
                x = convolution(x, expansion * x.shape[-1], size=1, name=f"{name}_expand")
            x = convolution(x, None, size=size, stride=stride if block == 1 else 1, name=f"{name}_depthwise")
            x = convolution(x, width, size=1, relu=False, name=f"{name}_project")
            if block > 1:
                x = layers.Add(name=f"{name}_add")([before, x])
    return keras.Model(inputs, convolution(x, 1280, size=1, name="head"), name="backbone")


def _convolution(x, width: int | None, name: str, size=3, stride=1, relu=True, most: float | None = None):
    """Convolve to `width` channels, or each channel by itself, normalise, and cut off below 0 and above `most`."""
    settings = {"padding": "same", "use_bias": False, "name": f"{name}_conv"}
    if width:
        x = layers.Conv2D(width, size, stride, kernel_initializer="he_normal", **settings)(x)
    else:
        x = layers.DepthwiseConv2D(size, stride, depthwise_initializer="he_normal", **settings)(x)
    # Momentum 0.9: with Keras' 0.99 the averages are still far off after the few steps of a run on the sample.
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(most, name=f"{name}_relu")(x) if relu else x
