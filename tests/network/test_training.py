"""Training repeats exactly, shows every face once an epoch in a new order, and keeps the best epoch."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_training import FACES, SCHEDULE, VAL_LOSSES, kept, train

from ageclf.network import training
from ageclf.network.backend import keras


def test_every_epoch_shows_every_face_once_in_an_order_of_its_own():
    images = np.arange(10, dtype="uint8")[:, np.newaxis, np.newaxis] * np.ones((1, 48, 48), "uint8")
    batches = training.Batches(images, np.eye(10, dtype="float32"), batch_size=4, seed=5)
    epochs = []
    for _ in range(3):
        drawn = [batches[index] for index in range(len(batches))]
        assert all((x[:, 0, 0, 0] == y.argmax(axis=1)).all() for x, y in drawn), "a face keeps its target"
        epochs.append([int(face) for x, _ in drawn for face in x[:, 0, 0, 0]])
        batches.on_epoch_end()
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    resumed = training.Batches(images, np.eye(10, dtype="float32"), batch_size=4, seed=5, epoch=2)
    assert [int(face) for index in range(3) for face in resumed[index][0][:, 0, 0, 0]] == epochs[2]


def test_learning_rate_rises_to_its_peak_and_falls_to_zero():
    rate = training.warmup_cosine(0.01, steps=100)
    values = [float(rate(step)) for step in range(101)]
    assert np.argmax(values) == 5
    assert max(values) == pytest.approx(0.01)
    assert values[100] == pytest.approx(0, abs=1e-8)
    assert all(earlier > later for earlier, later in pairwise(values[5:]))


def test_history_and_the_best_epoch_are_kept(tmp_path):
    train(tmp_path, epochs=4)
    history = training.read_history(tmp_path / "tiny.csv")
    assert history.index.tolist() == [1, 2, 3, 4, 5, 6]
    network, known = kept(tmp_path)
    assert known["run"] == "tiny"
    assert (known["epoch"], known["val_loss"]) == (2, VAL_LOSSES[1])
    images, targets = FACES[1]
    loss = keras.losses.CategoricalCrossentropy()(targets, network.predict(images[..., None], verbose=0))
    assert float(loss) == pytest.approx(history["measured"][2], abs=1e-5)


def test_training_stops_after_patience_epochs_without_a_lower_loss(tmp_path):
    train(tmp_path, patience=2, epochs=30, head_epochs=0)
    history = training.read_history(tmp_path / "tiny.csv")
    assert tuple(history["val_loss"]) == VAL_LOSSES[:4]  # of which the second is the lowest


def test_batches_that_several_gpus_cannot_share_evenly_are_refused():
    three = SimpleNamespace(distribute_strategy=SimpleNamespace(num_replicas_in_sync=3))
    with pytest.raises(ValueError, match=r"batch_size=8 .* a multiple of 3"):
        training.fit(three, *FACES, None, **SCHEDULE)


def test_the_head_is_trained_first_while_the_backbone_stays(tmp_path):
    def weights(model: keras.Model, layer: str) -> np.ndarray:
        return model.get_layer(layer).get_weights()[0]

    before = train(tmp_path / "before", head_epochs=0, epochs=0)
    head_only = train(tmp_path / "head", epochs=0)
    np.testing.assert_array_equal(weights(head_only, "backbone"), weights(before, "backbone"))
    assert not np.array_equal(weights(head_only, "head"), weights(before, "head"))
    log = training.read_history(tmp_path / "head" / "tiny.csv")
    assert log["learning_rate"].tolist() == pytest.approx([1e-2, 1e-2])
    everything = train(tmp_path / "both", epochs=1)
    assert training.read_history(tmp_path / "both" / "tiny.csv").index.tolist() == [1, 2, 3]
    assert not np.array_equal(weights(everything, "backbone"), weights(before, "backbone"))


def test_statistics_settle_on_faces_from_everywhere_in_the_file(tmp_path, monkeypatch):
    """UTKFace's CSV is in order of age: the first faces would be infants alone."""
    seen, made = [], training.EvaluateEMA
    monkeypatch.setattr(training, "EvaluateEMA", lambda *given: (seen.append(given[0]), made(*given))[1])
    train(tmp_path, head_epochs=0, epochs=1, batch_norm_faces=12)
    (images,) = seen
    positions = [int(np.flatnonzero((FACES[0][0] == image).all(axis=(1, 2)))[0]) for image in images]
    assert len(set(positions)) == 12
    assert max(positions) >= 12
