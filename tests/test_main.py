"""The command line: what a person sees, and what it leaves alone."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from PIL import Image
from run_folders import write_run
from skimage.data import astronaut
from tiny_checkout import environment, on_terminal
from tiny_checkout import write_run as write_run_file

import ageclf
from ageclf import __main__
from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.network.checkpoints import save_checkpoint
from ageclf.network.model import build_network
from ageclf.workflow import execute, pages

METADATA = {"groups": group_names(), "edges": list(REFERENCE_EDGES), "backbone": "small", "image_size": 48}


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return a function that runs `python -m ageclf` with tmp_path as the root: exit status and standard error."""
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    monkeypatch.delenv("AGECLF_DATA", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ageclf", *arguments])
        return __main__.main(), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "--run", "smaple"], "error: there is no run file runs/smaple.yaml; RUN=name takes one of "),
        (["report", "--run", "utkface"], "error: run 'utkface' needs a data set"),
        (["report", "--data", "nowhere.csv"], "nowhere.csv"),
        (["sweep", "--run", "sample-sweep", "--profile", "nowhere"], "error: nowhere: no such folder; PROFILE is"),
        (["clean-training", "--run", ""], "error: no training of run '' in "),
        (["report", "--run", "../runs/sample"], "error: there is no run file runs/../runs/sample.yaml; RUN"),
        (["sweep-plan"], "error: no sweep is named; RUN=name takes one of augmentation, brightness, "),
        (["sweep", "--run", ""], "error: no sweep is named; RUN=name takes one of "),
        (
            ["export", "--run", "a", "--format", "tf"],
            "error: no format 'tf'; make export FORMAT=name takes savedmodel, onnx,",
        ),
        (["export", "--run", ""], "error: no checkpoint of a run ''; make export RUN=name takes nothing yet: run 04_"),
    ],
)
def test_a_mistake_gives_one_line_and_no_traceback(command, arguments, message):
    status, printed = command(*arguments)
    assert status == 2
    assert message in printed
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


@pytest.fixture
def folder(tmp_path):
    """A run's folder with its description."""
    folder = tmp_path / "reports" / "sample"
    data = {"name": "sample", "sha256": "0", "synthetic": True, "rows": 1}
    execute.describe(folder, {"run": "sample", "parameters": {"04_training": {}}}, data)
    return folder


