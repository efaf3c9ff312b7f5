"""The network trains on JAX, without TensorFlow, and predicts the same on both."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from ageclf.network.backend import keras
from ageclf.network.checkpoints import load_checkpoint
from ageclf.network.prediction import predict_probabilities

SCRIPT = Path(__file__).with_name("jax_training.py")


def test_a_network_trained_on_jax_without_tensorflow_predicts_the_same_on_tensorflow(tmp_path):
    # Most of the time is compiling.
    env = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    run = subprocess.run([sys.executable, SCRIPT, tmp_path], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(pd.read_csv(tmp_path / "jax.csv")) == 1
    assert keras.backend.backend() == "tensorflow"
    on_jax = np.load(tmp_path / "predictions.npz")
    network, _ = load_checkpoint(tmp_path / "jax.keras")
    probabilities = predict_probabilities(network, on_jax["images"])
    np.testing.assert_allclose(probabilities, on_jax["probabilities"], atol=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 1e-3  # they are not the same for every face
