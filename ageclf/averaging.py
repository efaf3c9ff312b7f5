"""What is validated and kept instead of the weights of the last step: their moving average, with settled statistics."""

import numpy as np

from ageclf.backend import keras
from ageclf.model import without_augmentation

BATCH = 128  # faces behind each update of the statistics


class Averaging(keras.callbacks.Callback):
    """Puts moving averages in the place of a network's weights while it is validated and saved.

    The optimizer keeps the averages, when it is told `use_ema`; for the time of validation they and the weights change
    places, and a state that `Progress` saves meanwhile holds them so: `resumed` says that the network comes from one.
    This callback must come last, after what saves. With `images`, uint8 (n, 48, 48), the moving statistics of batch
    normalisation are measured anew before each validation, as `settle` says.
    """

    def __init__(self, images: np.ndarray, resumed: bool):
        super().__init__()
        self.images, self.resumed = images, resumed

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self.resumed:
            self._change_places()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._change_places()
        settle(self.model, self.images)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._change_places()

    def _change_places(self) -> None:
        kept = [variable for variable in self.model.optimizer.variables if variable.path.endswith("_average")]
        for weight, average in zip(self.model.trainable_variables, kept, strict=bool(kept)):
            value = keras.ops.convert_to_numpy(weight).copy()
            weight.assign(keras.ops.convert_to_numpy(average))
            average.assign(value)


def settle(model: keras.Model, images: np.ndarray) -> None:
    """Measure the moving statistics of batch normalisation anew, in place, on faces as they are: uint8 (n, 48, 48).

    Those of the training are of faces that were shifted, turned and partly black, seen by other weights than the
    average. Wu and Johnson, "Rethinking 'batch' in batch normalization", 2021, section 3. No images: nothing changes.
    """
    network = without_augmentation(model)
    for start in range(0, len(images), BATCH):
        network(images[start : start + BATCH, ..., np.newaxis], training=True)
