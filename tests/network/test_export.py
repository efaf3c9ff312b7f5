"""A SavedModel answers as the checkpoint that it was made from."""

import json

import numpy as np
import pytest

from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.faces.reading import load_faces
from ageclf.network.checkpoints import export_saved_model, load_checkpoint, save_checkpoint
from ageclf.network.model import build_network


def test_the_exported_network_answers_as_the_checkpoint_does(tmp_path):
    """With resizing and dropout, which `model.export` would leave acting; and in place of an older export."""
    import tensorflow as tf

    path, folder = tmp_path / "some.keras", tmp_path / "some-savedmodel"
    known = {"groups": group_names(), "edges": list(REFERENCE_EDGES), "backbone": "small", "image_size": 16}
    save_checkpoint(build_network(image_size=16), path, known)
    for _ in range(2):
        export_saved_model(path, folder)
    faces = load_faces("sample").images[:100, ..., np.newaxis]
    model, known = load_checkpoint(path)
    expected = model.predict(faces, verbose=0)
    exported = tf.saved_model.load(str(folder))
    floats = tf.constant(faces, tf.float32)
    np.testing.assert_allclose(exported.serve(floats), expected, rtol=0, atol=1e-6)
    (named,) = exported.signatures["serving_default"](floats).values()
    np.testing.assert_allclose(named, expected, rtol=0, atol=1e-6)
    assert json.loads((folder / "provenance.json").read_text()) == known
    assert sorted(left.name for left in tmp_path.iterdir()) == ["some-savedmodel", "some.json", "some.keras"]


def test_an_export_never_takes_the_place_of_another_folder(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(ValueError, match=r"data is there and is no SavedModel; remove or rename it"):
        export_saved_model(tmp_path / "some.keras", tmp_path / "data")
