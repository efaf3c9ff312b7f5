"""What every module leans on: paths, files written aside, and the version of the code."""

import re
import subprocess

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


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "some.keras"
    path.write_bytes(b"old")

    def fail(aside):
        aside.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        ageclf.write_aside(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
