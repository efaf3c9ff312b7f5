"""The panel for photos answers as `predict` does; `predict` itself is tested with the command line."""

import re
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image
from skimage.data import astronaut

import ageclf
from ageclf.own_photos import photo_panel, predict


def jpeg(side: int) -> bytes:
    file = BytesIO()
    Image.fromarray(astronaut()).resize((side, side)).save(file, "JPEG", quality=95)
    return file.getvalue()


def test_a_chosen_photo_is_answered_as_predict_answers_its_file(tmp_path):
    """Its table has the same numbers; a file that is no photo is told apart, by the name that it has for its owner."""
    panel = photo_panel()
    _, said, shown = panel.children
    assert "ckpt-729.keras" in said.value
    files = {"me & you.jpg": jpeg(512), "me.txt": b"no photo", "dark.png": jpeg(40)}
    told = {"type": "", "last_modified": datetime.now(UTC)}
    panel.children[0].value = [
        {"name": name, "size": len(content), "content": content, **told} for name, content in files.items()
    ]
    (tmp_path / "me.jpg").write_bytes(files["me & you.jpg"])
    (face,) = predict(tmp_path / "me.jpg")[0].itertuples()
    row = re.search(r"<tbody>(.+)</tbody>", shown.value, re.DOTALL)[1]
    sure = "yes" if face.above_threshold else "not sure"
    assert re.findall("<td>(.*?)</td>", row) == ["1", face.group, f"{face.confidence:.0%}", sure, face.second]
    assert shown.value.count('alt="me &amp; you.jpg"') == 1
    assert "<p>me.txt: not a picture that can be read; photos are JPEG" in shown.value
    assert "<p>dark.png: no face found" in shown.value
    assert "/photo." not in shown.value


def test_without_a_network_there_is_no_panel(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    monkeypatch.setattr(ageclf, "CHECKOUT", tmp_path)
    with pytest.raises(FileNotFoundError, match="run 04_training first"):
        photo_panel()
