"""Keras, imported without the notices of its backend: the one place that imports it."""

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

__all__ = ["keras"]
