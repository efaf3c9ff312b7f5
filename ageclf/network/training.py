"""Training: batches in a seeded order, the learning rate schedule, EMA of the weights, and fit, which resumes."""

import math
import shutil
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import numpy as np
from tqdm import tqdm

from ageclf.network.backend import keras
from ageclf.network.model import Targets, losses, without_augmentation
from ageclf.network.progress import Progress, epochs_since_best, group_metrics

BATCH = 128  # faces per update of the batch-norm statistics


def _take(arrays, rows: np.ndarray | slice):
    return keras.tree.map_structure(lambda array: array[rows], arrays)


class Batches(keras.utils.PyDataset):
    """Shuffled batches: uint8 (b, 48, 48, 1) with targets float32 (b, n_groups), or a dictionary of such.

    With `fit(…, shuffle=False)` the order depends on `seed` and the number of the epoch alone: it is new in every
    epoch, which that of `fit(arrays, shuffle=True)` after seeding is not, and the same in every run.
    """

    def __init__(self, images: np.ndarray, targets: Targets, batch_size: int, seed: int, epoch: int = 0):
        super().__init__()
        self.images, self.targets = images[..., np.newaxis], targets
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch - 1
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.images))

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Targets]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[chosen], _take(self.targets, chosen)


def warmup_cosine(peak: float, steps: int, warmup: float = 0.05) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate as a function of the step: linear warm-up over a fraction of `steps`, cosine to zero.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without restarts.
    """
    rising = max(1, round(warmup * steps))
    falling = max(1, steps - rising)
    return keras.optimizers.schedules.CosineDecay(0.0, falling, warmup_target=peak, warmup_steps=rising)


def show_progress(bar: tqdm) -> keras.callbacks.Callback:
    """Return a callback that moves a bar by one with each batch, and shows each epoch's validation accuracy.

    (`tqdm.keras.TqdmCallback` has a bar for the epochs, which stands still within one, or a second bar for each epoch.)
    """

    def show(epoch: int, logs: dict) -> None:
        bar.set_postfix_str(f"epoch {epoch + 1}, validation accuracy {group_metrics(logs)['val_accuracy']:.3f}")

    return keras.callbacks.LambdaCallback(on_epoch_end=show, on_train_batch_end=lambda batch, logs: bar.update())


def evaluate_ema(model: keras.Model, images: np.ndarray) -> keras.callbacks.Callback:
    """Return a callback that validates and saves a network with the exponential moving average (EMA) of its weights.

    For validation the averages are swapped with the weights, and `recompute_batch_norm` runs on `images`, uint8
    (n, 48, 48). A state that `Progress` saves after it holds both swapped. This callback must come last, after those
    that save. (Keras' SwapEMAWeights swaps back before a state can be saved.)
    """

    def begin(logs: dict) -> None:
        swap_averages(model)
        recompute_batch_norm(model, images)

    return keras.callbacks.LambdaCallback(on_test_begin=begin, on_epoch_end=lambda epoch, logs: swap_averages(model))


def swap_averages(model: keras.Model) -> None:
    """Swap the weights with their averages, which the optimizer has if it was made with `use_ema`."""
    averages = [variable for variable in model.optimizer.variables if variable.path.endswith("_average")]
    for weight, average in zip(model.trainable_variables, averages, strict=bool(averages)):
        value = keras.ops.convert_to_numpy(weight).copy()
        weight.assign(keras.ops.convert_to_numpy(average))
        average.assign(value)


def recompute_batch_norm(model: keras.Model, images: np.ndarray) -> None:
    """Recompute the moving statistics of batch normalisation, in place, on faces as they are: uint8 (n, 48, 48).

    Those of the training are of augmented faces, and of other weights than the average. Wu and Johnson, "Rethinking
    'batch' in batch normalization", 2021, section 3. No images: nothing changes.
    """
    network = without_augmentation(model)
    for start in range(0, len(images), BATCH):
        network(images[start : start + BATCH, ..., np.newaxis], training=True)


def on_all_gpus(kind: str = "GPU") -> AbstractContextManager:
    """Return the context in which to build a network that `fit` then trains on all GPUs of this machine at once.

    It changes nothing where Keras runs on something else than TensorFlow, or TensorFlow sees less than two devices
    of the `kind`.
    """
    return _strategy(kind).scope() if keras.backend.backend() == "tensorflow" else nullcontext()


@cache
def _strategy(kind: str):
    # One for all networks of a process: what two strategies send between the devices gets mixed up.
    import tensorflow as tf

    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    return tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy()


def fit(
    model: keras.Model,
    train: tuple[np.ndarray, Targets],
    val: tuple[np.ndarray, Targets],
    progress: Progress,
    *,
    head_epochs: int,
    epochs: int,
    batch_size: int,
    head_learning_rate: float,
    learning_rate: float,
    patience: int,
    seed: int,
    weight_decay: float = 0.0,
    ema_momentum: float = 0.0,
    batch_norm_faces: int = 0,
    auxiliary: float = 0.0,
) -> None:
    """Train the head alone for `head_epochs` at a constant rate, then all layers for `epochs` by `warmup_cosine`.

    `train` and `val` are images uint8 (n, 48, 48) with targets float32 (n, n_groups), or targets of each output by name
    for a network with auxiliary outputs, whose losses are weighted by `auxiliary`. The model is compiled anew for each
    phase, which fixes the weights that its optimizer updates. The second phase ends early when the validation loss has
    not been lower for `patience` epochs. Epochs in the state of `progress` are not repeated: with one thread, a resumed
    training ends with exactly the weights of an uninterrupted one. With TensorFlow, the history also goes to a folder
    `tensorboard` next to the log.

    In the second phase, with `ema_momentum` above 0, the EMA of the weights is validated and saved, with batch-norm
    statistics recomputed on `batch_norm_faces` training faces. Weights other than those of normalisation and biases
    decay by `weight_decay` times the learning rate per step (Loshchilov and Hutter, "Decoupled weight decay
    regularization", 2019).

    A network built within `on_all_gpus` is trained on all GPUs, each with an equal part of every batch; the last faces
    of `train` and `val` that cannot be divided equally are left out. Raises ValueError for a `batch_size` that is no
    multiple of the number of GPUs.
    """
    strategy = getattr(model, "distribute_strategy", None)  # other backends have none
    devices = strategy.num_replicas_in_sync if strategy else 1
    if batch_size % devices:
        raise ValueError(f"batch_size={batch_size} cannot be split equally between GPUs: give a multiple of {devices}")
    # Keras stops at a part that is empty, or at a first batch with parts of two sizes.
    train, val = (_take(part, slice(len(part[0]) - len(part[0]) % devices)) for part in (train, val))
    progress.read()
    tensorboard = progress.log.parent / "tensorboard"
    if progress.history:
        progress.restore("network", model.variables)
    else:
        shutil.rmtree(tensorboard, ignore_errors=True)
    steps = math.ceil(len(train[0]) / batch_size)

    def stop_in_time(epoch: int = 0, logs: dict | None = None) -> bool:
        model.stop_training = epochs_since_best(progress.history[head_epochs:]) >= patience
        return model.stop_training

    for phase, first, last in (("head", 0, head_epochs), ("all layers", head_epochs, head_epochs + epochs)):
        done = len(progress.history)
        if done >= last or stop_in_time():
            continue
        model.get_layer("backbone").trainable = phase == "all layers"
        with strategy.scope() if strategy else nullcontext():
            optimizer = keras.optimizers.Adam(head_learning_rate)
            if phase == "all layers":
                ema = {"use_ema": ema_momentum > 0, "ema_momentum": ema_momentum}
                rate = warmup_cosine(learning_rate, epochs * steps)
                optimizer = keras.optimizers.Adam(rate, weight_decay=weight_decay or None, **ema)
                optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
            model.compile(optimizer, **losses(model, auxiliary))
            if done > first:
                optimizer.build(model.trainable_variables)
                progress.restore("optimizer", optimizer.variables)
                swap_averages(model)  # as after the validation after which the state was saved
        callbacks = [progress, keras.callbacks.LambdaCallback(on_epoch_end=stop_in_time)]
        if phase == "all layers" and (ema_momentum or batch_norm_faces):
            order = np.random.default_rng(seed).permutation(len(train[0]))  # files may be in order of age
            callbacks.append(evaluate_ema(model, train[0][order[:batch_norm_faces]]))
        if keras.backend.backend() == "tensorflow":
            callbacks.append(keras.callbacks.TensorBoard(tensorboard, write_graph=False))
        # Once a second: an executed notebook keeps every state of the bar, and training may take hours.
        shown = {"unit": "batch", "mininterval": 1, "ncols": 100}
        with tqdm(desc=phase, initial=(done - first) * steps, total=(last - first) * steps, **shown) as bar:
            model.fit(
                Batches(*train, batch_size, seed, epoch=done),
                shuffle=False,  # Keras would shuffle the batches, by a generator that no state holds
                validation_data=(val[0][..., np.newaxis], val[1]),
                validation_batch_size=256 - 256 % devices,
                initial_epoch=done,
                epochs=last,
                callbacks=[*callbacks, show_progress(bar)],
                verbose=0,
            )