def test_python_without_the_packages_says_where_they_are(tmp_path):
    """As when `python -m ageclf` is typed before `source .venv/bin/activate`: without site-packages."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "ageclf", "report"], cwd=ageclf.CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {sys.executable} has no ")
    assert done.stderr.endswith("; use make, or `source .venv/bin/activate` after it\n")


STOPPED = "stopped; what is done is kept, and the same command resumes from there\n"


@pytest.mark.parametrize(("module", "printed"), [("yaml", ""), ("papermill", STOPPED)])
def test_ctrl_c_while_modules_are_imported_gives_no_traceback(tmp_path, module, printed):
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt")
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {**os.environ, "PYTHONPATH": path, "AGECLF_ROOT": str(tmp_path)}
    command = [sys.executable, "-m", "ageclf", "report", "--run", "sample"]
    done = subprocess.run(command, cwd=ageclf.CHECKOUT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, printed)


def test_a_reader_that_has_gone_is_no_error(tmp_path):
    """As in `… | head`: the other end of the pipe is closed before anything is written."""
    environment = {**os.environ, "AGECLF_ROOT": str(tmp_path)}
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "ageclf", "sweep-plan", "--run", "sample-sweep"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_a_relative_path_of_data_starts_at_the_working_directory(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path / 'nowhere.csv'}" in command("report", "--data", "nowhere.csv")[1]


def test_clean_reports_removes_only_what_runs_wrote(command, folder):
    pages.write_index(folder.parent)
    for name in ("sample/04_training.ipynb", "sample/notes.txt", "lab/metrics.json", "paper.pdf", ".sample.lock"):
        (folder.parent / name).parent.mkdir(exist_ok=True)
        (folder.parent / name).touch()
    assert command("clean-reports") == (0, "")
    left = {str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*") if path.is_file()}
    assert left == {"sample/notes.txt", "lab/metrics.json", "paper.pdf"}


def test_clean_reports_leaves_a_run_alone_that_is_going_on(command, folder):
    with execute.locked(folder):
        status, printed = command("clean-reports")
    assert status == 2
    assert "is being made already" in printed
    assert (folder / "run.json").exists()


def test_clean_reports_believes_no_file_about_what_goes(command, folder, tmp_path):
    precious = tmp_path / "precious.html"
    precious.touch()
    foreign, old, damaged = (folder.parent / name for name in ("foreign", "old", "damaged"))
    write_run(foreign, parameters={"../../precious": {}, "../../reports/mine": {}, "mine": {}})
    write_run(old, schema=1)
    write_run(damaged)
    (damaged / "run.json").write_text("{")
    (foreign / "mine.html").touch()
    assert command("clean-reports") == (0, "")
    assert precious.exists()
    left = {str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*") if path.is_file()}
    assert left == {"foreign/mine.html"}


@pytest.mark.parametrize("target", ["file", "missing", "folder"])
def test_a_lock_that_is_a_link_is_neither_followed_nor_emptied(tmp_path, target):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / ".tiny.lock").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match=r"\.tiny\.lock"), execute.locked(tmp_path / "tiny"):
        pass
    assert (tmp_path / "file").read_text() == "precious"
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("name", ["\x1b[2Jred", "a\rb", "Gr\udcfc\udcdfe"])
def test_no_name_that_is_printed_moves_the_cursor(command, name):
    for arguments in (
        ["report", "--run", name],
        ["report", "--data", f"/nowhere/{name}"],
        ["sweep-plan", "--run", name],
    ):
        status, printed = command(*arguments)
        assert status == 2
        assert printed.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    "text", ["x'; touch INJ; echo '", "/x/a$HOME b/f.csv", "$(touch INJ)", "`touch INJ`", 'a\\b"c', "-x"]
)
def test_make_hands_names_and_paths_on_as_typed(tmp_path, text):
    shutil.copy(ageclf.CHECKOUT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml", "profiles/ipython/ipython_kernel_config.json", "installed"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shown = tmp_path / "shown"
    shown.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[3:]))\n")
    shown.chmod(0o700)

    def make(*words, **environment):
        line = ["make", "PYTHON=./shown", "INSTALLED=installed", *words]
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(line, cwd=tmp_path, env=outside | environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    given = [f"RUN={text}", f"DATA={text}", f"PROFILE={text}", f"FORMAT={text}"]
    words = [f"--run={text}", f"--data={text}", f"--profile={text}"]
    assert make("sweep", *given) == ["sweep", *words]
    assert make("sweep", *given, "KEEP=$(shell touch INJ)") == ["sweep", *words, "--keep-networks"]
    assert make("report", RUN=text, DATA=text) == ["report", *words[:2]]
    assert make("report", RUN="", DATA="") == ["report"]
    assert make("export", *given) == ["export", words[0], f"--format={text}"]
    assert not (tmp_path / "INJ").exists()


def test_clean_training_removes_what_a_run_trained_and_nothing_else(command, tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    mine = ["a.b.keras", "a.b.json", "a.b.training.npz", ".1~a.b.keras"]
    others = ["a.keras", "a.b.c.keras", "ckpt-700.keras", "README.md", ".1~c.a.b.keras", ".1~c-a.b.keras"]
    for name in mine + others:
        (folder / name).touch()
    assert command("clean-training", "--run", "a.b") == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == sorted(others)
    status, printed = command("clean-training", "--run", "a.b")
    assert status == 2
    assert printed.startswith("error: no training of run 'a.b' in ")


def test_clean_training_takes_a_sweep_or_one_of_its_configurations_and_never_all_runs(command, tmp_path):
    folder = tmp_path / "checkpoint" / "sweep"
    folder.mkdir(parents=True)
    written = [folder / f"seed-{seed}{suffix}" for seed in (1, 2) for suffix in (".keras", ".json", ".training.npz")]
    for path in (*written, folder.parent / "other.keras"):
        path.touch()
    assert command("clean-training", "--run", "sweep/seed-1") == (0, "")
    assert sorted(folder.iterdir()) == sorted(written[3:])
    assert command("clean-training", "--run", "sweep") == (0, "")
    assert [path.name for path in folder.parent.iterdir()] == ["other.keras"]
    for name in ("", ".", "sweep/..", "../checkpoint"):
        assert command("clean-training", "--run", name)[0] == 2
    assert (folder.parent / "other.keras").exists()


def test_clean_training_leaves_a_run_alone_that_is_going_on(command, tmp_path):
    for folder in ("reports", "checkpoint"):
        (tmp_path / folder).mkdir()
    (tmp_path / "checkpoint" / "a.training.npz").touch()
    with execute.locked(tmp_path / "reports" / "a"):
        status, printed = command("clean-training", "--run", "a")
    assert (status, (tmp_path / "checkpoint" / "a.training.npz").exists()) == (2, True)
    assert "is being made already" in printed


def test_export_of_an_unknown_run_names_the_known_ones(command, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    for name in ("b.keras", "ckpt-1.h5", "b.json", ".1~c.keras"):
        (tmp_path / "checkpoint" / name).touch()
    expected = "error: no checkpoint of a run 'c'; make export RUN=name takes b, ckpt-1\n"
    assert command("export", "--run", "c") == (2, expected)
    status, printed = command("export", "--run", "b")
    assert (status, printed.count("\n")) == (2, 1)
    assert "b.keras: not a checkpoint: it is empty" in printed


def test_export_writes_a_saved_model_beside_the_checkpoint(command, tmp_path):
    save_checkpoint(build_network(), tmp_path / "checkpoint" / "a.b.keras", METADATA)
    assert command("export", "--run", "a.b") == (0, "")
    folder = tmp_path / "checkpoint" / "a.b-savedmodel"
    assert {"saved_model.pb", "provenance.json"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("backend", "formats", "printed"),
    [
        ("tensorflow", "openvino onnx", ""),
        ("jax", "onnx", "error: TensorFlow writes FORMAT=onnx: leave KERAS_BACKEND unset\n"),
    ],
)
def test_export_says_only_what_concerns_a_person_and_reports_to_nobody(tmp_path, backend, formats, printed):
    """Libraries warn of each other, and OpenVINO leaves an identifier at home where it reports that it is used."""
    (tmp_path / "home").mkdir()
    save_checkpoint(build_network(image_size=16), tmp_path / "checkpoint" / "a.keras", METADATA | {"image_size": 16})
    code = "import sys\nfrom ageclf.__main__ import main\nfor form in sys.argv.pop().split():\n    "
    code += "sys.argv[5:] = [form]\n    status = main()\nsys.exit(status)"
    outside = {"AGECLF_ROOT": str(tmp_path), "HOME": str(tmp_path / "home"), "KERAS_BACKEND": backend}
    line = [sys.executable, "-c", code, "export", "--run", "a", "--format", formats]
    done = subprocess.run(line, cwd=ageclf.CHECKOUT, env=os.environ | outside, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2 if printed else 0, printed)
    written = {path.suffix for path in (tmp_path / "checkpoint").iterdir()} - {".keras", ".json"}
    assert written == (set() if printed else {".xml", ".bin", ".onnx"})
    assert {path.name for path in (tmp_path / "home").iterdir()} <= {".cache", ".config", ".keras"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained network that claims to be trained on synthetic faces."""
    path = tmp_path_factory.mktemp("checkpoint") / "sample.keras"
    data = {"name": "sample", "synthetic": True}
    save_checkpoint(build_network(), path, METADATA | {"data": data, "threshold": 0.0})
    return path


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(astronaut()).save(tmp_path / "astronaut.png")
    return tmp_path / "astronaut.png"


