"""Sources fall into splits by their own hash: whole, balanced, stable."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.errors import OptionError
from phonics_data.split import Ratios, share_of, split_by_source

LETTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def videos(number: int) -> dict[str, set[str]]:
    return {f"song-{index:04d}": LETTERS for index in range(number)}


def test_shares_come_near_the_ratios() -> None:
    counts = Counter(split_by_source(videos(4000)).values())
    assert counts["train"] / 4000 == pytest.approx(0.8, abs=0.02)
    assert counts["validation"] / 4000 == pytest.approx(0.1, abs=0.015)
    assert counts["test"] / 4000 == pytest.approx(0.1, abs=0.015)


@given(number=st.integers(3, 12), seed=st.integers(0, 1000))
def test_no_split_is_empty_from_three_videos_on(number: int, seed: int) -> None:
    assert set(split_by_source(videos(number), seed=seed).values()) == {"train", "validation", "test"}


@given(seed=st.integers(0, 50), added=st.integers(1, 30))
def test_adding_videos_moves_no_other(seed: int, added: int) -> None:
    before = split_by_source(videos(60), seed=seed)
    after = split_by_source(videos(60 + added), seed=seed)
    by_hash = {name: share_of(name, seed) for name in before}
    for name, split in before.items():
        # Only a source that had to fill an empty split may go back to where its hash puts it.
        natural = "test" if by_hash[name] < 0.1 else "validation" if by_hash[name] < 0.2 else "train"
        assert after[name] == split or (split != natural and after[name] == natural)


def test_order_of_arrival_does_not_matter() -> None:
    some = videos(20)
    assert split_by_source(some) == split_by_source(dict(reversed(some.items())))


def test_other_seed_other_split() -> None:
    assert split_by_source(videos(50), seed=0) != split_by_source(videos(50), seed=1)


def test_an_empty_split_is_filled_by_a_source_with_many_letters() -> None:
    for seed in range(40):
        some = {f"letter-{index}": {"A"} for index in range(6)} | {"song": LETTERS, "anthem": LETTERS}
        shares = {name: share_of(name, seed) for name in some}
        if any(share < 0.1 for share in shares.values()):
            continue  # the test split is not empty by itself
        (tested,) = [name for name, split in split_by_source(some, seed=seed).items() if split == "test"]
        assert tested in ("song", "anthem")


def test_groups_fall_as_one() -> None:
    some = videos(40)
    groups = {name: f"group-{index // 4}" for index, name in enumerate(some)}
    splits = split_by_source(some, groups=groups)
    for group in set(groups.values()):
        assert len({splits[name] for name in some if groups[name] == group}) == 1


def test_a_ratio_of_nothing_gives_nothing() -> None:
    assert set(split_by_source(videos(30), ratios=Ratios(train=0.9, validation=0.0, test=0.1)).values()) == {
        "train",
        "test",
    }
    assert set(split_by_source(videos(9), ratios=Ratios(train=0.0, validation=0.0, test=1.0)).values()) == {"test"}


def test_one_and_two_videos() -> None:
    assert len(split_by_source(videos(1))) == 1
    assert len(set(split_by_source(videos(2)).values())) == 2


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (1.2, -0.1, -0.1)])
def test_ratios_are_checked(shares: tuple[float, float, float]) -> None:
    with pytest.raises(OptionError, match="--split-ratios"):
        Ratios(train=shares[0], validation=shares[1], test=shares[2])
