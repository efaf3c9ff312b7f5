"""Weights in and out: pretrained backbones, and checkpoints with their provenance beside them."""

import functools
import json
import re
import tempfile
import zipfile
from pathlib import Path

import ageclf
from ageclf.faces.csv_table import SIZE
from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.network import old_hdf5
from ageclf.network.backend import keras, let_jax_compile
from ageclf.network.pretrained import _is_hdf5, _reason

# Layers of Keras that run code of the file, or of another file that it names.
RUN_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper")


def save_checkpoint(model: keras.Model, path: Path, provenance: dict) -> None:
    """Write `path` (.keras: network and weights) and the .json beside it, each aside and then renamed.

    `provenance` is what a reader of the weights must know: groups, data, split, hashes of the training
    faces. The .json also gets the `sha256` of the .keras, which tells whether the two belong together. No
    optimizer state is stored: that belongs to a training run, not to a checkpoint. A network that was trained in mixed
    precision answers in float32 from here on: its weights have always been that.
    """
    described = json.loads(model.to_json().replace("mixed_bfloat16", "float32"))
    described.pop("compile_config", None)  # what an optimizer's state would come with
    bare = keras.saving.deserialize_keras_object(described)
    bare.set_weights(model.get_weights())
    ageclf.atomic_write(path, bare.save)
    text = json.dumps(provenance | {"sha256": ageclf.sha256(path)}, indent=1, ensure_ascii=False)
    ageclf.write_text(path.with_suffix(ageclf.PROVENANCE), text)


def amend_checkpoint(path: Path, **known: object) -> None:
    """Add what became known of a checkpoint later, such as its temperature, to the .json beside it."""
    beside = path.with_suffix(ageclf.PROVENANCE)
    text = json.dumps(json.loads(beside.read_text(encoding="utf-8")) | known, indent=1, ensure_ascii=False)
    ageclf.write_text(beside, text)


def load_model(path: Path) -> keras.Model:
    """Read a network: float (n, 48, 48, 1) in 0–255 to probabilities, float32 (n, groups).

    The file is a .keras, or a whole network that Keras 2 saved as HDF5 (see `old_hdf5.load`); its first bytes say
    which. Nothing that could run code is loaded. Raises FileNotFoundError when there is no such file; ValueError,
    with the reason and the remedy, for one that is damaged, or holds code or another network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file; run 04_training first, or name another")
    try:
        model = old_hdf5.load(path) if _is_hdf5(path) else _load_keras(path)
        taken, given = model.input_shape, model.output_shape
        if (taken, given) != ((None, SIZE, SIZE, 1), (None, given[-1])):
            raise ValueError(f"it takes {taken} and gives {given}, not {SIZE}×{SIZE}×1 and groups")
    except Exception as error:
        again = "get the file again, train again, or name another"
        raise ValueError(f"{path}: not a checkpoint: {_reason(error)}; {again}") from error
    return let_jax_compile(model)


def _load_keras(path: Path) -> keras.Model:
    with zipfile.ZipFile(path) as archive:
        json.loads(archive.read("config.json"), object_hook=_refuse_code)
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, f"model{ageclf.NETWORK}")  # Keras goes by the name, and this may be another
        named.symlink_to(path.absolute())
        return keras.models.load_model(named, compile=False, safe_mode=True)


def _refuse_code(part: dict) -> None:
    """Raise ValueError when a part of a configuration names something that is not Keras' own, or runs code."""
    name = part.get("class_name")
    own = str(part.get("module", "keras")).split(".")[0] == "keras" and part.get("registered_name") in (None, name)
    if not own or name in RUN_CODE:
        raise ValueError(f"it holds {name}, which is not of Keras itself or could run code")


def load_checkpoint(path: Path) -> tuple[keras.Model, dict]:
    """Read a checkpoint: the network as `load_model` does, and its provenance.

    An HDF5 file may come without a .json: then what cannot be known of it is None, the training faces among it.

    Raises FileNotFoundError when the file, or the .json of a .keras, is missing; ValueError when one cannot be read,
    or the two do not belong together.
    """
    model, beside = load_model(path), path.with_suffix(ageclf.PROVENANCE)
    known = _what_can_be_known(path, model) if _is_hdf5(path) else {}
    if not known and not beside.is_file():
        raise FileNotFoundError(f"{beside}: no such checkpoint file; run 04_training first, or name another")
    try:
        known |= json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{beside}: not a checkpoint's provenance ({error}); train again, or name another") from error
    digest, n_groups = ageclf.sha256(path), model.output_shape[-1]
    said = (known.setdefault("sha256", digest), len(known.get("groups", range(n_groups))))
    if said != (digest, n_groups):
        apart = f"{path} has another {'SHA-256' if said[0] != digest else 'number of groups'} than {beside.name} says"
        raise ValueError(f"{apart} (was a training stopped between the two?); train on, or name another checkpoint")
    return model, known


def _what_can_be_known(path: Path, model: keras.Model) -> dict:
    unknown = ("data", "split_seed", "seed", "epoch", "val_loss", "val_accuracy", "training_counts", "training_faces")
    size = model.get_layer("backbone").input_shape[1]
    network = {"backbone": model.name.removeprefix("age_groups_"), "image_size": size, "weights": "unknown"}
    groups = {"groups": group_names(), "edges": list(REFERENCE_EDGES)}
    return {"run": path.stem, **dict.fromkeys(unknown), **groups, **network}


def find_checkpoint(checkpoint: str, run: str) -> Path:
    """Return the checkpoint to use: the one named, or for `auto` that of the run, else the shipped one.

    Shipped ones lie in the checkout, and may lie below `ROOT`; of several it is the one with the highest number.
    Raises FileNotFoundError when there is none.
    """
    if checkpoint != "auto":
        return ageclf.resolve(checkpoint)
    own = ageclf.resolve(f"checkpoint/{run}{ageclf.NETWORK}")
    folders = {own.parent, ageclf.CHECKOUT / "checkpoint"}
    shipped = [path for folder in folders for path in folder.glob("ckpt-*") if path.suffix in ageclf.NETWORKS]
    shipped.sort(key=lambda path: ([int(number) for number in re.findall(r"\d+", path.stem)], path.name))
    found = [path for path in (own, *reversed(shipped)) if path.is_file()]
    if not found:
        raise FileNotFoundError(f"{own}: no checkpoint of run {run!r} yet, and none is shipped: run 04_training first")
    return found[0]


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
    archive.add_endpoint("serve", serve, [keras.InputSpec(shape=(None, SIZE, SIZE, 1), dtype="float32")])
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
        new, old = Path(aside, "new"), Path(aside, "old")
        archive.write_out(new, verbose=False)
        (new / "provenance.json").write_text(json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
