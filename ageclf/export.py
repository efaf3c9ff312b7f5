"""Networks for those who have TensorFlow, and not this project."""

import functools
import json
import tempfile
from pathlib import Path

from ageclf.backend import keras
from ageclf.weights import load_checkpoint


def export_saved_model(checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint as a TensorFlow SavedModel, with its provenance in `provenance.json`.

    Its `serve`, and its default signature, take float32 (n, 48, 48, 1) in 0–255 and give what `predict` does.
    `folder` is written aside and renamed; an older SavedModel of that name is replaced. Raises ValueError for a
    folder that is anything else, and what `load_checkpoint` raises.
    """
    if folder.exists() and not (folder / "saved_model.pb").is_file():
        raise ValueError(f"{folder} is there and is no SavedModel; remove or rename it")
    model, known = load_checkpoint(checkpoint)
    archive = keras.export.ExportArchive()
    archive.track(model)
    # Not `model.export`: that calls the network as if in training.
    serve = functools.partial(model.__call__, training=False)
    archive.add_endpoint("serve", serve, [keras.InputSpec(shape=(None, 48, 48, 1), dtype="float32")])
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
        new, old = Path(aside, "new"), Path(aside, "old")
        archive.write_out(new, verbose=False)
        (new / "provenance.json").write_text(json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
