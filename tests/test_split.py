"""The published split: hashes and parts alone, joined by a stranger's three lines, and that of the shipped network."""

import bz2
import hashlib
import json
import re
import tomllib

import numpy as np
import pandas as pd
import pytest
import split
import yaml

import ageclf

FOLDER = ageclf.CHECKOUT / "docs" / "split"
PUBLISHED = pd.read_csv(FOLDER / "utkface.csv.gz")
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_lines_in_its_readme_find_the_part_of_every_face(tmp_path, monkeypatch):
    """They are executed as they stand, on the sample, with a table that the script made of it."""
    monkeypatch.chdir(tmp_path)
    packed = (ageclf.CHECKOUT / "ageclf" / "faces" / "sample.csv.bz2").read_bytes()
    (tmp_path / "age_gender.csv").write_bytes(bz2.decompress(packed))
    (tmp_path / "docs" / "split").mkdir(parents=True)
    split.split("age_gender.csv").to_csv("docs/split/utkface.csv.gz", index=False)
    names = {"pd": pd, "hashlib": hashlib}
    exec(re.search(r"```python\n(.+?)```", README, re.DOTALL)[1], names)
    faces = names["faces"]
    assert len(faces) == 600
    assert set(faces["part"]) == {"train", "val", "test"}
    assert len(faces[["cluster", "part"]].drop_duplicates()) == faces["cluster"].nunique()


def test_the_card_at_its_head_names_the_file_its_size_and_the_licence():
    """In the words of the Hugging Face Hub, which reads it there."""
    card = yaml.safe_load(README.split("---\n")[1])
    (table,) = card["configs"]
    assert len(pd.read_csv(FOLDER / table["data_files"])) == len(PUBLISHED)
    assert (card["size_categories"], 10_000 < len(PUBLISHED) < 100_000) == ("10K<n<100K", True)
    project = tomllib.loads((ageclf.CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert card["license"] == project["license"].lower()


def test_it_is_a_table_of_hashes_with_each_cluster_in_one_part():
    assert list(PUBLISHED) == ["face_id", "cluster", "part"]
    assert PUBLISHED["face_id"].is_unique
    for column in ("face_id", "cluster"):
        assert PUBLISHED[column].str.fullmatch("[0-9a-f]{16}").all()
    assert len(PUBLISHED[["cluster", "part"]].drop_duplicates()) == PUBLISHED["cluster"].nunique()
    assert PUBLISHED["part"].value_counts(normalize=True).to_dict() == pytest.approx(
        {"train": 0.7, "val": 0.15, "test": 0.15}, abs=0.01
    )


def test_the_shipped_network_has_seen_exactly_its_training_and_validation_parts():
    (metadata,) = (json.loads(path.read_text()) for path in (ageclf.CHECKOUT / "checkpoint").glob("ckpt-*.json"))
    assert set(metadata["training_faces"]) == set(PUBLISHED.loc[PUBLISHED["part"] != "test", "face_id"])


def test_its_readme_counts_what_it_holds():
    assert f"{len(PUBLISHED):,} different faces" in README
    clusters = PUBLISHED.groupby("part")["cluster"].nunique()
    for part, count in clusters.items():
        cells = re.search(rf"^\| {part} \| ([\d,]+) \| ([\d,]+) \|(.+)\|$", README, re.MULTILINE)
        assert cells[2] == f"{count:,}"
        numbers = np.array([int(cell.replace(",", "")) for cell in cells[3].split("|")])
        assert f"{numbers.sum():,}" == cells[1]