def test_photos_are_predicted_as_a_table_and_unreadable_ones_named(command, capsys, checkpoint, photo):
    status, printed = command("predict", str(photo), "--checkpoint", str(checkpoint))
    assert status == 0
    network, warning = printed.splitlines()
    assert network == "network sample.keras, run None, trained on sample"
    assert warning.startswith("warning: it was trained on synthetic faces, and these are not")
    photo.with_name("text.jpg").write_text("no picture")
    status, printed = command("predict", str(photo.parent), "--checkpoint", str(checkpoint))
    assert status == 1
    assert f"{photo.with_name('text.jpg')}: not a picture that can be read" in printed


def test_photos_are_predicted_as_json_on_standard_output_alone(checkpoint, photo):
    line = [sys.executable, "-m", "ageclf", "predict", photo.name, "absent.jpg", "--json", "--checkpoint", checkpoint]
    environment = {**os.environ, "PYTHONPATH": str(ageclf.CHECKOUT)}
    done = subprocess.run(line, cwd=photo.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert content["synthetic"]
    assert [(face["photo"], face["above_threshold"]) for face in content["faces"]] == [("astronaut.png", True)]
    assert [(len(face["points"]), face["turn"], face["doubts"]) for face in content["faces"]] == [(5, 0, "")]
    assert content["problems"] == [{"photo": "absent.jpg", "reason": "there is no such file; look at its name"}]
    network, warning, problem = done.stderr.splitlines()
    assert network == f"network {checkpoint.name}, run None, trained on sample"
    assert warning.startswith("warning: it was trained on synthetic faces, and these are not")
    assert problem == "absent.jpg: there is no such file; look at its name"


def test_photos_are_saved_with_what_was_found_in_them(command, checkpoint, photo, tmp_path):
    """Two photos of one name are two pictures, and one whose name is as long as names can be is saved, too."""
    (tmp_path / "more").mkdir()
    for name in ("more/astronaut.png", "more/" + "ä" * 125 + ".png"):
        shutil.copy(photo, tmp_path / name)
    (tmp_path / "more" / "text.jpg").write_text("no picture")
    folders = [str(photo), str(tmp_path / "more")]
    status, _ = command("predict", *folders, "--checkpoint", str(checkpoint), "--save", str(tmp_path / "new" / "saved"))
    assert status == 1
    saved = sorted((tmp_path / "new" / "saved").iterdir())
    assert [path.name for path in saved] == ["1-astronaut.png", "2-astronaut.png", f"3-{'ä' * 60}.png"]
    assert all(min(Image.open(path).size) > 300 for path in saved)


def test_programs_ask_for_the_answers_in_one_call(checkpoint, photo):
    code = (
        f"from ageclf import predict\nfaces, problems, network = predict('{photo.name}', checkpoint='{checkpoint}')\n"
        "print(*faces.iloc[0][['photo', 'face', 'doubts']], len(problems), network['path'].name, sep=',')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ageclf.CHECKOUT)}
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=photo.parent, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("astronaut.png,1,,0,sample.keras\n", "")
    with pytest.raises(AttributeError, match="module 'ageclf' has no attribute 'predictions'"):
        _ = ageclf.predictions


def test_photos_are_counted_on_a_terminal(checkpoint, photo):
    shutil.copy(photo, photo.with_name("again.png"))
    command = [sys.executable, "-m", "ageclf", "predict", photo.parent, "--checkpoint", checkpoint]
    status, shown = on_terminal(command, "stderr", cwd=ageclf.CHECKOUT, stdout=subprocess.DEVNULL)
    assert status == 0
    assert re.search(r"photos: 100%.* 2/2 ", shown)


@pytest.mark.parametrize("form", [["--json"], []])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_file_name_and_no_odd_photo_costs_the_other_answers(checkpoint, photo, form, encoding):
    for name in (b"Gr\xfc\xdfe.png", b"\x1b[2Jred.png", "Müller.png".encode()):
        photo.with_name(os.fsdecode(name)).write_bytes(photo.read_bytes())
    Image.new("L", (2400, 1)).save(photo.with_name("line.png"))
    photo.with_name("\x1b[2J.jpg").touch()
    line = [sys.executable, "-m", "ageclf", "predict", photo.parent, *form, "--checkpoint", checkpoint]
    environment = {**os.environ, "PYTHONPATH": str(ageclf.CHECKOUT), "PYTHONIOENCODING": encoding}
    done = subprocess.run(line, env=environment, capture_output=True)
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout + done.stderr
    written = done.stdout.decode(encoding)
    if form:
        content = json.loads(written)
        assert len(content["faces"]) == 4
        assert len(content["problems"]) == 2
        written = "".join(face["photo"] for face in content["faces"])
        assert "Müller.png" in written
    for name in ("astronaut.png", r"\x1b[2Jred.png", r"Gr\udcfc\udcdfe.png"):
        assert name in written
    assert b"line.png: no face found" in done.stderr


def test_the_shipped_network_predicts_a_photo_where_nothing_was_trained(photo, tmp_path):
    line = [sys.executable, "-m", "ageclf", "predict", photo.name, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ageclf.CHECKOUT), "AGECLF_ROOT": str(tmp_path)}
    done = subprocess.run(line, cwd=photo.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert re.fullmatch(r"network ckpt-\d+\.keras, run \S+, trained on age_gender\.csv\.gz\n", done.stderr)
    content = json.loads(done.stdout)
    assert content["checkpoint"].startswith("ckpt-")
    assert not content["synthetic"]
    assert content["faces"][0]["group"] in group_names()


def test_photos_without_tensorflow_end_in_one_line(photo):
    line = [sys.executable, "-m", "ageclf", "predict", photo]
    environment = {**os.environ, "PYTHONPATH": str(ageclf.CHECKOUT), "KERAS_BACKEND": "jax"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: TensorFlow finds the faces in photos: leave KERAS_BACKEND unset; or ")
    assert done.stderr.count("\n") == 1


def test_without_a_checkpoint_nothing_is_predicted(command, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "CHECKOUT", tmp_path)
    status, printed = command("predict", str(photo))
    assert status == 2
    assert printed.startswith("error: ")
    assert "no checkpoint of run 'best' yet, and none is shipped: run 04_training first" in printed


SLOW = {
    "cv2",
    "jsonschema",
    "keras",
    "nbconvert",
    "nbformat",
    "pandas",
    "papermill",
    "scipy",
    "snakemake",
    "tensorflow",
}


@pytest.mark.parametrize("name", ["bset", "refused"])
@pytest.mark.parametrize("command", ["report", "sweep", "sweep-plan"])
def test_a_run_is_refused_before_anything_that_takes_long_is_imported(checkout, command, name):
    write_run_file(checkout, "refused", {"04_training": {"epoch": 1}})
    code = (
        f"import sys; sys.argv += ['{command}', '--run', '{name}']; from ageclf.__main__ import main; status = main()"
    )
    code += "; print(*sorted(sys.modules)); sys.exit(status)"
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search(r"^error: .*(runs/bset\.yaml; RUN=name|'epoch' is not known here)", done.stderr)
    assert "ageclf.workflow.run_files" in done.stdout.split()
    assert not SLOW & set(done.stdout.split())


def test_the_command_line_starts_without_importing_keras():
    code = "import sys, ageclf.__main__; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow"} & set(done.stdout.split())
