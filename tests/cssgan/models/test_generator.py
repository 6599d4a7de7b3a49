"""The generator equals its plain form; cascade and batched streams work as specified."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.clip_permutations import permute
from cssgan.models import factory
from cssgan.models.cascade import cascade
from cssgan.models.decoder import FLOW_PIXELS, DecoderBlock, frames_after_blocks, warp_and_paint
from cssgan.models.encoders import SegmentEncoder
from cssgan.models.generator import CascadedGenerator
from cssgan.models.interface import WindowInputs
from tests.cssgan.toy_dataset import tiny_config


def make(*settings: str) -> CascadedGenerator:
    torch.manual_seed(0)
    generator = factory.generator(tiny_config(*settings), num_classes=5)
    assert isinstance(generator, CascadedGenerator)
    for parameter in generator.parameters():  # larger than the initial 0.02, so that differences would show
        nn.init.normal_(parameter, 0.0, 0.3)
    return generator


def inputs(batch: int = 2, frames: int = 4, streams: int = 4, z: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    label = functional.one_hot(torch.arange(batch) % 5, 5).float()
    image = torch.rand(batch, 3, 16, 16) * 2 - 1
    return image, torch.randn(batch, streams, frames, 64, 20), label, torch.randn(batch, z)


def plain_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Batch normalization of 5-D features, in training mode, by its formula."""
    assert isinstance(norm, nn.BatchNorm2d)
    mean, variance = x.mean((0, 2, 3, 4), keepdim=True), x.var((0, 2, 3, 4), unbiased=False, keepdim=True)
    shape = (1, -1, 1, 1, 1)
    return (x - mean) / torch.sqrt(variance + norm.eps) * norm.weight.view(shape) + norm.bias.view(shape)


def plain_stream(generator: CascadedGenerator, image: Tensor, mels_BFMU: Tensor, label: Tensor) -> Tensor:
    """One stream by ConvTranspose3d over explicit concatenations, (B, C, F, H, W)."""
    states = generator.audio_encoder(mels_BFMU)
    code, skips = generator.image_encoder(image)
    x = torch.cat((states[:, -1], label, code), dim=1)[:, :, None, None, None]
    for index, block in enumerate(generator.decoder.blocks):
        assert isinstance(block, DecoderBlock)
        if index:
            frames, side = x.shape[2], x.shape[3]
            skip = skips[-index][:, :, None].expand(-1, -1, frames, -1, -1)
            conditioning = label[:, :, None].expand(-1, -1, frames)
            if generator.inject is not None:
                audio = functional.adaptive_avg_pool1d(generator.inject(states).transpose(1, 2), frames)
                conditioning = torch.cat((conditioning, audio), dim=1)
            x = torch.cat((x, skip, conditioning[..., None, None].expand(-1, -1, -1, side, side)), dim=1)
        layer = block.temporal
        stride, padding = (layer.stride, 1, 1), (layer.padding, 0, 0)
        x = functional.conv_transpose3d(x, layer.weight[..., None, None], layer.bias, stride, padding)
        x = plain_norm(block.temporal_norm, x)
        if block.modulator is not None:
            pooled = functional.adaptive_avg_pool1d(states.transpose(1, 2), x.shape[2])
            channels = x.shape[1]
            for frame in range(x.shape[2]):
                values = block.modulator(pooled[:, :, frame])[..., None, None]
                x[:, :, frame] = x[:, :, frame].clone() * (1.0 + values[:, :channels]) + values[:, channels:]
        x = functional.leaky_relu(x, 0.2)
        spatial, step = block.spatial, (1, *block.spatial.stride)
        x = functional.conv_transpose3d(x, spatial.weight[:, :, None], spatial.bias, step, (0, *spatial.padding))
        if block.spatial_norm is not None:
            x = functional.leaky_relu(plain_norm(block.spatial_norm, x), 0.2)
    frames = torch.tanh(x[:, :3])
    if generator.decoder.output == "direct":
        return frames
    mask, flow = torch.sigmoid(x[:, 3:4] - 1.0), x[:, 4:]
    if generator.decoder.output == "warp_still":
        # Half a pixel is halved (FLOW_PIXELS times the output is a distance in pixels); a mask of .1 becomes .055.
        flow = flow * (FLOW_PIXELS * flow.abs()) / (FLOW_PIXELS * flow.abs() + 0.5)
        mask = 1.1 * mask**2 / (mask + 0.1)
    below = image[:, :, None] if generator.decoder.output == "compose" else moved_plain(image, flow)
    return mask * frames + (1.0 - mask) * below


