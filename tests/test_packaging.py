"""What is installed: the lock file, and the conda environment that installs it."""

import re
import tomllib
from pathlib import Path

import yaml
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
