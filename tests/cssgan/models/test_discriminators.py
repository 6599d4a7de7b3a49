"""Discriminators: their inputs, and the trunk that clip discriminator and order predictor share."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from cssgan.clip_permutations import clip_at, permutations
from cssgan.models import factory
from cssgan.models.discriminators import CascadedDiscriminators
from cssgan.models.order_predictor import SeamScores
from tests.cssgan.toy_dataset import tiny_config


def make(*settings: str) -> CascadedDiscriminators:
    torch.manual_seed(0)
    return factory.discriminators(tiny_config(*settings), num_classes=5)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(3, 4, 3, 4, 16, 16), torch.eye(5)[:3], torch.randint(0, 4, (3, 4))


def test_the_image_discriminator_uses_only_the_chosen_frame_of_each_clip() -> None:
    discriminators, (clips, label, frame_index) = make(), inputs()

    output = discriminators(clips, label, frame_index)
    for b in range(3):
        for s in range(4):
            expected = discriminators.image(clips[b, s, :, int(frame_index[b, s])][None])
            torch.testing.assert_close(output.image_BS[b, s], expected[0])


def test_clip_logits_depend_on_the_clip_and_its_class() -> None:
    discriminators, (clips, label, frame_index) = make(), inputs()

    logits = discriminators(clips, label, frame_index).clip_BS
    changed = clips.clone()
    changed[1, 2] += 1.0
    other = discriminators(changed, label, frame_index).clip_BS
    unconditional = make("discriminator.d_class=false")

    assert logits is not None
    assert other is not None
    different = (logits - other).abs() > 1e-7
    assert different.nonzero().tolist() == [[1, 2]]
    relabelled = discriminators(clips, label.flip(0), frame_index).clip_BS
    assert relabelled is not None
    assert not torch.allclose(relabelled, logits)
    pair = [unconditional(clips, which, frame_index).clip_BS for which in (label, label.flip(0))]
    assert pair[0] is not None
    assert pair[1] is not None
    assert torch.equal(pair[0], pair[1])


def test_clip_logits_alone_equal_those_of_all_discriminators() -> None:
    discriminators, (clips, label, frame_index) = make("discriminator.d_audio=true"), inputs()
    mels = torch.randn(3, 4, 4, 64, 20)

    alone = discriminators.clip_logits(clips, label, mels)

    assert torch.equal(alone, discriminators(clips, label, frame_index, mels).clip_BS)
    assert torch.equal(discriminators.clip_logits(clips[:, :3], label, mels[:, :3]), alone[:, :3])


def test_the_order_predictor_shares_the_trunk() -> None:
    discriminators, (clips, label, frame_index) = make(), inputs()

    logits = discriminators.predict_order(
        discriminators(clips, label, frame_index), clip_at(torch.zeros(3, dtype=torch.long), 4)
    )

    assert logits is not None
    assert logits.shape == (3, 24)
    logits.sum().backward()
    assert all(layer.weight.grad is not None for layer in discriminators.trunk.layers)  # type: ignore[union-attr]


@pytest.mark.parametrize("order_head", ["concat", "seam"])
def test_shuffling_the_features_equals_shuffling_the_clips(order_head: str) -> None:
    discriminators, (clips, label, frame_index) = make(f"discriminator.order_head={order_head}"), inputs()
    order = clip_at(torch.tensor([5, 17, 23]), 4)
    rows = torch.arange(3)[:, None]
    in_time = clip_at(torch.zeros(3, dtype=torch.long), 4)

    inside = discriminators.predict_order(discriminators(clips, label, frame_index), order)
    before = discriminators.predict_order(discriminators(clips[rows, order], label, frame_index), in_time)

    assert inside is not None
    assert before is not None
    torch.testing.assert_close(inside, before)


def test_whole_and_both_have_window_logits() -> None:
    clips, label, frame_index = inputs()

    whole = make("discriminator.video_d=whole")(clips, label, frame_index)
    both = make("discriminator.video_d=both")(clips, label, frame_index)

    assert whole.clip_BS is None
    assert whole.video_B is not None
    assert whole.video_B.shape == (3,)
    assert both.clip_BS is not None
    assert both.video_B is not None


def test_pairwise_order_head_runs() -> None:
    discriminators, (clips, label, frame_index) = make("discriminator.order_head=pairwise"), inputs()
    order = clip_at(torch.zeros(3, dtype=torch.long), 4)

    logits = discriminators.predict_order(discriminators(clips, label, frame_index), order)

    assert logits is not None
    assert logits.shape == (3, 24)


def test_without_shuffling_there_is_no_order_predictor() -> None:
    discriminators, (clips, label, frame_index) = make("order.shuffle=none"), inputs()

    assert discriminators.order is None
    output = discriminators(clips, label, frame_index)
    assert discriminators.predict_order(output, torch.zeros(3, 4).long()) is None


def test_the_seam_logit_of_an_order_is_the_sum_of_the_scores_of_its_neighbours() -> None:
    torch.manual_seed(0)
    seams, edges = SeamScores(size=16, width=2, num_clips=4, max_orders=24), torch.randn(2, 4, 2, 3, 16, 16)

    logits = seams(edges)

    # The scores alone: 1 for one ordered pair of places (i, j), if the clip at j directly follows that at i in time.
    for p, order in enumerate(permutations(4).tolist()):
        places = [order.index(clip) for clip in range(4)]
        expected = [pair in list(itertools.pairwise(places)) for pair in seams.pairs]
        assert seams.neighbours_XP[:, p].tolist() == [float(each) for each in expected]
    assert logits.shape == (2, 24)


def test_seam_logits_depend_on_the_frames_at_the_cuts_alone() -> None:
    torch.manual_seed(0)
    discriminators = make("discriminator.order_head=seam")
    clips, label, frame_index = inputs()
    in_time = clip_at(torch.zeros(3, dtype=torch.long), 4)

    def seam_logits(changed: Tensor) -> Tensor:
        output = discriminators(changed, label, frame_index)
        assert output.edges_BSECHW is not None
        assert discriminators.seams is not None
        return discriminators.seams(output.edges_BSECHW)

    inner, outer = clips.clone(), clips.clone()
    inner[:, :, :, 1:-1] += 1.0
    outer[:, 2, :, -1] += 1.0

    assert torch.equal(seam_logits(inner), seam_logits(clips))
    assert not torch.allclose(seam_logits(outer), seam_logits(clips))
    logits = discriminators.predict_order(discriminators(inner, label, frame_index), in_time)
    assert logits is not None
    assert not torch.allclose(logits, seam_logits(inner))  # the features of the clips count as well


def test_a_subset_of_the_orders_has_seams() -> None:
    clips, label, frame_index = inputs()
    discriminators = make("discriminator.order_head=seam", "order.max_orders=7")

    logits = discriminators.predict_order(
        discriminators(clips, label, frame_index), clip_at(torch.zeros(3, dtype=torch.long), 4, 7)
    )

    assert logits is not None
    assert logits.shape == (3, 7)
