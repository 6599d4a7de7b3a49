"""Options of the commands, in one group per stage. Each group constructs the options of its stage."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from phonics_data.cli.option_groups import option
from phonics_data.contract.address import local_path
from phonics_data.contract.frame_rate import rate_of_text
from phonics_data.errors import OptionError

if TYPE_CHECKING:
    from phonics_data.contract.shard import FramesFormat
    from phonics_data.executors.executor import Executor
    from phonics_data.quality.split import Ratios
    from phonics_data.recognizers import whisper
    from phonics_data.recognizers.engines import AlignMode, EngineName
    from phonics_data.recognizers.google import ApiVersion
    from phonics_data.segmentation.units import Unit
    from phonics_data.segmentation.viterbi import Order
    from phonics_data.stages.fetch.options import FetchOptions
    from phonics_data.stages.segment import SegmentOptions
    from phonics_data.stages.shard.options import DatasetFit, ShardOptions
    from phonics_data.stages.transcribe import OcrMode, TranscribeOptions
    from phonics_data.storage.parts import Part
    from phonics_data.storage.reviews import Reviews

Manifest = Annotated[str, typer.Argument(help="CSV or parquet manifest: path or address (https://, s3://, hf://).")]
Dataset = Annotated[Path, typer.Argument(help="Dataset folder.")]
AnyDataset = Annotated[
    str, typer.Argument(help="Dataset: folder or address (https://, s3://, gs://, hf://datasets/...).")
]
Work = Annotated[Path, typer.Option(help="Workspace: folder for the results of all stages.")]
Out = Annotated[Path, typer.Option(help="Dataset folder to write.")]
Workers = Annotated[int, typer.Option(min=1, help="Number of processes.")]
PartOption = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="K/N",
        help="Process only the K-th of N parts of the videos (by a hash of the id), beside other processes; write no table. The same command "
        "without --part then does what is missing and writes the tables.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]
Sleep = Annotated[tuple[float, float], typer.Option(help="Minimum and maximum pause between two videos, in seconds.")]
FetchWorkers = Annotated[
    int, typer.Option(help="Number of videos fetched at the same time; they share the pauses of --sleep.")
]


def _size() -> Any:
    return option(64, "Width and height of a clip, in pixels (paper: 64).", min=8)


def _frame_rate() -> Any:
    return option(
        "25", "Frame rate of the clips, e.g. 25 or 30000/1001; source: each clip keeps the rate of its source."
    )


_REVIEWS_HELP = "Decisions of people to apply (reviews.csv). Default: WORK/reviews.csv, if it exists; none: the segments without decisions."
ReviewsFile = Annotated[str, typer.Option("--reviews", help=_REVIEWS_HELP)]


def read_decisions(reviews: str) -> Reviews | None:
    """The decisions of `--reviews`; None: those of the workspace."""
    from phonics_data.storage.reviews import Reviews, read_reviews

    if not reviews:
        return None
    return Reviews() if reviews == "none" else read_reviews(local_path(reviews, "--reviews"))


def parse_part(text: str | None) -> Part | None:
    """The part of `PartOption`; None without one. Raises `OptionError`, also for an empty text, as of a variable that is not set."""
    from phonics_data.storage.parts import Part

    return Part.parse(text) if text is not None else None


@dataclass(frozen=True, kw_only=True)
class ExecutorArguments:
    executor: str = option(
        "local",
        "What processes the items: local (--workers processes), or ray (a Ray cluster, extra ray; all nodes must see WORK).",
    )
    ray_address: str = option("auto", "Address of the Ray cluster; auto: that of this machine, or of RAY_ADDRESS.")

    def executor_of(self, work: Path) -> Executor:
        """What processes the items of the workspace `work`. Raises `OptionError`."""
        from phonics_data.executors.executor import on_this_machine
        from phonics_data.executors.ray_cluster import RayExecutor

        if self.executor not in ("local", "ray"):
            raise OptionError("--executor", self.executor, "local or ray")
        if self.executor == "local" and self.ray_address != "auto":
            raise OptionError("--ray-address", self.ray_address, "only with --executor ray")
        return on_this_machine if self.executor == "local" else RayExecutor(self.ray_address, folder=work)


@dataclass(frozen=True, kw_only=True)
class NetworkArguments:
    cookies: Path | None = option(None, "Cookies in Netscape format; read, never written.")
    cookies_from_browser: str = option("", "Use the cookies of this browser, e.g. firefox or chrome:Default.")
    proxy: str = option("", "URL of a proxy for all downloads.")


@dataclass(frozen=True, kw_only=True)
class FetchArguments(NetworkArguments):
    size: int = _size()
    max_height: int | None = option(None, "Maximum video height to fetch, in pixels; default: derived from --size.")
    limit_rate: str = option("", "Bytes per second and worker, e.g. 500K or 2M.")
    sleep: tuple[float, float] = option((5.0, 10.0), "Minimum and maximum pause between two videos, in seconds.")
    only: list[str] | None = option(None, "Fetch only this video id; can be repeated.")
    letters: str = option("", "Fetch only videos with one of these letters, e.g. ABC.")
    tier: int = option(
        2,
        "Highest tier to fetch. Evidence that a row is correct: 1 strong, 2 a maintained list or several lists with equal "
        "entries, 3 one list (manifests/README.md).",
    )
    retry: str = option("", "Fetch again the videos of an earlier run with this status: failed, gone, or all.")

    def options(self, workers: int) -> FetchOptions:
        from phonics_data.stages.fetch.options import FetchOptions, default_max_height, parse_rate, parse_retry

        return FetchOptions(
            max_height=default_max_height(self.size) if self.max_height is None else self.max_height,
            cookies=self.cookies,
            cookies_from_browser=self.cookies_from_browser,
            proxy=self.proxy,
            limit_rate=parse_rate(self.limit_rate) if self.limit_rate else 0,
            sleep_seconds=self.sleep,
            workers=workers,
            only=tuple(self.only or ()),
            letters=self.letters,
            max_tier=self.tier,
            retry=parse_retry(self.retry),
        )


@dataclass(frozen=True, kw_only=True)
class TranscribeArguments:
    engine: str = option(
        "auto",
        "Speech recognition for videos whose captions contain no alphabet: auto (whisper if it and its model are "
        "installed, else none), captions (none), whisper, google.",
    )
    model: str = option("tiny.en", "Whisper model: tiny.en, base.en, small.en, ... large-v3, or a folder.")
    device: str = option("auto", "Device for Whisper: auto (a GPU if there is one), cpu, cuda.")
    align: str = option("auto", "Forced alignment of recognized words: auto (if installed), always, never.")
    ocr: str = option("auto", "OCR of the screen: auto (if words are missing or uncertain), always, never.")
    language: str = option("en", "Language of the speech, e.g. en.")
    ignore_captions: bool = option(False, "Do not use the words of captions, to test speech recognition and OCR.")
    yes: bool = option(False, "Send audio to Google without confirmation; see --max-minutes.")
    max_minutes: float = option(
        60.0, "Limit of audio sent to Google from WORK, all runs together.", envvar="PHONICS_MAX_MINUTES"
    )
    google_api: str = option("v1", "Google API version: v1 or v2.", envvar="PHONICS_GOOGLE_API")
    google_project: str = option(
        "", "Google Cloud project, for v2; default: that of the credentials.", envvar="GOOGLE_CLOUD_PROJECT"
    )
    google_location: str = option(
        "global", "Google's location: global, us, eu or a region.", envvar="PHONICS_GOOGLE_LOCATION"
    )
    google_model: str = option("", "Google's model; default: Google's (v2: long).", envvar="PHONICS_GOOGLE_MODEL")
    bucket: str = option("", "gs://BUCKET/FOLDER: upload long songs unsplit.", envvar="PHONICS_GOOGLE_BUCKET")

    def options(self) -> TranscribeOptions:
        from phonics_data.recognizers.engines import EngineOptions
        from phonics_data.recognizers.google import GoogleOptions
        from phonics_data.recognizers.whisper import WhisperOptions
        from phonics_data.stages.transcribe import TranscribeOptions

        google = GoogleOptions(
            api_version=cast("ApiVersion", self.google_api),
            project=self.google_project,
            location=self.google_location,
            model=self.google_model,
            bucket=self.bucket,
            endpoint=os.environ.get("PHONICS_GOOGLE_ENDPOINT", ""),
            may_send=self.yes,
            max_minutes=self.max_minutes,
        )
        engine = EngineOptions(
            engine=cast("EngineName", self.engine),
            whisper=WhisperOptions(model=self.model, device=cast("whisper.Device", self.device)),
            google=google,
            align=cast("AlignMode", self.align),
        )
        return TranscribeOptions(
            language=self.language, ocr=cast("OcrMode", self.ocr), engine=engine, ignore_captions=self.ignore_captions
        )


@dataclass(frozen=True, kw_only=True)
class SegmentArguments:
    frame_rate: str = _frame_rate()
    min_frames: int = option(14, "Minimum length of a clip, in frames (paper: 14).", min=1)
    max_frames: int = option(100, "Maximum length of a clip, in frames (paper: 100).", min=1)
    order: str = option("auto", "Letters in alphabetical order: strict, any (no order), auto (detected per video).")
    unit: str = option("phrase", "A clip for each object word (phrase), or for all phrases of a letter (letter).")
    reviews: str = option("", _REVIEWS_HELP)

    def decisions(self) -> Reviews | None:
        return read_decisions(self.reviews)

    def options(self) -> SegmentOptions:
        from phonics_data.stages.segment import SegmentOptions

        return SegmentOptions(
            frame_rate=parse_frame_rate(self.frame_rate),
            min_frames=self.min_frames,
            max_frames=self.max_frames,
            order=cast("Order", self.order),
            unit=cast("Unit", self.unit),
        )


@dataclass(frozen=True, kw_only=True)
class ShardArguments:
    frame_rate: str = _frame_rate()
    size: int = _size()
    fit: str = option(
        "squash",
        "How wide frames become square: squash (the whole frame, as the paper), letter (the square around letter and object), "
        "pad (black bars), crop (the centre), letterbox-detect (the centre without black bars).",
    )
    frames: str = option("npy", "Storage of frames: npy (raw, fast to read), or mp4 (small, lossy) for large frames.")
    filters: Path | None = option(None, "TOML file with limits of the quality filters, e.g. min_seconds = 1.0.")
    min_confidence: float | None = option(
        None,
        "Drop segments with a lower confidence, 0 to 1; imported labels have 1. Default: that of --filters, else 0.25.",
        min=0.0,
        max=1.0,
    )
    object_pictures: bool = option(
        True, "Look for the object that appears in each clip and store its picture, object.png."
    )
    drop_static: bool = option(False, "Drop clips of a still image.")
    split_ratios: str = option("0.8,0.1,0.1", "Fractions of train, validation, test.")
    splits: Path | None = option(
        None,
        "CSV with the columns video_id and split (train, validation, test, unseen-styles); sources not in it are split by "
        "--split-ratios.",
    )
    shard_bytes: int = option(100_000_000, "Mean size of a shard.")
    seed: int = option(0, "Seed of the split and of the order of samples.")

    def options(self, label_set: str = "letters", *, near_duplicates: bool = True) -> ShardOptions:
        """The options of the stage.

        Args:
            near_duplicates: False disables their detection.
        """
        from phonics_data.quality.filters import FilterOptions, read_filter_options
        from phonics_data.quality.split import read_given_splits
        from phonics_data.stages.shard.options import ShardOptions

        filters = read_filter_options(self.filters) if self.filters is not None else FilterOptions()
        if self.min_confidence is not None:
            filters = replace(filters, min_confidence=self.min_confidence)
        if self.drop_static:
            filters = replace(filters, drop_static=True)
        if not near_duplicates:
            filters = replace(filters, max_image_hash_bits=0, max_audio_hash_bits=0)
        return ShardOptions(
            frame_rate=parse_frame_rate(self.frame_rate),
            width=self.size,
            height=self.size,
            fit=cast("DatasetFit", self.fit),
            seed=self.seed,
            object_pictures=self.object_pictures,
            ratios=_parse_ratios(self.split_ratios),
            given_splits=read_given_splits(self.splits) if self.splits is not None else (),
            filters=filters,
            target_shard_bytes=self.shard_bytes,
            label_set=label_set,
            frames=cast("FramesFormat", self.frames),
        )


def parse_frame_rate(text: str) -> Fraction | None:
    """`text` as an exact frame rate in (0, 240], None for ``source``; raises `OptionError`."""
    if text == "source":
        return None
    rate = rate_of_text(text)
    if not 0 < rate <= 240:
        raise OptionError(
            "--frame-rate", text, "a number or fraction over 0 and up to 240, e.g. 25 or 30000/1001, or source"
        )
    return rate


def _parse_ratios(text: str) -> Ratios:
    from phonics_data.quality.split import Ratios

    try:
        train, validation, test = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError("--split-ratios", text, "three fractions, e.g. 0.8,0.1,0.1") from None
    return Ratios(train=train, validation=validation, test=test)
