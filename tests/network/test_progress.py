"""A training that was stopped ends exactly as one that was not, and is never resumed with other code or settings."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_training import (
    AVERAGED,
    FACES,
    PROVENANCE,
    SCHEDULE,
    VAL_LOSSES,
    Interrupted,
    faces,
    read_history,
    saved,
    tiny_network,
    train,
    weights,
)

from ageclf.network import progress, training
from ageclf.network.backend import keras
from ageclf.network.progress import Progress, epochs_since_best, group_metrics

SCRIPT = Path(__file__).with_name("tiny_training.py")

# One after the other, each on what the one before left. By `VAL_LOSSES` an undisturbed training has two epochs of the
# head, then nine of everything, the eighth of all the best, and stops early after the eleventh.
DEATHS = (
    "batch 2",  # before anything is saved
    "half .keras 1",  # in the middle of the first file
    "before .npz 1",  # with the epoch's checkpoint and log saved, but not its state: it is repeated
    "after .npz 2",  # with the head trained, before the second phase and its new optimizer
    "after .keras 1",  # between a better checkpoint and the .json that belongs to it
    "batch 8",  # in the middle of an epoch
    "half .npz 1",
    "after .npz 4",  # with the epoch saved after which it stops early: nothing remains to be done
)


def process(folder: Path, *point: str) -> subprocess.Popen:
    command = [sys.executable, SCRIPT, folder, *point]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    child = process(folder)
    assert child.wait() == 0, child.stderr.read()
    return folder


def assert_same_end(folder: Path, undisturbed: Path) -> dict:
    """Compare all files of two trainings, to the last bit; return the metadata of the network that was saved."""
    np.testing.assert_array_equal(np.load(folder / "end.npy"), np.load(undisturbed / "end.npy"))
    assert (folder / "tiny.csv").read_text() == (undisturbed / "tiny.csv").read_text()
    with np.load(folder / "tiny.training.npz") as state, np.load(undisturbed / "tiny.training.npz") as expected:
        assert state.files == expected.files
        assert all(np.array_equal(state[name], expected[name]) for name in expected.files)
    (network, metadata), (expected, expected_metadata) = saved(folder), saved(undisturbed)
    del metadata["sha256"], expected_metadata["sha256"]  # a .keras holds the time at which it was written
    assert metadata == expected_metadata
    for array, other in zip(network.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(array, other)
    return metadata


def test_a_training_killed_again_and_again_ends_exactly_as_one_that_was_not(tmp_path, undisturbed):
    epochs = []
    for point in DEATHS:
        child = process(tmp_path, point)
        assert child.wait() == -9, child.stderr.read()
        state = tmp_path / "tiny.training.npz"
        epochs.append(len(recorded(state)["history"]) if state.exists() else 0)
    assert epochs == [0, 0, 0, 2, 6, 7, 7, 11], "each death came where it was planned"
    child = process(tmp_path)
    assert child.wait() == 0, child.stderr.read()
    assert assert_same_end(tmp_path, undisturbed)["epoch"] == 8
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {"tiny.keras", "tiny.json", "tiny.csv", "tiny.training.npz", "end.npy"}, "nothing half written"


def recorded(state: Path) -> dict:
    with np.load(state, allow_pickle=False) as arrays:
        return json.loads(str(arrays["metadata"]))


def test_a_full_disk_stops_a_training_in_one_sentence_and_with_room_it_resumes(tmp_path, undisturbed):
    """On a real file system of one megabyte, in a name space of its own: it holds one epoch, and not a second."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"""
        mount -t tmpfs -o size=1m tmpfs {disk} || exit 99
        head -c 908K /dev/zero > {disk}/filler
        {sys.executable} {SCRIPT} {disk} > {tmp_path}/output 2>&1 && exit 98
        ls -A {disk} > {tmp_path}/files
        rm {disk}/filler
        {sys.executable} {SCRIPT} {disk} && cp {disk}/tiny* {disk}/end.npy {tmp_path}
    """
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *root, "--mount", "bash", "-c", script]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    output = (tmp_path / "output").read_text()
    reason = r"\S+/tiny\S+ could not be written: \[Errno 28\] No space left on device"
    assert re.search(rf"OSError: {disk}: epoch 2 could not be saved \({reason}\); once that is fixed", output), output
    left = set((tmp_path / "files").read_text().split())
    assert left == {"filler", "tensorboard", "tiny.csv", "tiny.json", "tiny.keras", "tiny.training.npz"}
    assert assert_same_end(tmp_path, undisturbed)["epoch"] == 8


def test_a_training_on_two_devices_that_was_killed_ends_exactly_as_one_that_was_not(tmp_path):
    """And its checkpoint is a network like any other: on one device it has the loss that was measured on two."""
    environment = os.environ | {"TWO_DEVICES": "yes"}
    for name, points in {"undisturbed": [()], "killed": [("after .npz 3",), ()]}.items():
        for point in points:
            command = [sys.executable, SCRIPT, tmp_path / name, *point]
            (tmp_path / name).mkdir(exist_ok=True)
            child = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert child.returncode == (-9 if point else 0), child.stderr
            assert point or "trained on 2" in child.stdout
    assert assert_same_end(tmp_path / "killed", tmp_path / "undisturbed")["epoch"] == 8
    network, _ = saved(tmp_path / "killed")
    images, targets = (array[:12] for array in faces(13, seed=5))  # two devices leave out the last
    loss = keras.losses.CategoricalCrossentropy()(targets, network.predict(images[..., None], verbose=0))
    measured = read_history(tmp_path / "killed")["measured"]
    assert float(loss) == pytest.approx(measured[8], abs=1e-5)


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory) -> Path:
    """Files of a training that was stopped after its third epoch, the first after the head's two."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(KeyboardInterrupt):
        train(folder, Interrupted)
    return folder


