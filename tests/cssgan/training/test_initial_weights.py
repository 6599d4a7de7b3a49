"""Runs that start from weights: what is taken, what is refused, and how they resume."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

import cssgan
from cssgan import config as configs
from cssgan.config import Config, from_json
from cssgan.errors import CheckpointError, RunError
from cssgan.training import checkpoint, initial_weights, loop
from cssgan.training.run_folder import claim, read_init
from cssgan.training.summary import describe
from tests.cssgan.inference.test_generate import save_run
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_dataset

STILL = ("optim.g_lr=1e-12", "optim.d_lr=1e-12", "train.num_videos=3", "train.ema_half_life=10")
"""One step that changes nothing that float32 shows."""


def train(config: Config, dataset: Path, run: Path, init: Path | str | None = None) -> str:
    text = io.StringIO()
    loop.train(config, dataset, run, init=init, console=Console(file=text, width=300))
    return text.getvalue()


@pytest.fixture
def first(dataset: Path, tmp_path: Path) -> Path:
    """A run of four steps on other clips than `dataset`."""
    write_dataset(tmp_path / "other", train=[make_sample(200 + seed, num_frames=20 + seed) for seed in range(6)])
    train(tiny_config("optim.d_lr=1e-2"), tmp_path / "other", tmp_path / "first")
    return tmp_path / "first"


def newest(run: Path) -> checkpoint.Checkpoint:
    return checkpoint.load_newest(run)


def parameters(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Without buffers, which one step changes: batch statistics and vectors of spectral norms."""
    return {name: tensor for name, tensor in weights.items() if name.endswith(("weight", "bias", "original"))}


def close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return len(parameters(a)) > 5 and all(
        torch.allclose(tensor, b[name], atol=1e-7) for name, tensor in parameters(a).items()
    )


def test_a_run_starts_from_the_networks_and_mel_statistics_of_another(
    dataset: Path, first: Path, tmp_path: Path
) -> None:
    text = train(tiny_config(*STILL), dataset, tmp_path / "run", first)
    train(tiny_config(*STILL), dataset, tmp_path / "plain")

    old, new, plain = newest(first), newest(tmp_path / "run"), newest(tmp_path / "plain")
    assert close(old.generator_weights(), new.generator_weights())
    assert close(old.generator_weights(), new.generator_weights("ema"))
    assert close(old.discriminator_weights(), new.discriminator_weights())
    assert not close(old.generator_weights(), plain.generator_weights())
    assert new.progress.num_steps == 1
    assert new.mel_stats == old.mel_stats != plain.mel_stats
    assert f"starting from {first} (generator and discriminators, " in text
    record = read_init(tmp_path / "run")
    assert record is not None
    assert record["networks"] == ["generator", "discriminators"]
    assert len(record["digest"]) == 64


def test_an_export_has_no_discriminators(dataset: Path, first: Path, tmp_path: Path) -> None:
    out = cssgan.export(first, tmp_path / "out")
    train(tiny_config(*STILL, "discriminator.width=4"), dataset, tmp_path / "run", out)

    assert close(newest(first).generator_weights(), newest(tmp_path / "run").generator_weights())
    record = read_init(tmp_path / "run")
    assert record is not None
    assert record["networks"] == ["generator"]
    assert record["digest"] == json.loads((out / "config.json").read_text())["sha256"]
    card = (cssgan.export(tmp_path / "run", tmp_path / "again") / "README.md").read_text()
    assert f"started from the weights of out (SHA-256 {record['digest'][:16]}...)" in card
    assert str(tmp_path) not in (tmp_path / "again/config.json").read_text()


def test_resuming_gives_the_same_weights_and_does_not_read_the_initial_ones(
    dataset: Path, first: Path, tmp_path: Path
) -> None:
    out = cssgan.export(first, tmp_path / "out")
    train(tiny_config("train.num_videos=12"), dataset, tmp_path / "whole", out)
    train(tiny_config("train.num_videos=6"), dataset, tmp_path / "parts", out)
    shutil.rmtree(out)

    text = train(tiny_config("train.num_videos=12"), dataset, tmp_path / "parts", out)

    assert "resuming after step 2" in text
    a, b = newest(tmp_path / "whole"), newest(tmp_path / "parts")
    assert a.mel_stats == b.mel_stats == newest(first).mel_stats
    for one, other in (
        (a.generator_weights(), b.generator_weights()),
        (a.discriminator_weights(), b.discriminator_weights()),
    ):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    record = read_init(tmp_path / "parts")
    assert record == read_init(tmp_path / "whole")
    config = initial_weights.start_config(out, record)  # the export is gone
    assert config.model == tiny_config().model
    with pytest.raises(CheckpointError, match="no such folder"):
        train(tiny_config(), dataset, tmp_path / "new", out)
    assert not (tmp_path / "new").exists()


