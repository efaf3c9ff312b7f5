"""Checkpoints, and their provenance beside them. Arrays alone are read from a file: this project's code builds the
network.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
from jsonschema import Draft4Validator
from jsonschema.exceptions import best_match

import ageclf
from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.network import old_hdf5
from ageclf.network.backend import keras
from ageclf.network.hdf5 import MOST_TEXT, assign, find_arrays, is_hdf5, refusing
from ageclf.network.model import build_network, mean_of_mirrored, with_mirror_images

IN_KERAS = [(name, zipfile.ZIP_STORED) for name in ("config.json", "metadata.json", "model.weights.h5")]
SCHEMA = Draft4Validator(json.loads(Path(__file__).with_name("provenance.schema.json").read_text(encoding="utf-8")))


def save_checkpoint(model: keras.Model, path: str | Path, provenance: dict) -> None:
    """Write `path` (.keras: network and weights) and the .json beside it, each under another name and then renamed.

    `provenance` is what a reader of the weights must know: groups, data, split, hashes of the training
    faces. The .json also gets the `sha256` of the .keras, which shows whether the two belong together. No
    optimizer state is stored: that belongs to a training run, not to a checkpoint. A network that was trained in mixed
    precision predicts in float32 once it is saved: its weights have always been that. `load_checkpoint` reads what
    `build_network` built, `flip_averaged` or not, when the provenance describes it.
    """
    path = Path(path)
    description = json.loads(model.to_json().replace("mixed_bfloat16", "float32"))
    bare = keras.saving.deserialize_keras_object(description | {"compile_config": None})  # else with an optimizer
    bare.set_weights(model.get_weights())
    ageclf.atomic_write(path, bare.save)
    ageclf.write_text(path.with_suffix(ageclf.PROVENANCE), _json(provenance | {"sha256": ageclf.sha256(path)}))


def amend_checkpoint(path: str | Path, **metadata: object) -> None:
    """Add metadata that was measured later, such as the temperature, to the .json beside a checkpoint."""
    beside = Path(path).with_suffix(ageclf.PROVENANCE)
    ageclf.write_text(beside, _json(json.loads(beside.read_text(encoding="utf-8")) | metadata))


def _json(metadata: dict) -> str:
    return json.dumps(metadata, indent=1, ensure_ascii=False)


def load_checkpoint(path: str | Path) -> tuple[keras.Model, dict]:
    """Read a network, float (n, 48, 48, 1) in 0–255 to probabilities, float32 (n, groups), and its metadata.

    The file is a .keras, or a whole network that Keras 2 saved as HDF5 (see `old_hdf5.load`); its first bytes decide.
    Arrays alone are taken from it. The network is built, without augmentation, from a few checked values of the .json.
    The metadata are those of the .json and the file's `sha256`. An HDF5 file may come without a .json: then metadata
    that the file does not show are None, the training faces too.

    Raises FileNotFoundError when the file, or the .json of a .keras, is missing; ValueError, with the reason and the
    remedy, when one is damaged or holds anything else, or the two do not belong together.
    """
    path, beside = Path(path), Path(path).with_suffix(ageclf.PROVENANCE)
    missing = "no such checkpoint file; run 04_training first, or name another"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {missing}")
    in_file = path, "not a checkpoint", "get the file again, train again, or name another"
    with refusing(*in_file):
        old = old_hdf5.load(path) if is_hdf5(path) else None
        content = b"" if old else _read_arrays(path)
    if not old and not beside.exists():
        raise FileNotFoundError(f"{beside}: {missing}")
    digest, model = ageclf.sha256(path), old
    metadata = {"sha256": digest} | (_defaults(path, old) if old else {})
    if beside.exists():
        with refusing(beside, "not a checkpoint's provenance", "train again, or name another", MOST_TEXT):
            metadata = _add_checked(metadata, json.loads(beside.read_text(encoding="utf-8")))
            model = old or _build(metadata)
    if metadata["sha256"] != digest:
        mismatch = f"{path} has another SHA-256 than {beside.name} says (was a training stopped between the two?)"
        raise ValueError(f"{mismatch}; resume the training, or name another checkpoint")
    if not old:
        with refusing(*in_file):
            _assign(model, content)
    return model, metadata


def _read_arrays(path: Path) -> bytes:
    """Return the HDF5 file in a .keras. Raises ValueError unless that holds what Keras 3 puts there, uncompressed."""
    with zipfile.ZipFile(path) as archive:
        if sorted((file.filename, file.compress_type) for file in archive.infolist()) != IN_KERAS:
            raise ValueError("it holds other files than Keras puts there, or compressed ones")
        if b'"keras_version": "2.' in archive.read("metadata.json"):
            raise ValueError("Keras 2 saved it; save it there with save_format='h5', and name that file")
        return archive.read("model.weights.h5")


def _add_checked(defaults: dict, recorded: dict) -> dict:
    """Return the defaults with what the .json holds. Raises ValueError, with the key, for an invalid value."""
    metadata = defaults | recorded
    if error := best_match(SCHEMA.iter_errors(metadata)):
        raise ValueError(f"{error.json_path.removeprefix('$.')} is invalid: {error.message:.60}")
    json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode()  # it is written again so
    lists = (metadata["groups"], defaults.get("groups"), metadata.get("training_counts"), metadata.get("group_ages"))
    if metadata["groups"] != group_names(metadata["edges"]) or len({len(one) for one in lists if one}) > 1:
        raise ValueError(f"groups is {metadata['groups']!r:.60}, and edges, training_counts or group_ages of others")
    return metadata


def _build(metadata: dict) -> keras.Model:
    network = metadata["backbone"], metadata["image_size"], len(metadata["groups"])
    own = metadata.get("include_preprocessing") is not False
    if not metadata.get("flip_average"):
        return build_network(*network, include_preprocessing=own)
    return mean_of_mirrored(build_network(*network, augment=with_mirror_images, include_preprocessing=own))


def _assign(model: keras.Model, content: bytes) -> None:
    """Assign the arrays in a .keras to a network by the path that Keras gives them; no attribute of it is read."""
    body, outside = model.get_layer("backbone"), dict(_numbered(model))
    with h5py.File(io.BytesIO(content), "r") as file:
        arrays, found = find_arrays(file), set(file["layers"].keys())
        inside = "functional_1" if "functional_1" in found else "functional"  # the first of two is augmentation
        if found != {*outside, inside}:  # some have no arrays, and change the predictions
            raise ValueError("it has other layers than the network that the .json describes")
        parts = {f"layers/{at}": layer for at, layer in outside.items() if layer is not body}
        parts |= {f"layers/{inside}/layers/{at}": layer for at, layer in _numbered(body)}
        names = {f"{at}/vars/{i}": one for at, layer in parts.items() for i, one in enumerate(layer.weights)}
        assign(names, arrays.items())
    for part in (model, body, *parts.values()):
        part.dtype_policy = "float32"  # whatever a training before it has set


def _numbered(network: keras.Model) -> Iterator[tuple[str, keras.Layer]]:
    """Name layers as Keras does in its files: by their class, and how many of it come before them."""
    kinds = [re.sub("(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", type(x).__name__).lower() for x in network.layers]
    for i, kind in enumerate(kinds):
        before = kinds[:i].count(kind)
        yield f"{kind}_{before}" if before else kind, network.layers[i]


def _defaults(path: Path, model: keras.Model) -> dict:
    """Return the metadata that an old HDF5 file shows, and None for the others."""
    unknown = ("data", "split_seed", "seed", "epoch", "val_loss", "val_accuracy", "training_counts", "training_faces")
    size = model.get_layer("backbone").input_shape[1]
    network = {"backbone": model.name.removeprefix("age_groups_"), "image_size": size, "weights": "unknown"}
    groups = {"groups": group_names(), "edges": list(REFERENCE_EDGES), "include_preprocessing": False}
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