def test_damped_outputs_copy_what_nearly_stands_still() -> None:
    torch.manual_seed(0)
    start = torch.rand(1, 3, 16, 16) * 2 - 1
    painted = torch.zeros(1, 1, 6, 16, 16)
    painted[:, :, 3] = -3.0  # a mask of .018
    painted[:, :, 4:] = 0.05 / FLOW_PIXELS

    def blurred(still: bool) -> float:
        frame = start
        for _ in range(12):  # streams of a cascade
            frame = warp_and_paint(painted, frame, still=still)[:, :, 0]
        return float((frame - start).abs().mean())

    assert blurred(still=True) < 0.25 * blurred(still=False)
    strong = painted.clone()
    strong[:, :, 3], strong[:, :, 4:] = 6.0, 3.0 / FLOW_PIXELS
    for still in (False, True):  # what is painted and moved for certain stays so
        assert float(warp_and_paint(strong, start, still=still).abs().mean()) < 0.01


def moved_plain(image: Tensor, flow_BCFHW: Tensor) -> Tensor:
    """Bilinear samples of `image` at the distance that the flow names, pixel by pixel; the edge is repeated."""
    batch, _, frames, height, width = flow_BCFHW.shape
    out = torch.zeros(batch, 3, frames, height, width, dtype=image.dtype)
    for b, f, y, x in itertools.product(range(batch), range(frames), range(height), range(width)):
        right, down = (flow_BCFHW[b, :, f, y, x] * FLOW_PIXELS).unbind()
        column, row = (x + right).clamp(0, width - 1), (y + down).clamp(0, height - 1)
        left, top = int(column), int(row)
        for dy, dx in itertools.product((0, 1), (0, 1)):
            share = (1 - (row - top - dy).abs()) * (1 - (column - left - dx).abs())
            out[b, :, f, y, x] += share * image[b, :, min(top + dy, height - 1), min(left + dx, width - 1)]
    return out


@pytest.mark.parametrize("norm", [True, False])
def test_features_of_mel_segments_equal_the_plain_form(norm: bool) -> None:
    torch.manual_seed(0)
    encoder = SegmentEncoder(num_bands=64, segment_hops=20, features=16, norm=norm)
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    mels, weights = torch.randn(2, 3, 64, 20), dict(encoder.named_parameters())

    features = encoder(mels)

    for video, frame in itertools.product(range(2), range(3)):
        x = mels[video, frame][None, None]
        for index, groups in enumerate((2, 4, 8)):  # of 2, 4 and 8 channels
            x = functional.conv2d(x, weights[f"convs.{index}.weight"], weights[f"convs.{index}.bias"], 2, 1)
            if norm:
                x = functional.group_norm(x, groups, weights[f"norms.{index}.weight"], weights[f"norms.{index}.bias"])
            x = functional.leaky_relu(x, 0.2)
        plain = encoder.out.weight @ x.flatten() + encoder.out.bias
        torch.testing.assert_close(features[video, frame], plain, atol=1e-4, rtol=1e-4)


def test_the_states_of_the_sound_with_convolutions_are_those_of_their_window() -> None:
    generator = make("model.audio_encoder=conv", "model.audio_context=window").eval()
    image, mels, label, noise = inputs()
    changed = mels.clone()
    changed[0, 3, 3, :, 10:] += 1.0  # the end of the last segment of the first video

    with torch.no_grad():
        one, other = (generator(image, sound, label, noise) for sound in (mels, changed))

    assert not torch.allclose(one[0, 0], other[0, 0])  # the GRU in both directions reaches the first clip
    torch.testing.assert_close(one[1], other[1])


