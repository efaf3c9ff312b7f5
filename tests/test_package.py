"""What every module leans on: cheap imports, paths, files written aside, the version of the code; and its size."""

import ast
import errno
import os
import re
import subprocess
import sys

import pytest

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
    ageclf.write_aside(path, lambda aside: aside.write_text("new"))
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "some.keras"
    path.write_bytes(b"old")

    def fail(aside):
        aside.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"some\.keras could not be written: .*No space left on device"):
        ageclf.write_aside(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b'{"schema": 1', b'{"run": "a"}', b'{"schema": 1}', b"[1]", b"\xff\xfe{"])
def test_a_damaged_or_foreign_json_is_named_with_what_to_do(tmp_path, content):
    path = tmp_path / "run.json"
    assert ageclf.read_json(path) is None
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^\S+/run\.json: damaged, or of another version .*; remove it, and"):
        ageclf.read_json(path)
    whole = {"schema": 1} | dict.fromkeys(ageclf.RUN_KEYS)
    ageclf.write_json(path, whole)
    assert ageclf.read_json(path) == whole


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("ageclf", {"keras", "nbconvert", "pandas"}),
        ("ageclf.evaluation, ageclf.plots, ageclf.runs, ageclf.splitting", {"keras", "tensorflow"}),
    ],
)
def test_imports_stay_cheap(modules, absent):
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())


def test_the_package_stays_thin():
    """No module passes 200 lines; docstrings, comments and blank lines aside, the package stays under 3,200."""
    total = 0
    for path in (ageclf.CHECKOUT / "ageclf").glob("*.py"):
        source = path.read_text()
        assert len(source.splitlines()) <= 200, path.name
        total += len(code_lines(source))
    assert 0 < total < 3200


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that hold code."""
    tree = ast.parse(source)
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)]
    docstrings = [node.body[0] for node in documented if ast.get_docstring(node)]
    inside = {line for node in docstrings for line in range(node.lineno, node.end_lineno + 1)}
    lines = enumerate(source.splitlines(), start=1)
    return {number for number, line in lines if line.strip() and not line.strip().startswith("#")} - inside
