"""What lies around the package: lock file, conda environment, citation, and the hooks before a commit."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import v4
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

CHECKOUT = Path(__file__).parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def locked() -> list[Requirement]:
    return [Requirement(line) for line in (CHECKOUT / "requirements.lock").read_text().splitlines()]


def test_lock_file_holds_names_and_versions_only():
    for line in (CHECKOUT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .+)?", line), line


def test_lock_file_pins_every_dependency_within_its_range():
    pinned = {}
    for requirement in locked():
        pinned.setdefault(requirement.name, []).append(next(iter(requirement.specifier)).version)
    for line in sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"]):
        wanted = Requirement(line)
        assert all(version in wanted.specifier for version in pinned[wanted.name]), line


def test_conda_environment_installs_the_lock_file_and_the_package():
    environment = yaml.safe_load((CHECKOUT / "environment.yml").read_text())
    python, _, pip = environment["dependencies"]
    assert pip["pip"] == ["-r requirements.lock", "-e ."]
    assert python.removeprefix("python=") in SpecifierSet(PROJECT["requires-python"])


@pytest.fixture
def dockerfile():
    """The steps of the Dockerfile: for each instruction, what it was given, in order."""
    steps = {}
    text = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    for instruction, given in re.findall(r"^([A-Z]+) (.+)$", text, re.MULTILINE):
        steps.setdefault(instruction, []).append(given)
    return steps


def test_the_container_has_the_python_of_conda_the_lock_file_and_a_user_who_is_not_root(dockerfile):
    environment = yaml.safe_load((CHECKOUT / "environment.yml").read_text())
    assert dockerfile["FROM"] == [f"python:{environment['dependencies'][0].removeprefix('python=')}-slim"]
    assert [copied.split()[1:] for copied in dockerfile["COPY"]] == [["requirements.lock", "."], [".", "."]]
    assert "--requirement requirements.lock" in dockerfile["RUN"][-2]
    assert dockerfile["USER"][-1] not in ("root", "0")
    assert dockerfile["CMD"] == ['["make", "lab"]']


def test_an_editor_opens_the_same_container_on_the_checkout_in_its_place(dockerfile):
    opened = json.loads((CHECKOUT / ".devcontainer" / "devcontainer.json").read_text())
    assert (CHECKOUT / ".devcontainer" / opened["build"]["dockerfile"]).resolve() == CHECKOUT / "Dockerfile"
    assert (CHECKOUT / ".devcontainer" / opened["build"]["context"]).resolve() == CHECKOUT
    assert ([opened["workspaceFolder"]], [opened["remoteUser"]]) == (dockerfile["WORKDIR"], dockerfile["USER"])
    assert f"target={opened['workspaceFolder']}," in opened["workspaceMount"]
    assert [str(port) for port in opened["forwardPorts"]] == dockerfile["EXPOSE"]
    assert opened["postAttachCommand"].split() == json.loads(dockerfile["CMD"][0])


def test_a_container_gets_nothing_that_git_ignores():
    """No face, no network of somebody's, no environment. What git tracks goes along, or its commit would be dirty."""

    def rules(name):
        lines = (CHECKOUT / name).read_text(encoding="utf-8").splitlines()
        return [line.rstrip("/") for line in lines if line and not line.startswith("#")]

    assert rules(".dockerignore") == [line if "/" in line else f"**/{line}" for line in rules(".gitignore")]


def test_kernels_that_papermill_starts_do_not_warn_that_nothing_is_encrypted(tmp_path):
    """In an environment that holds the file which `make` copies there, as IPython looks for it."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = v4.new_notebook(cells=[v4.new_code_cell("1")], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "in.ipynb")
    command = [environment / "bin" / "python", "-m", "papermill", tmp_path / "in.ipynb", tmp_path / "out.ipynb"]
    said = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "IPYTHONDIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        said.append("without encryption" in done.stderr)
        shutil.copytree(CHECKOUT / "profiles" / "ipython", environment / "etc" / "ipython", dirs_exist_ok=True)
    assert said == [True, False]


def test_the_citation_is_of_this_version_and_whole():
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert citation["authors"] == [{"name": "The age-classifier authors"}]
    for work in (citation, *citation["references"]):
        assert {"authors", "title", "type"} <= work.keys()
    assert citation["message"]


@pytest.fixture
def clone(tmp_path):
    """A repository with the working tree's notebooks and Python files, all of them staged, and the same .venv."""
    folder = tmp_path / "clone"
    for name in ("ageclf", "benchmarks", "notebooks", "tests"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in (".gitignore", ".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for program in ("jupyter-nbconvert", "ruff"):
        (folder / ".venv" / "bin" / program).symlink_to(Path(sys.executable).with_name(program))
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    return folder


def run_hooks(clone: Path, *options: str) -> subprocess.CompletedProcess:
    """Run the hooks without a network, and without what pre-commit may have kept from another time."""
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    environment = {**os.environ, **offline, "PRE_COMMIT_HOME": str(clone.parent / "cache")}
    command = [sys.executable, "-m", "pre_commit", "run", *options]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)


def test_the_hooks_leave_everything_as_it_is(clone):
    done = run_hooks(clone, "--all-files")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Passed") == 3


def test_the_hooks_strip_a_notebook_and_put_a_file_in_order(clone):
    path, script = clone / "notebooks" / "02_brightness.ipynb", clone / "ageclf" / "untidy.py"
    expected, notebook = path.read_text(encoding="utf-8"), nbformat.read(path, as_version=4)
    notebook.metadata |= {"widgets": {"state": {}}}
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs, cell.execution_count = [v4.new_output("stream", text="a face")], 1
        cell.metadata |= {"papermill": {"duration": 1.0}, "scrolled": True}
    nbformat.write(notebook, path)
    script.write_text("import sys\nimport os\nprint( os.name,sys.path )\n")
    subprocess.run(["git", "add", "."], cwd=clone, check=True)
    done = run_hooks(clone)
    assert (done.returncode, done.stdout.count("files were modified by this hook")) == (1, 3), done.stdout
    assert path.read_text(encoding="utf-8") == expected
    assert script.read_text() == "import os\nimport sys\n\nprint(os.name, sys.path)\n"
    subprocess.run(["git", "add", "."], cwd=clone, check=True)
    assert run_hooks(clone).returncode == 0
