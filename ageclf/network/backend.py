"""Keras, imported in this one place, without the notices of its backend."""

import os
from pathlib import Path

# Notices about absent GPUs, in every notebook; errors that matter are raised as exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The file descriptor itself is closed: no setting stops what TensorFlow's C++ writes while it is loaded.
_stderr = os.dup(2)
with Path(os.devnull).open("w") as _sink:
    os.dup2(_sink.fileno(), 2)
try:
    import keras
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)

__all__ = ["keras"]
