"""What every module uses: paths, files written at once or not at all, the version of the code. And rules for all
modules: which folder may import which, what an import costs, how long they are.
"""

import ast
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from run_folders import METRICS, RUN

import ageclf


def test_the_commit_is_dirty_when_files_differ_from_it_and_none_outside_git(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert ageclf.code()["commit"] is None
    for command in ("init", "add .", "-c user.name=a -c user.email=a@b commit --message c"):
        (tmp_path / "file").write_text("one")
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    assert re.fullmatch(r"[0-9a-f]{7,}", ageclf.code()["commit"])
    (tmp_path / "file").write_text("two")
    assert ageclf.code()["commit"].endswith("-dirty")


def test_paths_are_relative_to_the_root(tmp_path, monkeypatch):
    monkeypatch.setattr(ageclf, "ROOT", tmp_path)
    assert ageclf.resolve("data/faces.csv") == tmp_path / "data" / "faces.csv"
    assert ageclf.resolve("/elsewhere/faces.csv").as_posix() == "/elsewhere/faces.csv"


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, synced, sync = tmp_path / "some.json", [], os.fsync

    def recorded(descriptor):
        synced.append((os.fstat(descriptor).st_ino, path.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    ageclf.atomic_write(path, lambda partial: partial.write_text("new"))
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "some.keras"
    path.write_bytes(b"old")

    def fail(partial):
        partial.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"some\.keras could not be written: .*No space left on device"):
        ageclf.atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b'{"schema": 2', b'{"run": "a"}', b'{"schema": 2}', b"[1]", b"\xff\xfe{"])
def test_a_damaged_or_foreign_json_is_named_with_what_to_do(tmp_path, content):
    path = tmp_path / "run.json"
    assert ageclf.read_json(path) is None
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"^\S+/run\.json: damaged, or written by an earlier version .*; remove it, and"
    ):
        ageclf.read_json(path)
    path.write_text(json.dumps(RUN))
    assert ageclf.read_json(path) == RUN


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"../../../precious": {}}},
        {"parameters": {"/etc/passwd": {}}},
        {"configurations": {"..": {}}},
        {"configurations": {"a\x1b[2J": {}}},
        {"parameters": None},
        {"configurations": [1]},
        {"data": {}},
        {"started": "yesterday"},
        {"started": "2026-02-30T10:00:00+00:00"},
        {"attempts": []},
    ],
)
def test_a_run_json_with_names_that_lead_elsewhere_or_without_what_is_read_of_it_is_refused(tmp_path, changes):
    (tmp_path / "run.json").write_text(json.dumps(RUN | changes))
    with pytest.raises(ValueError, match=r"/run\.json: damaged, or written by an earlier version"):
        ageclf.read_json(tmp_path / "run.json")


@pytest.mark.parametrize(
    "changes", [{"measures": {}}, {"measures": {"accuracy": None}}, {"n": "many"}, {"edges": 6}, {"part": None}]
)
def test_measures_without_what_is_shown_of_them_are_refused(tmp_path, changes):
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    assert ageclf.read_json(tmp_path / "metrics.json") == METRICS
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS | changes))
    with pytest.raises(ValueError, match=r"/metrics\.json: damaged, or written by an earlier version"):
        ageclf.read_json(tmp_path / "metrics.json")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 1", "größe 1"),
        (Path("ä b.png"), "ä b.png"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\rb\x07\n", r"a\rb\x07\n"),
        ("Gr\udcfcn", r"Gr\udcfcn"),
        ("\u202eabc", r"\u202eabc"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text, shown):
    assert ageclf.printable(text) == shown
    shown.encode()


@pytest.fixture
def parametrised(tmp_path):
    """A function that lets papermill execute a notebook of two parameters with others: exit status, standard error."""
    cells = [
        v4.new_code_cell("epochs: int = 8  # passes\ngroups: list = [6]  # edges", metadata={"tags": ["parameters"]}),
        v4.new_code_cell("import ageclf\n\nageclf.refuse_unknown_parameters()\nepoch = 3"),
    ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "in.ipynb")

    def run(*options):
        command = [sys.executable, "-m", "papermill", tmp_path / "in.ipynb", tmp_path / "out.ipynb", *options]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"IPYTHONDIR": str(tmp_path)})
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-p", "epochs", "1", "-y", "groups: [4, 19]"), None),
        (
            ("-p", "epochs", "1", "-p", "epoch", "1"),
            "'epoch' is no parameter of this notebook; those are epochs, groups\n",
        ),
        (("-y", "{epochs: 2, groupes: [4]}"), "'groupes' is no parameter of this notebook; those are epochs, groups\n"),
    ],
)
def test_a_parameter_that_papermill_only_warns_about_stops_a_notebook(parametrised, options, message):
    status, printed = parametrised(*options)
    assert status == (1 if message else 0), printed
    assert re.search(f"ValueError: {message}", printed) if message else "ValueError" not in printed


