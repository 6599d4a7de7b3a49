"""The object as a condition: code, place, blend; nothing changes without a visible pixel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.models import factory
from cssgan.models.generator import CascadedGenerator
from cssgan.models.interface import WindowInputs
from cssgan.models.object_picture import ObjectEncoder, ObjectPlacer, paste, place, placing_loss
from tests.cssgan.toy_dataset import tiny_config

WITH_OBJECT = ("model.object_condition=true", "model.word_dim=6")


def make(*settings: str, std: float = 0.3) -> CascadedGenerator:
    torch.manual_seed(0)
    generator = factory.generator(tiny_config(*settings), num_classes=5)
    assert isinstance(generator, CascadedGenerator)
    for parameter in generator.parameters():  # larger than the initial 0.02, so that differences would show
        nn.init.normal_(parameter, 0.0, std)
    return generator.eval()


def inputs(batch: int = 2, frames: int = 4, streams: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    label = functional.one_hot(torch.arange(batch) % 5, 5).float()
    image = torch.rand(batch, 3, 16, 16) * 2 - 1
    return image, torch.randn(batch, streams, frames, 64, 20), label, torch.zeros(batch, 0)


def pictures(batch: int = 2, size: int = 8) -> Tensor:
    torch.manual_seed(2)
    return torch.cat((torch.rand(batch, 3, size, size) * 2 - 1, torch.rand(batch, 1, size, size)), dim=1)


def without_object(generator: CascadedGenerator, *settings: str) -> CascadedGenerator:
    """A generator without the options, with the weights that both have."""
    plain = make(*settings)
    state = dict(generator.state_dict())
    for name, weight in plain.state_dict().items():
        state[name] = state[name][tuple(slice(size) for size in weight.shape)]
    first = "decoder.blocks.0.temporal.weight"
    code = plain.image_encoder.code.out_channels
    weight = generator.state_dict()[first]
    # Inputs of the bottleneck: audio, class and noise; object and word, which are zero; code of the image.
    kept = plain.state_dict()[first].shape[0] - code
    state[first] = torch.cat((weight[:kept], weight[-code:]))
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    return plain


@pytest.mark.parametrize("output", ["direct", "compose", "warp"])
@pytest.mark.parametrize("streams", ["model.streams=4", "model.streams=1"])
def test_without_a_visible_pixel_the_model_is_that_without_the_option(output: str, streams: str) -> None:
    settings = (f"model.g_output={output}", streams)
    generator = make(*settings, *WITH_OBJECT).double()
    plain = without_object(generator, *settings).double()
    generator.requires_grad_(False)
    plain.requires_grad_(False)
    conditions = [x.double() for x in inputs()]
    visible, word = pictures().double(), torch.ones(2, 6).double()
    invisible = torch.cat((visible[:, :3], torch.zeros(2, 1, 8, 8)), dim=1)

    expected = plain(*conditions)
    for window in (None, WindowInputs(object_BCHW=invisible, word_BE=torch.zeros_like(word))):
        torch.testing.assert_close(generator(*conditions, window), expected, atol=1e-10, rtol=1e-10)
    for window in (WindowInputs(object_BCHW=visible), WindowInputs(word_BE=word)):
        assert float((generator(*conditions, window) - expected).abs().max()) > 1e-7


def test_the_colour_of_transparent_pixels_has_no_effect() -> None:
    generator, picture = make(*WITH_OBJECT), pictures()
    picture[:, 3, :4] = 0.0
    other = picture.clone()
    other[:, :3, :4] = 1.0

    videos = [generator(*inputs(), WindowInputs(object_BCHW=one)) for one in (picture, other)]

    torch.testing.assert_close(*videos)


def test_an_untrained_placer_puts_the_picture_near_the_centre_at_half_of_the_size() -> None:
    torch.manual_seed(0)
    placer = ObjectPlacer(audio=6, context=4)
    placing_BFP = placer(torch.randn(3, 5, 6), torch.randn(3, 4)).detach()
    white = torch.ones(3, 4, 16, 16)

    rgba_BTCHW = place(white, placing_BFP, 32).rgba_BTCHW

    assert rgba_BTCHW.shape == (3, 5, 4, 32, 32)
    visible = rgba_BTCHW[:, :, 3] > 0.5
    sides = torch.stack((visible.any(3).sum(2), visible.any(2).sum(2))).float()
    assert 13 <= float(sides.min()) <= float(sides.max()) <= 19
    centres = (visible * torch.arange(32)).sum((2, 3)) / visible.sum((2, 3))
    assert float((centres - 15.5).abs().max()) < 1.5


@pytest.mark.parametrize(("scale", "right", "down"), [(0.5, 0.0, 0.0), (0.6, 0.3, -0.2), (1.4, -0.5, 0.1)])
def test_placing_equals_grid_sample(scale: float, right: float, down: float) -> None:
    # From 8 to 32 pixels the picture is never made smaller, so the filter is bilinear.
    picture = pictures(2, 8).double()
    log_scale = torch.atanh(torch.tensor(scale / 0.5).double().log() / 1.5)
    placing = torch.stack((log_scale, log_scale, *torch.atanh(torch.tensor([right, down]).double() / 2), log_scale))

    found = place(picture, placing.expand(2, 3, 5), 32).rgba_BTCHW

    theta = torch.tensor([[1 / scale, 0.0, -right / scale], [0.0, 1 / scale, -down / scale]]).double().expand(2, 2, 3)
    grid = functional.affine_grid(theta, [2, 4, 32, 32], align_corners=False)
    premultiplied = torch.cat((picture[:, :3] * picture[:, 3:], picture[:, 3:]), dim=1)
    expected = functional.grid_sample(premultiplied, grid, padding_mode="zeros", align_corners=False)
    torch.testing.assert_close(found, expected[:, None].expand(-1, 3, -1, -1, -1), atol=1e-6, rtol=1e-6)


def test_a_picture_made_smaller_keeps_its_mean() -> None:
    checkers = torch.ones(1, 4, 16, 16)
    checkers[:, :3] = ((torch.arange(16)[:, None] + torch.arange(16)) % 2).float() * 2 - 1
    placing = torch.zeros(1, 1, 5)

    rgba = place(checkers, placing, 8).rgba_BTCHW[0, 0]

    assert float(rgba[:3].abs().max()) < 0.2
    assert float(rgba[3].mean()) == pytest.approx(0.25, abs=0.01)


def test_the_presence_hides_and_shows_the_picture() -> None:
    clip = torch.zeros(1, 3, 2, 8, 8)
    placing = torch.zeros(1, 2, 5)
    placing[0, :, 4] = torch.tensor([-30.0, 30.0])

    out = paste(clip, place(torch.ones(1, 4, 4, 4), placing, 8))

    assert float(out[:, :, 0].abs().max()) < 1e-6
    assert float(out[0, :, 1, 4, 4].min()) > 0.99
    assert float(out[0, :, 1, 0].abs().max()) < 1e-6


def test_the_code_is_zero_without_a_visible_pixel() -> None:
    encoder = ObjectEncoder(size=8, width=2)
    picture = pictures(2)
    picture[1, 3] = 0.0

    code = encoder(picture).detach()

    assert float(code[0, -1]) == 1.0
    assert float(code[0].abs().sum()) > 1.0
    assert float(code[1].abs().max()) == 0.0


PLACED_BOX = (0.25, 0.5, 0.75, 0.75)


def placed_at(box: tuple[float, ...], extent: tuple[float, float]) -> Tensor:
    """placing_BFP (1, 1, 5) that puts the visible part of a picture, of the given width and height in it, at a box."""
    scale = torch.tensor([(box[2] - box[0]) / extent[0], (box[3] - box[1]) / extent[1]])
    centre = torch.tensor([box[0] + box[2] - 1, box[1] + box[3] - 1])
    numbers = (((scale / 0.5).log() / 1.5).atanh(), (centre / 2).atanh(), torch.tensor([30.0]))
    return torch.cat(numbers).reshape(1, 1, 5)


def loss_at(placed: tuple[float, ...], box: tuple[float, ...], presence: float = 31.0) -> tuple[float, float]:
    picture = torch.zeros(1, 4, 8, 8)
    picture[:, 3, 2:6] = 1.0  # as wide as the picture, half as high
    placing = placed_at(placed, (1.0, 0.5))
    placing[..., 4] = presence
    near, present = placing_loss(placing, picture, torch.tensor([[box]]), torch.ones(1, 1))
    return float(near), float(present)


def test_the_loss_of_a_placing_is_zero_where_the_pixels_are_in_the_box() -> None:
    picture = torch.zeros(1, 4, 8, 8)
    picture[:, :, 2:6] = 1.0
    rgba = place(picture, placed_at(PLACED_BOX, (1.0, 0.5)), 32).rgba_BTCHW[0, 0]
    rows, columns = ((rgba[3] > 0.5).any(dim=axis).nonzero() for axis in (1, 0))
    assert (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) == (8, 16, 24, 24)

    assert loss_at(PLACED_BOX, PLACED_BOX) == pytest.approx((0.0, 0.0), abs=1e-5)
    moved, larger = loss_at((0.35, 0.5, 0.85, 0.75), PLACED_BOX), loss_at((0.2, 0.4, 0.8, 0.85), PLACED_BOX)
    assert moved[0] == pytest.approx(2 * (0.1 - 0.025), abs=1e-4)  # two edges, smooth L1 with beta .05
    assert larger[0] > 0.1


def test_an_edge_at_the_edge_of_the_frame_can_be_beyond_it() -> None:
    box = (0.75, 0.5, 1.0, 0.75)
    assert loss_at((0.75, 0.5, 1.5, 0.75), box)[0] == pytest.approx(0.0, abs=1e-5)
    assert loss_at((0.75, 0.5, 0.9, 0.75), box)[0] == pytest.approx(0.1 - 0.025, abs=1e-4)
    assert loss_at((0.85, 0.5, 1.5, 0.75), box)[0] == pytest.approx(0.1 - 0.025, abs=1e-4)


def test_presence_counts_where_it_is_known() -> None:
    nowhere, unknown = (0.0,) * 4, (float("nan"),) * 4
    assert loss_at(PLACED_BOX, nowhere, presence=31.0) == pytest.approx((0.0, 30.0))
    assert loss_at(PLACED_BOX, nowhere, presence=-29.0) == pytest.approx((0.0, 0.0), abs=1e-5)
    assert loss_at(PLACED_BOX, PLACED_BOX, presence=-29.0) == pytest.approx((0.0, 30.0), abs=1e-5)
    assert loss_at(PLACED_BOX, unknown, presence=3.0) == (0.0, 0.0)
    picture, placing = torch.ones(1, 4, 8, 8), torch.randn(1, 2, 5, requires_grad=True)
    near, present = placing_loss(placing, picture, torch.full((1, 2, 4), torch.nan), torch.ones(1, 2))
    (near + present).backward()
    assert placing.grad is not None
    assert not placing.grad.any()
    held = placing_loss(torch.randn(1, 1, 5), picture, torch.tensor([[PLACED_BOX]]), torch.zeros(1, 1))
    assert [float(loss) for loss in held] == [0.0, 0.0]


@pytest.mark.parametrize("streams", ["model.streams=4", "model.streams=1"])
def test_gradients_reach_placing_and_encoder(streams: str) -> None:
    torch.manual_seed(0)
    generator = factory.generator(tiny_config(streams, *WITH_OBJECT), num_classes=5)

    generator(*inputs(), WindowInputs(object_BCHW=pictures(), word_BE=torch.ones(2, 6))).square().mean().backward()

    parts = ("object_placer.", "object_encoder.")
    gradients = {name: p.grad for name, p in generator.named_parameters() if name.startswith(parts)}
    assert len(gradients) > 8
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert float(gradient.abs().max()) > 0, name


def test_a_single_stream_and_a_rollout_get_the_object() -> None:
    image, mels, label, noise = inputs()
    window = WindowInputs(object_BCHW=pictures())
    for settings in (("model.streams=4",), ("model.streams=1",), ("model.streams=1", "model.cascade=false")):
        generator = make(*settings, *WITH_OBJECT)
        clips = generator(image, mels, label, noise, window)
        assert not torch.allclose(clips, generator(image, mels, label, noise), atol=1e-2)
        if generator.use_cascade:
            video = generator.rollout(image, mels.flatten(1, 2), label, noise, window=window)
            torch.testing.assert_close(video, clips.transpose(1, 2).flatten(2, 3), atol=1e-5, rtol=1e-5)
