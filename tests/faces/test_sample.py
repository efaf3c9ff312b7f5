"""Synthetic faces look like the field's: uneven groups, near-duplicates, black edges, ages that can be learnt."""

import numpy as np
import pandas as pd
import pytest
from _synthetic_faces import csv_text, synthesize_sample
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ageclf.faces.clusters import cluster_near_duplicates
from ageclf.faces.groups import age_to_group
from ageclf.faces.images import black_edge_share, brightness
from ageclf.faces.reading import load_faces


@pytest.fixture(scope="module")
def sample():
    return synthesize_sample()


def test_shapes_types_and_ranges(sample):
    images, table = sample
    assert images.shape == (600, 48, 48)
    assert images.dtype == np.uint8
    assert table.dtypes.astype(str).tolist() == ["int16", "Int8", "Int8", "string"]
    assert table["age"].between(0, 120).all()
    assert set(table["ethnicity"]) == {0, 1, 2, 3, 4}
    assert set(table["gender"]) == {0, 1}
    named = table["img_name"].str.extract(r"^(\d+)_(\d)_(\d)_sample\d{4}$").astype(int)
    assert (named.to_numpy() == table[["age", "ethnicity", "gender"]].to_numpy(int)).all()


def test_the_file_that_the_package_ships_is_what_the_script_makes(sample):
    """But for grey values that another processor may round otherwise."""
    images, table = sample
    shipped = load_faces("sample")
    assert np.abs(shipped.images.astype(int) - images).max() <= 1
    pd.testing.assert_frame_equal(shipped.table[list(table)], table)
    assert csv_text(images, table).splitlines()[0] == "age,ethnicity,gender,img_name,pixels"


def test_the_same_seed_gives_the_same_faces_and_another_seed_others():
    images, table = synthesize_sample(100)
    again = synthesize_sample(100)
    np.testing.assert_array_equal(images, again[0])
    pd.testing.assert_frame_equal(table, again[1])
    assert (synthesize_sample(100, seed=1)[0] != images).any(axis=(1, 2)).all()


@pytest.mark.parametrize("n", [1, 2, 50])
def test_any_number_of_faces_can_be_synthesized(n):
    images, table = synthesize_sample(n)
    assert len(images) == len(table) == n


def test_groups_are_uneven_and_all_there(sample):
    shares = np.bincount(age_to_group(sample[1]["age"])) / 600
    np.testing.assert_allclose(shares, [0.10, 0.09, 0.34, 0.23, 0.16, 0.08], atol=0.002)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_only_planted_copies_cluster_and_their_groups_differ(seed):
    images, table = synthesize_sample(320, seed)
    clusters = cluster_near_duplicates(images)
    number = table["img_name"].str.extract(r"(\d+)$")[0]
    np.testing.assert_array_equal(clusters, pd.factorize(number)[0])
    groups = pd.Series(age_to_group(table["age"])).groupby(clusters).agg(["size", "nunique"])
    assert (groups["size"] == 2).sum() == 8
    assert (groups["size"] == groups["nunique"]).all()


def test_some_pictures_have_black_edges_and_the_light_is_uneven(sample):
    images, _ = sample
    assert 0.1 < (black_edge_share(images) > 0.1).mean() < 0.4
    assert brightness(images).std() > 20


def test_age_can_be_learnt_but_not_read_off(sample):
    """A linear model on 12×12 thumbnails beats the largest group, and leaves something to a network."""
    images, table = sample
    thumbnails = images.reshape(-1, 12, 4, 12, 4).mean(axis=(2, 4)).reshape(600, -1)
    groups = age_to_group(table["age"])
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    accuracy = cross_val_score(linear, thumbnails, groups, cv=4).mean()
    assert np.bincount(groups).max() / 600 + 0.1 < accuracy < 0.9