def test_a_json_of_an_earlier_version_is_refused_in_one_line(tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"schema": 1, "run": "a", "points": {}}')
    with pytest.raises(ValueError, match=r"^\S+/run\.json: .* earlier version .*schema: 2 was expected") as error:
        ageclf.read_json(path)
    assert "\n" not in str(error.value)


def test_files_are_named_by_paths_or_by_texts(tmp_path):
    path = str(tmp_path / "folder" / "some.json")
    ageclf.write_json(path, {"a": 1})
    assert json.loads(Path(path).read_text()) == {"schema": 2, "a": 1}
    ageclf.write_text(path, "a")
    assert ageclf.sha256(path) == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    ageclf.atomic_write(path, lambda partial: partial.write_text("b"))
    (tmp_path / "folder" / ".1~some.json").touch()
    ageclf.remove_partial(path)
    assert list((tmp_path / "folder").iterdir()) == [tmp_path / "folder" / "some.json"]


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("ageclf", {"cv2", "keras", "nbconvert", "pandas"}),
        ("ageclf.faces.photos", {"keras", "mtcnn", "tensorflow"}),
        ("ageclf.metrics.evaluation, ageclf.display.plots, ageclf.workflow.execute", {"keras", "tensorflow"}),
    ],
)
def test_imports_stay_cheap(modules, absent):
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())


# Of each folder, those that its modules may import beside their own. All may import `ageclf` and `run_folder`.
MAY_IMPORT = {
    "faces": set(),
    "network": {"faces"},
    "metrics": {"faces"},
    "display": {"faces", "network", "metrics"},
    "workflow": {"faces"},
    "own_photos": {"faces", "network", "metrics", "display"},  # a module of its own, beside the folders
    "": set(),  # `ageclf/__init__.py` and `run_folder.py`
}
PACKAGE = ageclf.CHECKOUT / "ageclf"
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__main__.py"]
NETWORKS = {"keras", "tensorflow", "tf_keras", "jax", "torch"}


def imported(source: str) -> set[str]:
    """Return the dotted name of everything that a source imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package: a relative one hides its folder"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def folders(names: set[str]) -> set[str]:
    """Return the folders of the package among imported names."""
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "ageclf" and len(part) > 1 and (PACKAGE / part[1]).is_dir()}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_the_folders_that_its_own_may_and_keras_in_network_alone(path):
    names = imported(path.read_text(encoding="utf-8"))
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    own = own if own in MAY_IMPORT else ""
    assert folders(names) <= {own} | MAY_IMPORT[own]
    assert "ageclf.__main__" not in names
    if own != "network":
        assert not {name.split(".")[0] for name in names} & NETWORKS


def test_every_folder_of_the_package_has_its_rule_and_one_paragraph_that_says_what_lives_there():
    places = {path.parent.name for path in MODULES if path.parent != PACKAGE}
    assert places == MAY_IMPORT.keys() - {"", "own_photos"}
    for place in places:
        source = (PACKAGE / place / "__init__.py").read_text(encoding="utf-8")
        assert len(ast.parse(source).body) == 1
        assert ast.get_docstring(ast.parse(source))
        assert "\n\n" not in ast.get_docstring(ast.parse(source)), place


@pytest.mark.parametrize("path", sorted((ageclf.CHECKOUT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_notebook_needs_the_workflow(path):
    cells = nbformat.read(path, as_version=4).cells
    names = imported("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    assert "ageclf" in {name.split(".")[0] for name in names}
    assert "workflow" not in folders(names)


@pytest.mark.parametrize("path", sorted((ageclf.CHECKOUT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_notebook_refuses_unknown_parameters_before_it_does_anything(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    first = next(cell for cell in cells if "parameters" not in cell.metadata.get("tags", []))
    *imports, check = ast.parse(first.source).body
    assert ast.unparse(check) == "ageclf.refuse_unknown_parameters()"
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in imports)


def test_the_package_stays_small():
    """Docstrings, comments and blank lines aside; the number falls, or an issue says why not."""
    lengths = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert [path.name for path, source in lengths.items() if len(source.splitlines()) > 300] == []
    assert 0 < sum(len(code_lines(source)) for source in lengths.values()) <= 2837


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that hold code."""
    tree = ast.parse(source)
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)]
    docstrings = [node.body[0] for node in documented if ast.get_docstring(node)]
    inside = {line for node in docstrings for line in range(node.lineno, node.end_lineno + 1)}
    lines = enumerate(source.splitlines(), start=1)
    return {number for number, line in lines if line.strip() and not line.strip().startswith("#")} - inside
