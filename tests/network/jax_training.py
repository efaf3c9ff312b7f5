"""Two steps of the whole recipe on JAX, without TensorFlow.

    KERAS_BACKEND=jax python tests/network/jax_training.py FOLDER

Writes the checkpoint, the faces and their predicted probabilities into the folder, and fails when anything imports
TensorFlow.
"""

import sys
from pathlib import Path

import numpy as np


class NoTensorFlow:
    """An import hook: this machine has none."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(folder: Path) -> None:
    sys.meta_path.insert(0, NoTensorFlow())
    from ageclf.faces.groups import REFERENCE_EDGES, group_names
    from ageclf.network import training
    from ageclf.network.backend import keras
    from ageclf.network.checkpoints import load_checkpoint, save_checkpoint
    from ageclf.network.model import N_AGES, augmentation, build_network, flip_averaged, with_auxiliary_outputs
    from ageclf.network.prediction import predict_probabilities
    from ageclf.network.progress import Progress

    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 48, 48)).astype("uint8")
    widths = {"probabilities": 6, "ages": N_AGES, "gender": 2}
    targets = {name: np.eye(n, dtype="float32")[rng.integers(0, n, len(images))] for name, n in widths.items()}
    model = build_network(image_size=16, augment=augmentation(seed=1))
    path = folder / "jax.keras"
    provenance = {"run": "jax", "groups": group_names(), "edges": list(REFERENCE_EDGES)}
    provenance |= {"backbone": "small", "image_size": 16}
    progress = Progress(path, folder / "jax.csv", provenance | {"flip_average": True}, flip_averaged(model))
    schedule = {"head_epochs": 0, "epochs": 1, "batch_size": 8, "head_learning_rate": 0.0, "learning_rate": 1e-3}
    recipe = {"weight_decay": 0.02, "ema_momentum": 0.5, "batch_norm_faces": 8, "auxiliary": 0.3}
    faces = images, targets
    trained = with_auxiliary_outputs(model)
    training.fit(trained, faces, faces, progress, **schedule, **recipe, patience=1, seed=1)
    network, _ = load_checkpoint(path)
    np.savez(folder / "predictions.npz", images=images, probabilities=predict_probabilities(network, images))
    save_checkpoint(model, path.with_name("moving.keras"), provenance)  # with the layers that shift and turn
    loaded, _ = load_checkpoint(path.with_name("moving.keras"))
    for what, compiled in {"training": trained, "prediction": loaded}.items():
        assert compiled.jit_compile, f"{what} executes operation by operation"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
