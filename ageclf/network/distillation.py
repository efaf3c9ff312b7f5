"""Distillation: one network learns from what several others predict, and predicts at the cost of one."""

from collections.abc import Sequence

import numpy as np

import ageclf
from ageclf.network.checkpoints import load_checkpoint
from ageclf.network.model import Targets
from ageclf.network.prediction import predict_probabilities

SHARE = 0.7  # of the targets that comes from the teachers


def distilled(
    targets: Targets, images: np.ndarray, face_ids: Sequence[str], groups: list[str], teachers: Sequence[str]
) -> Targets:
    """Mix the targets of the groups with the mean of what the teachers, files of networks, predict for the same faces.

    `targets` are those of `model.targets`, of images uint8 (n, 48, 48); `face_ids` are those of the whole training
    part. Without teachers nothing changes. Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network",
    2015, at temperature 1.

    Raises ValueError for a teacher of other groups, or one that was trained on any other face: what it says of these
    faces could depend on faces of the validation or test part. And what `load_checkpoint` raises.
    """
    predicted = []
    for teacher in teachers:
        network, metadata = load_checkpoint(ageclf.resolve(teacher))
        if metadata["groups"] != groups:
            raise ValueError(f"teacher {teacher}: its groups are {metadata['groups']}, and not {groups}")
        if not metadata["training_faces"] or set(metadata["training_faces"]) - set(face_ids):
            outside = "it was trained on faces outside the training part, and would pass on what it knows of them"
            raise ValueError(f"teacher {teacher}: {outside}; train it with the same data, split and split_seed")
        predicted.append(predict_probabilities(network, images))
    if not predicted:
        return targets
    own = targets["probabilities"] if isinstance(targets, dict) else targets
    mixed = (1 - SHARE) * own + SHARE * np.mean(predicted, axis=0)
    return targets | {"probabilities": mixed} if isinstance(targets, dict) else mixed
