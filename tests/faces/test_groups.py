"""Edges define the groups of ages."""

import numpy as np
import pytest

from ageclf.faces.groups import age_to_group, group_names, group_statistics


def test_reference_groups_begin_and_end_where_the_field_says():
    assert group_names() == ["0-5", "6-18", "19-30", "31-45", "46-65", "66+"]
    ages = [0, 5, 6, 18, 19, 30, 31, 45, 46, 65, 66, 120]
    assert age_to_group(ages).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_groups_are_int64_whatever_the_ages_are():
    assert age_to_group(np.array([7, 70], dtype=np.int16)).dtype == np.int64


def test_other_edges_give_other_groups():
    assert group_names([1, 18]) == ["0", "1-17", "18+"]
    assert age_to_group([0, 1, 17, 18], [1, 18]).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("edges", [[], [0, 6], [-3, 6], [6, 6], [19, 6], [6.5, 19], ["6"], [True, 6]])
def test_edges_that_are_no_increasing_ages_are_refused(edges):
    with pytest.raises(ValueError, match="groups="):
        age_to_group([7], edges)
    with pytest.raises(ValueError, match="groups="):
        group_names(edges)


def test_counts_and_mean_ages_of_groups_are_those_of_the_ages():
    counts, ages = group_statistics([3, 5, 20, 70, 80])
    assert counts == [2, 0, 1, 0, 0, 2]
    assert ages == [4, 12.5, 20, 38.5, 56, 75], "an empty group has the middle of its bounds"