@pytest.fixture
def stopped(stopped_once, tmp_path) -> Path:
    return shutil.copytree(stopped_once, tmp_path / "stopped")


def progress_of(folder: Path, **changes: object) -> Progress:
    return Progress(folder / "tiny.keras", folder / "tiny.csv", PROVENANCE | SCHEDULE | changes)


def test_the_history_of_a_stopped_training_is_read(stopped):
    assert [row["epoch"] for row in progress_of(stopped).history] == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 40}, "was started with epochs 12, and now it is 40"),
        ({"data": {"name": "a.csv", "sha256": "ff"}}, "was started with data.sha256 '00', and now it is 'ff'"),
        ({"brightness": 0.2}, "was started with brightness None, and now it is 0.2"),
        ({"training_faces": ["f" * 16] * 999}, "was started with training_faces .*ffff.*\\.\\.\\."),
    ],
)
def test_a_state_that_was_started_with_other_settings_is_refused(stopped, changes, message):
    with pytest.raises(ValueError, match=message) as refused:
        progress_of(stopped, **changes)
    assert str(refused.value).startswith(str(stopped / "tiny.training.npz"))
    assert str(refused.value).endswith("make clean-training RUN=tiny starts over")
    assert (stopped / "tiny.csv").exists()


@pytest.mark.parametrize("module", ["backend.py", "checkpoints.py", "model.py", "training.py"])
def test_a_state_that_was_started_with_other_code_is_refused_by_the_name_of_the_module(stopped, module, monkeypatch):
    """Every module of the folder counts, those too that a training imports through others."""
    copies = [Path(shutil.copy(path, stopped)) for path in progress.SOURCES]
    monkeypatch.setattr(progress, "SOURCES", copies)
    assert len(progress_of(stopped).history) == 3
    edited = next(path for path in copies if path.name == module)
    edited.write_bytes(edited.read_bytes() + b"\n")
    with pytest.raises(ValueError, match=rf"was started with source\.{module} '.*', and now it is '.*'; change that"):
        progress_of(stopped)


def test_another_commit_or_a_file_that_was_moved_changes_nothing(stopped):
    moved = {"commit": "abc", "data": {"name": "elsewhere.csv", "sha256": "00"}}
    assert len(progress_of(stopped, **moved).history) == 3


@pytest.mark.parametrize("damage", ["cut off", "empty", "one byte"])
def test_a_damaged_state_is_refused_with_a_way_out(stopped, damage):
    state = stopped / "tiny.training.npz"
    whole = state.read_bytes()
    middle = whole.index(b"\x93NUMPY", len(whole) // 2) + 130  # in the numbers of an array
    one_byte = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    state.write_bytes({"cut off": whole[:9000], "empty": b"", "one byte": one_byte}[damage])
    with pytest.raises(ValueError, match=r"tiny\.training\.npz: .* cannot be read: .*make clean-training RUN=tiny"):
        train(stopped)


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"settings": 1, "history": []}', "NaN", "["])
@pytest.mark.parametrize("as_text", [True, False])
def test_a_state_that_holds_something_else_is_refused_with_a_way_out(stopped, content, as_text):
    state = stopped / "tiny.training.npz"
    state.write_text(content) if as_text else np.savez(state, metadata=np.array(content))
    with pytest.raises(ValueError, match=r"tiny\.training\.npz: .* cannot be read: .*make clean-training RUN=tiny"):
        progress_of(stopped)


