"""Splits by source: no source in two splits, sizes near the ratios, stable when sources are added."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.errors import InputError, OptionError
from phonics_data.quality.split import (
    GivenSplit,
    Ratios,
    divided_groups,
    hash_fraction,
    merged_groups,
    read_given_splits,
    split_by_source,
    used_splits,
)
from phonics_data.types import Split

LETTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def videos(number: int) -> dict[str, set[str]]:
    return {f"song-{index:04d}": LETTERS for index in range(number)}


def test_split_sizes_are_near_the_ratios() -> None:
    counts = Counter(split_by_source(videos(4000)).values())
    assert counts["train"] / 4000 == pytest.approx(0.8, abs=0.02)
    assert counts["validation"] / 4000 == pytest.approx(0.1, abs=0.015)
    assert counts["test"] / 4000 == pytest.approx(0.1, abs=0.015)


@given(number=st.integers(3, 12), seed=st.integers(0, 1000))
def test_no_split_is_empty_with_three_or_more_videos(number: int, seed: int) -> None:
    assert set(split_by_source(videos(number), seed=seed).values()) == {"train", "validation", "test"}


@given(seed=st.integers(0, 50), added=st.integers(1, 30))
def test_adding_videos_moves_no_others(seed: int, added: int) -> None:
    before = split_by_source(videos(60), seed=seed)
    after = split_by_source(videos(60 + added), seed=seed)
    by_hash = {name: hash_fraction(name, seed) for name in before}
    for name, split in before.items():
        # Only a source that filled an empty split may move back to the split of its hash.
        natural = "test" if by_hash[name] < 0.1 else "validation" if by_hash[name] < 0.2 else "train"
        assert after[name] == split or (split != natural and after[name] == natural)


def test_input_order_does_not_matter() -> None:
    some = videos(20)
    assert split_by_source(some) == split_by_source(dict(reversed(some.items())))


def test_splits_depend_on_the_seed() -> None:
    assert split_by_source(videos(50), seed=0) != split_by_source(videos(50), seed=1)


def test_empty_split_gets_a_source_with_many_letters() -> None:
    for seed in range(40):
        some = {f"letter-{index}": {"A"} for index in range(6)} | {"song": LETTERS, "anthem": LETTERS}
        shares = {name: hash_fraction(name, seed) for name in some}
        if any(share < 0.1 for share in shares.values()):
            continue  # the test split is not empty by itself
        (tested,) = [name for name, split in split_by_source(some, seed=seed).items() if split == "test"]
        assert tested in ("song", "anthem")


def test_every_speaker_is_in_every_split() -> None:
    sentences = {f"speaker{speaker}-sentence{number}": {f"s{speaker}"} for speaker in range(43) for number in range(10)}
    natural = {name: hash_fraction(name, 0) for name in sentences}
    assert len({name.partition("-")[0] for name, share in natural.items() if share < 0.1}) < 35, (
        "hashes alone would give this"
    )
    splits = split_by_source(sentences)
    for split in ("train", "validation", "test"):
        speakers = {name.partition("-")[0] for name, found in splits.items() if found == split}
        assert len(speakers) == 43
    counts = Counter(splits.values())
    assert 320 <= counts["train"] <= 350
    assert counts["validation"] < 65
    assert counts["test"] < 65


@given(seed=st.integers(0, 200))
def test_frequent_labels_are_in_every_split_and_rare_ones_keep_their_hash_split(seed: int) -> None:
    some = {f"letter-{letter}-{number}": {letter} for letter in "ABCDEF" for number in range(5)}
    some |= {f"rare-{number}": {"Q"} for number in range(2)}
    splits = split_by_source(some, seed=seed)
    for letter in "ABCDEF":
        found = {split for name, split in splits.items() if some[name] == {letter}}
        assert found == {"train", "validation", "test"}
    for name in ("rare-0", "rare-1"):
        share = hash_fraction(name, seed)
        assert splits[name] == ("test" if share < 0.1 else "validation" if share < 0.2 else "train")


@given(seed=st.integers(0, 100))
def test_songs_do_not_move_for_one_missing_letter(seed: int) -> None:
    some = videos(30)
    for index, name in enumerate(some):
        some[name] = LETTERS - {"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index % 26]}
    splits = split_by_source(some, seed=seed)
    natural = {name: hash_fraction(name, seed) for name in some}
    if {"test" if share < 0.1 else "validation" if share < 0.2 else "train" for share in natural.values()} == set(
        splits.values()
    ):
        for name, share in natural.items():
            assert splits[name] == ("test" if share < 0.1 else "validation" if share < 0.2 else "train")


def test_groups_are_in_one_split() -> None:
    some = videos(40)
    groups = {name: f"group-{index // 4}" for index, name in enumerate(some)}
    splits = split_by_source(some, groups=groups)
    for group in set(groups.values()):
        assert len({splits[name] for name in some if groups[name] == group}) == 1


def test_zero_ratio_gives_an_empty_split() -> None:
    assert set(split_by_source(videos(30), ratios=Ratios(train=0.9, validation=0.0, test=0.1)).values()) == {
        "train",
        "test",
    }
    assert set(split_by_source(videos(9), ratios=Ratios(train=0.0, validation=0.0, test=1.0)).values()) == {"test"}


def test_one_and_two_videos() -> None:
    assert len(split_by_source(videos(1))) == 1
    assert len(set(split_by_source(videos(2)).values())) == 2


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (1.2, -0.1, -0.1), (float("nan"), 0.0, 0.0)])
def test_ratios_are_checked(shares: tuple[float, float, float]) -> None:
    with pytest.raises(OptionError, match="--split-ratios"):
        Ratios(train=shares[0], validation=shares[1], test=shares[2])


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_given_splits_are_obeyed_and_the_rest_is_split_by_ratio() -> None:
    some = videos(200)
    given: dict[str, Split] = {"song-0000": "unseen-styles", "song-0001": "test", "not-there": "validation"}
    splits = split_by_source(some, given=given)
    assert (splits["song-0000"], splits["song-0001"]) == ("unseen-styles", "test")
    assert set(splits) == set(some)
    others = split_by_source(some)
    assert {name: split for name, split in splits.items() if name not in given} == {
        name: split for name, split in others.items() if name not in given
    }


@given(seed=st.integers(0, 200), number=st.integers(4, 12))
def test_a_given_source_never_moves_to_fill_or_cover_a_split(seed: int, number: int) -> None:
    given: dict[str, Split] = {"song-0000": "train", "song-0001": "unseen-styles"}
    splits = split_by_source(videos(number), seed=seed, given=given)
    assert (splits["song-0000"], splits["song-0001"]) == ("train", "unseen-styles")
    if number >= 5:
        assert set(splits.values()) == {"train", "validation", "test", "unseen-styles"}


def test_a_group_follows_its_given_source_and_is_divided_by_several() -> None:
    groups = {"a": "a", "b": "a", "c": "a", "d": "d"}
    some = {name: {"X"} for name in "abcd"}
    assert {split_by_source(some, groups=groups, given={"b": "test"})[name] for name in "abc"} == {"test"}
    given: dict[str, Split] = {"a": "unseen-styles", "b": "train"}
    splits = split_by_source(some, groups=groups, given=given)
    assert (splits["a"], splits["b"], splits["c"]) == ("unseen-styles", "train", "train")
    assert divided_groups(groups, given) == [["a", "b"]]
    assert divided_groups(groups, {"a": "train", "b": "train", "d": "test"}) == []


def test_merged_groups_are_transitive() -> None:
    assert merged_groups({"a": "a", "b": "b", "c": "c"}, {"b": "song", "c": "song"}, {"a": "x", "c": "x"}) == {
        "a": "a",
        "b": "a",
        "c": "a",
    }
    assert merged_groups({"b": "n", "a": "n"}, {"z": "n"}) == {"a": "a", "b": "a", "z": "z"}


@given(seed=st.integers(0, 50))
def test_adding_files_of_a_group_moves_no_group(seed: int) -> None:
    """The new files sort before the others of their group."""
    old = {f"{source}_{clip}": str(source) for source in range(100, 160) for clip in (3, 5)}
    new = {f"{source}_1": str(source) for source in range(100, 160, 2)}

    def splits(groups: dict[str, str]) -> dict[str, Split]:
        duplicates = {name: name for name in groups}
        return split_by_source(
            dict.fromkeys(groups, LETTERS), seed=seed, groups=merged_groups(duplicates, declared=groups)
        )

    before, after = splits(old), splits(old | new)
    assert set(before.values()) == {"train", "validation", "test"}
    assert {name: after[name] for name in before} == before


def test_a_merged_group_is_named_after_its_first_declared_group() -> None:
    declared = {"z_1": "b", "z_2": "b", "a_1": "c"}
    assert merged_groups({"z_2": "same", "a_1": "same", "x": "x", "62": "62"}, declared=declared) == {
        "62": "62", "a_1": "group:b", "x": "x", "z_1": "group:b", "z_2": "group:b",
    }  # fmt: skip


def test_used_splits_lack_those_that_only_a_user_can_fill() -> None:
    assert used_splits([]) == ("train", "validation", "test")
    assert used_splits(["unseen-styles", "test"]) == ("train", "validation", "test", "unseen-styles")


def test_a_csv_of_splits(tmp_path: Path) -> None:
    text = "\ufeffsplit, note, video_id\r\n test ,,b\r\nunseen-styles,x,a\r\n\r\n"
    table = tmp_path / "splits.csv"
    table.write_bytes(text.encode())
    assert read_given_splits(table) == (
        GivenSplit(video_id="a", split="unseen-styles"),
        GivenSplit(video_id="b", split="test"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id,fold\na,test\n", "columns are video_id, fold; required, once each: video_id, split"),
        ("", "columns are none"),
        ("video_id,split,split\na,test,test\n", "once each"),
        ("video_id,split\n", "has no rows"),
        (
            "video_id,split\na,test\nb,dev\n",
            "line 3: split of b is 'dev', allowed: train, validation, test, unseen-styles",
        ),
        ("video_id,split\na,Test\n", "is 'Test'"),
        ("video_id,split\na\n", "split of a is ''"),
        ("video_id,split\na,test,train\n", "line 2 has 3 cells, the header 2"),
        ("video_id,split\n,test\n", "line 2: video_id is empty"),
        ("video_id,split\na,test\nb,train\na,test\n", "line 4: a is also in line 2"),
    ],
)
def test_faulty_csv_of_splits(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_given_splits(write(tmp_path / "splits.csv", text))


def test_unreadable_csv_of_splits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--splits .*gone\.csv: no such file"):
        read_given_splits(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_given_splits(tmp_path)
    (tmp_path / "bytes.csv").write_bytes(b"video_id,split\n\xff\xfe,test\n")
    with pytest.raises(InputError, match="not a UTF-8 CSV file"):
        read_given_splits(tmp_path / "bytes.csv")
