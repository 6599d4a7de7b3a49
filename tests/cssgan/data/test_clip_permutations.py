"""Orders: `rank` inverts `permutations`, `unpermute` inverts `permute`."""

from __future__ import annotations

import pytest
import torch

from cssgan.clip_permutations import clip_at, permutations, permute, rank, unpermute

ALL = [tuple(int(i) for i in row) for row in permutations(4)]


def test_there_are_24_orders_and_rank_0_is_time_order() -> None:
    assert len(set(ALL)) == 24
    assert sorted(ALL) == ALL
    assert ALL[0] == (0, 1, 2, 3)


@pytest.mark.parametrize("index", range(24))
def test_rank_to_permutation_and_back(index: int) -> None:
    assert rank(ALL[index]) == index


@pytest.mark.parametrize("index", range(24))
def test_permute_then_unpermute_is_the_identity(index: int) -> None:
    clips = torch.arange(4)[None, :, None] * 10 + torch.arange(3)
    order = clip_at(torch.tensor([index]), 4)

    permuted = permute(clips, order)

    assert [int(permuted[0, k, 0]) // 10 for k in range(4)] == list(ALL[index])
    assert torch.equal(unpermute(permuted, order), clips)


def test_each_sample_of_a_batch_has_its_own_order() -> None:
    clips = torch.arange(4).repeat(2, 1)

    permuted = permute(clips, clip_at(torch.tensor([0, 23]), 4))

    assert permuted.tolist() == [[0, 1, 2, 3], [3, 2, 1, 0]]


@pytest.mark.parametrize("wrong", [(0, 0, 1, 2), (1, 2, 3, 4), (0, 1, 3)])
def test_rank_refuses_other_sequences(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="every number"):
        rank(wrong)


def test_many_clips_use_a_subset_of_orders_that_starts_with_time_order() -> None:
    table = permutations(6, 100)

    assert table.shape == (100, 6)
    assert len({tuple(row) for row in table.tolist()}) == 100
    assert all(sorted(row) == list(range(6)) for row in table.tolist())
    assert table[0].tolist() == list(range(6))
    assert permutations(6, 100)[1].tolist() == [4, 3, 2, 5, 0, 1]  # the same on every machine
    assert clip_at(torch.tensor([0, 7]), 6, 100).tolist() == table[[0, 7]].tolist()