def test_a_run_keeps_its_initial_weights(dataset: Path, first: Path, tmp_path: Path) -> None:
    train(tiny_config("train.num_videos=6"), dataset, tmp_path / "run", first)
    train(tiny_config("train.num_videos=6"), dataset, tmp_path / "plain")

    with pytest.raises(RunError, match=f"began with --init {first}; use the same option"):
        train(tiny_config(), dataset, tmp_path / "run")
    with pytest.raises(RunError, match="began without --init; use the same option"):
        train(tiny_config(), dataset, tmp_path / "plain", first)
    shutil.rmtree(tmp_path / "run/checkpoints")  # killed before its first checkpoint
    train(tiny_config("train.seed=9"), dataset, tmp_path / "second")
    shutil.rmtree(first)
    shutil.copytree(tmp_path / "second", first)
    with pytest.raises(RunError, match=r"the weights of --init .* changed since this run began"):
        train(tiny_config("train.num_videos=6"), dataset, tmp_path / "run", first)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (("model.width=4", "train.seed=3"), "differs in model.width: 2 -> 4; leave"),
        (("model.g_output=direct", "loss.l1_weight=1"), "differs in model.g_output: compose -> direct; leave"),
        (("model.temporal_upsampling=late",), "differs in model.temporal_upsampling: middle -> late; leave"),
        (("model.streams=1",), "differs in model.streams: 4 -> 1; leave"),
        (("discriminator.width=4",), "differs in discriminator.width: 2 -> 4; leave"),
    ],
)
def test_weights_of_other_shapes_are_refused_with_the_fields(
    dataset: Path, first: Path, tmp_path: Path, settings: tuple[str, ...], named: str
) -> None:
    config = tiny_config(*settings)
    with pytest.raises(RunError) as refused:
        train(config, dataset, tmp_path / "run", first)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()
    with pytest.raises(RunError, match="differs in"):
        describe(config, dataset, init=first)


def test_training_options_may_differ(dataset: Path, first: Path) -> None:
    config = tiny_config(
        "optim.g_lr=1e-5", "train.batch_size=2", "loss.l1_weight=3", "order.p_in_order=0.5", "train.seed=7"
    )
    assert any(line.startswith("starting from ") for line in describe(config, dataset, init=first))


def test_the_label_sets_must_match(dataset: Path, tmp_path: Path) -> None:
    run = save_run(tmp_path / "letters")
    initial = initial_weights.read_initial_weights(cssgan.export(run, tmp_path / "out"))
    from phonics_data.contract.labels import LabelSet

    with pytest.raises(RunError, match="label set letters \\(26 classes\\), the dataset has own \\(2\\)"):
        initial_weights.check(initial, tiny_config(), LabelSet("own", ("one", "two")))


def test_without_a_preset_the_configuration_is_that_of_the_weights(first: Path) -> None:
    config = initial_weights.start_config(first, None)

    old = from_json(json.loads((first / "config.json").read_text())["config"])
    assert (config.model, config.optim, config.loss) == (old.model, old.optim, old.loss)
    assert (old.train.device, config.train.device) == ("cpu", "auto")  # of the machine


def test_a_run_may_have_the_name_of_the_model_that_it_began_from(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, name = Path("rendered-64"), "rendered-64"
    given = initial_weights.start_config(name, None)
    text = configs.to_json(given)
    record = initial_weights.read_initial_weights(name).record()
    claim(run, given, "digest", record)

    read = initial_weights.read_initial_weights(name, read_init(run))  # killed before its first checkpoint
    config = initial_weights.start_config(name, read_init(run))
    claim(run, config, "digest", {"source": initial_weights.source_name(name, read_init(run))})

    assert (read.source, read.digest) == (name, record["digest"])
    assert configs.to_json(config) == text
    assert read_init(run) == record
    with pytest.raises(RunError, match="began with --init rendered-64; use the same option"):
        claim(run, config, "digest", {"source": initial_weights.source_name("./rendered-64", read_init(run))})


@pytest.mark.parametrize("kind", ["shape", "missing", "unknown"])
@pytest.mark.parametrize("network", ["generator", "discriminators"])
def test_weights_that_are_not_those_of_their_configuration_are_refused(first: Path, kind: str, network: str) -> None:
    whole = initial_weights.read_initial_weights(first)
    weights = dict(getattr(whole, network))
    name = min(name for name, tensor in weights.items() if tensor.ndim > 1 and len(tensor) > 1)
    if kind == "shape":
        weights[name] = weights[name][:1]
    elif kind == "missing":
        del weights[name]
    else:
        name = "a.new"
        weights[name] = torch.zeros(3)
    broken = dataclasses.replace(whole, **{network: weights})

    with pytest.raises(RunError) as refused:
        initial_weights.check(broken, whole.config, whole.label_set)

    assert f"its weights are not those of its configuration; tensor {name}: got " in str(refused.value)
    assert ("no such tensor" in str(refused.value)) == (kind != "shape")
    assert "\n" not in str(refused.value)


def test_the_licence_of_the_initial_weights_is_that_of_the_export(dataset: Path, first: Path, tmp_path: Path) -> None:
    about = tmp_path / "about.md"
    about.write_text("license: cc-by-sa-4.0\n\n## Data\n")
    config = tiny_config(*STILL)

    def card(run: Path, name: str, about: Path | None = None) -> str:
        return (cssgan.export(run, tmp_path / name, about=about) / "README.md").read_text()

    assert "\nlicense: mit\n" in card(first, "own")
    assert "\nlicense: cc-by-sa-4.0\n" in card(first, "licensed", about)
    train(config, dataset, tmp_path / "second", tmp_path / "licensed")
    train(config, dataset, tmp_path / "third", tmp_path / "second")
    train(config, dataset, tmp_path / "unknown", first)
    for name in ("second", "third"):
        text = card(tmp_path / name, f"{name}-export")
        assert "\nlicense: cc-by-sa-4.0\n" in text
        assert "decide the licence" not in text
        assert json.loads((tmp_path / f"{name}-export/config.json").read_text())["license"] == "cc-by-sa-4.0"
    text = card(tmp_path / "unknown", "unknown-export")
    assert "\nlicense: other\n" in text
    assert "The weights that the training began from decide the licence of these weights" in text


def test_a_shipped_model_can_be_started_from() -> None:
    initial = initial_weights.read_initial_weights("rendered-64")
    config = initial_weights.start_config("rendered-64", None)
    initial_weights.check(initial, config, initial.label_set)
    assert (initial.config.train.threads, config.train.threads) == (1, 0)  # of the machine
    assert initial.source == "rendered-64"
    assert initial.record()["license"] == "cc-by-sa-4.0"
