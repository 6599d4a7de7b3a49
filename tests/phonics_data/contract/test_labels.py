"""Label sets: a fixed order of classes, and errors for unknown names."""

from __future__ import annotations

import pytest

from phonics_data.contract.labels import LETTERS, VIDTIMIT, LabelSet, label_set
from phonics_data.errors import DatasetError


def test_sizes_are_those_of_the_paper() -> None:
    assert len(LETTERS) == 26
    assert len(VIDTIMIT) == 43


def test_index_is_the_position_in_the_one_hot_vector() -> None:
    assert [LETTERS.index(name) for name in "AMZ"] == [0, 12, 25]
    assert all(VIDTIMIT.names[VIDTIMIT.index(name)] == name for name in VIDTIMIT.names)


def test_errors_for_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(DatasetError, match=r"label 'a' is not in label set 'letters'; allowed: A, B"):
        LETTERS.index("a")


def test_known_sets_are_always_complete() -> None:
    assert label_set("letters", ["C", "A"]) is LETTERS
    with pytest.raises(DatasetError, match=r"'\?' is not in label set"):
        label_set("letters", ["?"])


def test_other_sets_consist_of_the_names_found() -> None:
    assert label_set("animals", ["dog", "cat", "dog"]) == LabelSet("animals", ("cat", "dog"))


@pytest.mark.parametrize("names", [(), ("A", "B", "A")])
def test_empty_and_duplicate_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match="label set 'mine'"):
        LabelSet("mine", names)
