"""The network trains on JAX, without TensorFlow, and what it has learned is TensorFlow's too."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from ageclf.network.backend import keras
from ageclf.network.checkpoints import load_checkpoint
from ageclf.network.prediction import predict_probabilities
from ageclf.network.training import read_history

SCRIPT = Path(__file__).with_name("jax_training.py")


def test_what_jax_has_trained_without_tensorflow_answers_alike_with_it(tmp_path):
    # Most of the time is compiling.
    env = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    run = subprocess.run([sys.executable, SCRIPT, tmp_path], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(read_history(tmp_path / "jax.csv")) == 1
    assert keras.backend.backend() == "tensorflow"
    told = np.load(tmp_path / "told.npz")
    network, _ = load_checkpoint(tmp_path / "jax.keras")
    answers = predict_probabilities(network, told["images"])
    np.testing.assert_allclose(answers, told["probabilities"], atol=1e-5)
    assert np.ptp(answers, axis=0).max() > 1e-3  # it does not say the same of every face
