"""Keras, imported without the notices of its backend, the one place that imports it; and what JAX needs told."""

import os
from contextlib import contextmanager
from pathlib import Path

# Notices about absent GPUs, in every notebook; errors that matter are raised as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _silent_stderr():
    """Close the file descriptor itself: what TensorFlow's C++ writes while it loads no setting can stop."""
    saved = os.dup(2)
    with Path(os.devnull).open("w") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


with _silent_stderr():
    import keras


__all__ = ["keras", "let_jax_compile"]


def let_jax_compile(network: keras.Model) -> keras.Model:
    """Return the network, with leave for JAX to compile every layer in it.

    Random shifts and turns tell Keras that they cannot be compiled, which is true of TensorFlow's XLA alone. Keras
    asks all layers, and where one says no, JAX runs each operation of each step by itself.
    """
    if keras.backend.backend() == "jax":
        for layer in network.layers:
            layer.supports_jit = True
            if isinstance(layer, keras.Model):
                let_jax_compile(layer)
        network.jit_compile = True  # a network that was loaded has asked already
    return network
