"""A network learns from others, and none of them passes on what it knows of validation or test faces."""

import numpy as np
import pytest

from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.network.checkpoints import save_checkpoint
from ageclf.network.distillation import distilled
from ageclf.network.model import build_network
from ageclf.network.prediction import predict_probabilities

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype("uint8")
OWN = np.eye(6, dtype="float32")[[0, 1, 2, 5, 3]]
IDS = [f"face {i}" for i in range(len(IMAGES))]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Two networks that were trained on some of these faces, and what they predict."""
    files, predicted = [], []
    for seed in (0, 1):
        network = build_network(image_size=16)
        files.append(str(tmp_path_factory.mktemp("teachers") / f"teacher-{seed}.keras"))
        about = {"groups": group_names(), "edges": list(REFERENCE_EDGES), "backbone": "small", "image_size": 16}
        save_checkpoint(network, files[-1], about | {"training_faces": IDS[: 3 + seed]})
        predicted.append(predict_probabilities(network, IMAGES))
    return files, np.mean(predicted, axis=0)


def test_most_of_the_targets_is_the_mean_of_what_the_teachers_predict(teachers):
    files, mean = teachers
    mixed = distilled(OWN, IMAGES, IDS, group_names(), files)
    np.testing.assert_allclose(mixed, 0.3 * OWN + 0.7 * mean, atol=1e-6)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)


def test_targets_of_further_outputs_stay_as_they_are(teachers):
    files, mean = teachers
    ages = np.eye(5, dtype="float32")
    mixed = distilled({"probabilities": OWN, "ages": ages}, IMAGES, IDS, group_names(), files)
    np.testing.assert_allclose(mixed["probabilities"], 0.3 * OWN + 0.7 * mean, atol=1e-6)
    assert mixed["ages"] is ages


def test_without_teachers_nothing_changes():
    assert distilled(OWN, IMAGES, IDS, group_names(), []) is OWN


def test_a_teacher_that_was_trained_on_any_other_face_is_refused(teachers):
    files, _ = teachers
    with pytest.raises(ValueError, match=r"teacher-1\.keras: it was trained on faces outside .* split_seed"):
        distilled(OWN[:3], IMAGES[:3], IDS[:3], group_names(), files)


def test_a_teacher_that_does_not_say_what_it_was_trained_on_is_refused(tmp_path):
    about = {"groups": group_names(), "edges": list(REFERENCE_EDGES), "backbone": "small", "image_size": 16}
    save_checkpoint(build_network(image_size=16), tmp_path / "unknown.keras", about | {"training_faces": None})
    with pytest.raises(ValueError, match="outside the training part"):
        distilled(OWN, IMAGES, IDS, group_names(), [str(tmp_path / "unknown.keras")])


def test_a_teacher_of_other_groups_is_refused(teachers):
    with pytest.raises(ValueError, match=r"its groups are .*0-5.*, and not \['0-17', '18\+'\]"):
        distilled(OWN[:, :2], IMAGES, IDS, group_names([18]), teachers[0])