def test_a_state_whose_history_has_no_losses_is_refused_with_a_way_out(stopped):
    content = {"settings": {}, "history": [{"epoch": 1}]}
    np.savez(stopped / "tiny.training.npz", metadata=np.array(json.dumps(content)))
    with pytest.raises(ValueError, match=r"cannot be read: .*make clean-training RUN=tiny"):
        progress_of(stopped)


@pytest.mark.parametrize(
    "changes", [{"learning_rate": 1e30}, {"head_learning_rate": 1e30}, AVERAGED | {"learning_rate": 1e9}]
)
def test_a_training_that_diverges_stops_in_one_sentence_and_saves_nothing_of_it(tmp_path, changes):
    with pytest.raises(
        ValueError,
        match=r"epoch \d: the loss is .*(nan|inf).*; lower learning_rate; make clean-training RUN=tiny",
    ):
        train(tmp_path, Progress, **changes)
    if (tmp_path / "tiny.csv").exists():
        assert np.isfinite(read_history(tmp_path)).all(axis=None)
        assert np.isfinite(weights(saved(tmp_path)[0])).all()


def test_a_state_of_another_network_is_refused(stopped):
    other = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(6)])
    with pytest.raises(ValueError, match="does not come back as it was"):
        progress_of(stopped).restore("network", other.variables)


def test_a_state_is_no_pickle(stopped):
    np.savez(stopped / "tiny.training.npz", metadata=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"cannot be read: .*allow_pickle=False"):
        progress_of(stopped)


@pytest.mark.parametrize("gone", ["tiny.training.npz", "tiny.keras"])
def test_without_state_or_checkpoint_a_training_starts_anew(stopped, gone):
    (stopped / gone).unlink()
    assert progress_of(stopped).history == []
    assert not (stopped / "tiny.csv").exists()


def test_after_its_end_a_training_starts_anew(stopped):
    progress_of(stopped).finish()
    assert progress_of(stopped).history == []
    assert (stopped / "tiny.keras").exists()


def test_files_that_another_run_is_writing_are_not_removed(stopped):
    for name in (".1~tiny.keras", ".1~my-tiny.keras"):
        (stopped / name).touch()
    progress_of(stopped)
    assert [path.name for path in stopped.glob(".*")] == [".1~my-tiny.keras"]


def test_a_cell_that_was_interrupted_and_is_run_again_resumes(tmp_path):
    """With the network and the `Progress` that a notebook's kernel still has."""
    model, progress = tiny_network(), Interrupted(tmp_path / "tiny.keras", tmp_path / "tiny.csv", PROVENANCE)
    with pytest.raises(KeyboardInterrupt):
        training.fit(model, *FACES, progress, **SCHEDULE)
    training.fit(model, *FACES, progress, **SCHEDULE)
    assert [row["val_loss"] for row in progress.history] == list(VAL_LOSSES)
    assert pd.read_csv(tmp_path / "tiny.csv")["epoch"].tolist() == [row["epoch"] for row in progress.history]


def test_a_training_with_ema_that_was_stopped_ends_exactly_as_one_that_was_not(tmp_path):
    """In the state, weights and averages are swapped."""
    settings = AVERAGED | {"head_epochs": 0, "patience": 6}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", Interrupted, **settings)
    ends = [train(tmp_path / name, **settings) for name in ("stopped", "undisturbed")]
    for stopped, undisturbed in zip(*(model.get_weights() for model in ends), strict=True):
        np.testing.assert_array_equal(stopped, undisturbed)
    logs = [read_history(tmp_path / name) for name in ("stopped", "undisturbed")]
    assert [len(log) for log in logs] == [6, 6]
    pd.testing.assert_frame_equal(*logs, check_exact=True)


def test_epochs_are_counted_since_the_first_lowest_loss():
    def since(*losses: float) -> int:
        return epochs_since_best([{"val_loss": loss} for loss in losses])

    assert since() == 0
    assert since(2.0) == since(2.0, 1.0) == 0
    assert since(1.0, 2.0) == since(1.0, 1.0) == 1
    assert since(1.0, 0.5, 2.0, 3.0) == 2


def test_the_groups_loss_and_accuracy_have_the_same_names_with_auxiliary_outputs():
    plain = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.5, "val_accuracy": 0.4}
    assert group_metrics(plain) == plain
    several = {"loss": 3.0, "probabilities_loss": 1.0, "ages_loss": 2.0, "probabilities_accuracy": 0.5}
    several |= {"val_loss": 3.5, "val_probabilities_loss": 1.5, "val_ages_loss": 2.0, "val_probabilities_accuracy": 0.4}
    assert group_metrics(several) == plain | {"ages_loss": 2.0, "val_ages_loss": 2.0}