@pytest.mark.parametrize("output", ["compose", "direct", "warp", "warp_still"])
@pytest.mark.parametrize(
    ("upsampling", "inject"), [("middle", "every"), ("late", "every"), ("early", "every"), ("middle", "film")]
)
def test_a_stream_and_its_gradients_equal_the_plain_form(output: str, upsampling: str, inject: str) -> None:
    generator = make(
        f"model.g_output={output}", f"model.temporal_upsampling={upsampling}", f"model.audio_inject={inject}"
    )
    generator = generator.double().train()
    image, mels, label, noise = (x.double() for x in inputs())

    fast = generator(image, mels, label, noise)[:, 0]
    plain = plain_stream(generator, image, mels[:, 0], label)

    torch.testing.assert_close(fast, plain, atol=1e-9, rtol=1e-9)
    probe = torch.randn_like(fast)
    weights = list(generator.parameters())
    for gradient, reference in zip(
        torch.autograd.grad((fast * probe).sum(), weights),
        torch.autograd.grad((plain * probe).sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(gradient, reference, atol=1e-8, rtol=1e-7)


def test_streams_with_given_starts_do_not_depend_on_the_streams_before() -> None:
    generator = make().eval()
    image, mels, label, noise = inputs()
    starts = torch.rand(2, 4, *image.shape[1:]) * 2 - 1
    window = WindowInputs(starts_BSCHW=starts, given_B=torch.tensor([True, False]))

    clips = generator(image, mels, label, noise, window)

    for index in range(4):
        alone = generator(starts[:1, index], mels[:1, index : index + 1], label[:1], noise[:1])
        torch.testing.assert_close(clips[:1, index], alone[:, 0])
    torch.testing.assert_close(clips[1:], generator(image, mels, label, noise)[1:])


def test_the_audio_of_a_window_is_encoded_in_time_order() -> None:
    generator = make("model.audio_context=window").eval()
    image, mels, label, noise = inputs()
    clip_at = torch.tensor([[2, 0, 3, 1], [0, 1, 2, 3]])
    starts = torch.rand(2, 4, *image.shape[1:]) * 2 - 1
    given = torch.tensor([True, True])

    in_time = generator(image, mels, label, noise, WindowInputs(starts_BSCHW=starts, given_B=given))
    shuffled = generator(
        image,
        permute(mels, clip_at),
        label,
        noise,
        WindowInputs(clip_at_BS=clip_at, starts_BSCHW=permute(starts, clip_at), given_B=given),
    )
    torch.testing.assert_close(shuffled, permute(in_time, clip_at))

    later = mels.clone()
    later[:, 3] += 1.0
    changed = generator(image, later, label, noise, WindowInputs(starts_BSCHW=starts, given_B=given))
    assert not torch.equal(changed[:, 0], in_time[:, 0])  # audio of the last clip reaches the first


def test_the_cascade_passes_exactly_the_last_frame() -> None:
    starts: list[Tensor] = []
    clips = torch.randn(4, 2, 3, 8, 4, 4)
    image = torch.randn(2, 3, 4, 4)

    def make_clip(start: Tensor, index: int) -> Tensor:
        starts.append(start)
        return clips[index]

    out = cascade(make_clip, image, 4, detach=False)

    assert torch.equal(out, clips.transpose(0, 1))
    assert torch.equal(starts[0], image)
    for index in range(1, 4):
        assert torch.equal(starts[index], clips[index - 1][:, :, -1])


def test_each_stream_of_the_network_starts_from_the_last_frame_before_it() -> None:
    generator = make().eval()
    image, mels, label, noise = inputs()

    cascaded = generator(image, mels, label, noise)

    start = image
    for index in range(4):
        single = generator(start, mels[:, index : index + 1], label, noise)[:, 0]
        torch.testing.assert_close(cascaded[:, index], single)
        start = single[:, :, -1]


@pytest.mark.parametrize(("detach", "reaches"), [(True, False), (False, True)])
def test_the_gradient_flows_through_the_frame_unless_detached(detach: bool, reaches: bool) -> None:
    generator = make(f"model.cascade_detach={detach}").eval()
    image, mels, label, noise = inputs()
    mels.requires_grad_()

    generator(image, mels, label, noise)[:, 1].sum().backward()

    assert mels.grad is not None
    assert bool(mels.grad[:, 0].abs().sum() > 0) == reaches
    assert bool(mels.grad[:, 1].abs().sum() > 0)


def test_batched_streams_equal_sequential_ones_without_the_cascade() -> None:
    generator = make("model.cascade=false").eval()
    image, mels, label, noise = inputs()

    batched = generator(image, mels, label, noise)
    sequential = torch.stack([generator(image, mels[:, k : k + 1], label, noise)[:, 0] for k in range(4)], dim=1)

    torch.testing.assert_close(batched, sequential)


def test_one_stream_generates_clips_of_the_same_shape_as_four() -> None:
    image, mels, label, noise = inputs()

    assert make("model.streams=1")(image, mels, label, noise).shape == (2, 4, 3, 4, 16, 16)
    assert make()(image, mels, label, noise).shape == (2, 4, 3, 4, 16, 16)


def test_a_rollout_concatenates_the_clips_and_may_be_longer() -> None:
    generator = make().eval()
    image, mels, label, noise = inputs(streams=7)

    video = generator.rollout(image, mels.flatten(1, 2), label, noise)

    assert video.shape == (2, 3, 28, 16, 16)
    torch.testing.assert_close(video[:, :, 8:12], generator(image, mels, label, noise)[:, 2])


def test_a_mask_of_zero_copies_the_start_image() -> None:
    generator = make("model.g_output=compose").eval()
    last = generator.decoder.blocks[-1]
    assert isinstance(last, DecoderBlock)
    with torch.no_grad():
        assert last.spatial.bias is not None
        last.spatial.bias[3] = -1e4
    image, mels, label, noise = inputs()

    clips = generator(image, mels, label, noise)

    torch.testing.assert_close(clips, image[:, None, :, None].expand_as(clips), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        ("model.z_dim=3",),
        ("model.norm=group",),
        ("model.audio_inject=bottleneck",),
        ("model.z_dim=3", "model.audio_inject=film", "model.norm=group", "model.g_output=warp"),
    ],
)
def test_options_run_and_every_input_has_an_effect(settings: tuple[str, ...]) -> None:
    generator = make(*settings).eval()
    z = 3 if "z_dim" in settings[0] else 0
    image, mels, label, noise = inputs(z=z)

    clips = generator(image, mels, label, noise)

    assert bool(torch.isfinite(clips).all())
    for changed in (
        (image * 0.5, mels, label, noise),
        (image, mels + 1, label, noise),
        (image, mels, label.flip(1), noise),
    ):
        assert not torch.equal(generator(*changed), clips)
    if z:
        assert not torch.equal(generator(image, mels, label, noise + 1), clips)


def test_modulation_by_the_sound_acts_on_its_own_frames() -> None:
    generator = make("model.audio_inject=film", "model.norm=group").eval()
    image, mels, label, noise = inputs()
    states = generator.audio_encoder(mels[:, 0])
    modulations = generator.decoder.modulations(states)

    assert [m.shape[1] for m in modulations] == generator.decoder.frames[1:]
    changed = generator.decoder.modulations(torch.cat((states[:, :3], states[:, 3:] + 1.0), dim=1))
    differs = (changed[-1] - modulations[-1]).abs().amax(dim=(0, 2)) > 0
    assert differs.tolist() == [False, False, False, True]
    for index in range(1, len(generator.decoder.blocks)):
        module = generator.decoder.blocks[index]
        assert isinstance(module, DecoderBlock)
        assert module.modulator is not None
        nn.init.zeros_(module.modulator.weight)
        nn.init.zeros_(module.modulator.bias)
    plain = make("model.audio_inject=bottleneck", "model.norm=group").eval()
    plain.load_state_dict({name: value for name, value in generator.state_dict().items() if ".modulator." not in name})
    torch.testing.assert_close(generator(image, mels, label, noise), plain(image, mels, label, noise))


@pytest.mark.parametrize(
    ("frames", "blocks", "upsampling", "expected"),
    [
        (8, 4, "middle", [1, 2, 4, 8, 8]),
        (8, 4, "late", [1, 1, 2, 4, 8]),
        (8, 4, "early", [2, 4, 8, 8, 8]),
        (32, 4, "middle", [2, 4, 8, 16, 32]),
        (32, 4, "early", [2, 4, 8, 16, 32]),
        (8, 3, "middle", [2, 4, 8, 8]),
        (32, 3, "middle", [4, 8, 16, 32]),
        (4, 2, "middle", [2, 4, 4]),
        (1, 4, "middle", [1, 1, 1, 1, 1]),
    ],
)
def test_frames_after_blocks(frames: int, blocks: int, upsampling: str, expected: list[int]) -> None:
    assert frames_after_blocks(frames, blocks, upsampling) == expected
