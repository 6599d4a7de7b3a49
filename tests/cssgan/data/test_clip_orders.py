"""Orders: rank and permutation are each other's inverse; presenting and restoring are too."""

from __future__ import annotations

import pytest
import torch

from cssgan.data.clip_orders import clip_at, permutations, present, rank, restore

ALL = [tuple(int(i) for i in row) for row in permutations(4)]


def test_there_are_24_orders_and_rank_0_is_time_order() -> None:
    assert len(set(ALL)) == 24
    assert sorted(ALL) == ALL
    assert ALL[0] == (0, 1, 2, 3)


@pytest.mark.parametrize("index", range(24))
def test_rank_to_permutation_and_back(index: int) -> None:
    assert rank(ALL[index]) == index


@pytest.mark.parametrize("index", range(24))
def test_present_then_restore_is_the_identity(index: int) -> None:
    clips = torch.arange(4)[None, :, None] * 10 + torch.arange(3)
    order = clip_at(torch.tensor([index]), 4)

    shown = present(clips, order)

    assert [int(shown[0, k, 0]) // 10 for k in range(4)] == list(ALL[index])
    assert torch.equal(restore(shown, order), clips)


def test_each_sample_of_a_batch_has_its_own_order() -> None:
    clips = torch.arange(4).repeat(2, 1)

    shown = present(clips, clip_at(torch.tensor([0, 23]), 4))

    assert shown.tolist() == [[0, 1, 2, 3], [3, 2, 1, 0]]


@pytest.mark.parametrize("wrong", [(0, 0, 1, 2), (1, 2, 3, 4), (0, 1, 3)])
def test_rank_refuses_what_is_no_permutation(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="every number"):
        rank(wrong)


def test_more_clips_use_a_subset_of_their_orders_that_begins_with_time_order() -> None:
    table = permutations(6, 100)

    assert table.shape == (100, 6)
    assert len({tuple(row) for row in table.tolist()}) == 100
    assert all(sorted(row) == list(range(6)) for row in table.tolist())
    assert table[0].tolist() == list(range(6))
    assert permutations(6, 100)[1].tolist() == [4, 3, 2, 5, 0, 1]  # the same on every machine
    assert clip_at(torch.tensor([0, 7]), 6, 100).tolist() == table[[0, 7]].tolist()
