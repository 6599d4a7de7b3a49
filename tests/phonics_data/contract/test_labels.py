"""Label sets: one order for everybody, and clear refusals."""

from __future__ import annotations

import pytest

from phonics_data.contract.labels import LETTERS, VIDTIMIT, LabelSet, label_set
from phonics_data.errors import DatasetError


def test_sizes_are_those_of_the_paper() -> None:
    assert len(LETTERS) == 26
    assert len(VIDTIMIT) == 43


def test_index_is_the_place_in_the_one_hot_vector() -> None:
    assert [LETTERS.index(name) for name in "AMZ"] == [0, 12, 25]
    assert all(VIDTIMIT.names[VIDTIMIT.index(name)] == name for name in VIDTIMIT.names)


def test_unknown_names_are_refused_with_what_is_allowed() -> None:
    with pytest.raises(DatasetError, match=r"label 'a' is not in label set 'letters'; allowed: A, B"):
        LETTERS.index("a")


def test_a_known_set_is_whole_whatever_was_found() -> None:
    assert label_set("letters", ["C", "A"]) is LETTERS
    with pytest.raises(DatasetError, match=r"'\?' is not in label set"):
        label_set("letters", ["?"])


def test_a_users_own_set_is_made_of_what_was_found() -> None:
    assert label_set("animals", ["dog", "cat", "dog"]) == LabelSet("animals", ("cat", "dog"))


@pytest.mark.parametrize("names", [(), ("A", "B", "A")])
def test_empty_and_double_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match="label set 'mine'"):
        LabelSet("mine", names)
