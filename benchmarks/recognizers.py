"""Accuracy of speech recognition alone on real videos: `python -m benchmarks.recognizers --folder VIDEOS`.

For each model: letters in their place and F1 of phrases of songs with a ground-truth file, object words of videos of one letter,
and CPU time. The screen is not used. The results stand in docs/recognizers.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.segmentation import segments_of_phrases
from phonics_data.media import is_video_file, probe
from phonics_data.media.audio_reader import read_audio
from phonics_data.recognizers.aligner import AlignOptions, refine
from phonics_data.recognizers.engines import EngineOptions, open_recognizer
from phonics_data.recognizers.whisper import WhisperOptions
from phonics_data.segmentation.letter_mentions import letter_mentions
from phonics_data.segmentation.scoring import read_truth_table, score_segments
from phonics_data.segmentation.segmenter import SegmenterOptions, segment_song
from phonics_data.types import Segment, TrueSegment, Word

_RATE_HZ = 16_000
ONE_LETTER = "one-letter"
"""Folder of videos of one letter; the file names are the letters."""


@dataclass(frozen=True, slots=True)
class SongResult:
    """Speech alone on one song; a letter is in its place if a phrase of it overlaps its true segment."""

    name: str
    num_true: int
    num_found: int
    num_in_place: int
    f1: float
    cpu_ratio: float


def recognized(path: Path, model: str) -> tuple[tuple[Word, ...], float, float]:
    """(aligned words, duration in seconds, CPU seconds of recognition per second of audio)."""
    duration = probe(path).duration_seconds
    audio = read_audio(path, duration_seconds=duration, rate_hz=_RATE_HZ)
    engine = open_recognizer(EngineOptions(engine="whisper", whisper=WhisperOptions(model=model, threads=1)))
    assert engine is not None  # the engine is named
    started = time.process_time()
    words = engine.recognize(audio, audio_rate_hz=_RATE_HZ, language="en").words
    cpu = time.process_time() - started
    words = refine(words, audio, audio_rate_hz=_RATE_HZ, options=AlignOptions()).words
    return tuple(words), duration, cpu / duration


def song_result(
    name: str, words: Sequence[Word], truth: Sequence[TrueSegment], duration: float, cpu: float
) -> SongResult:
    """Score of the phrases of `words` against `truth`."""
    end = max(duration, truth[-1].end_seconds)
    phrases = segment_song(words, "whisper", None, duration_seconds=end, options=SegmenterOptions()).phrases
    segments = segments_of_phrases(truth[0].video_id, phrases)
    in_place = sum(any(one.letter == own.letter and _overlap(one, own) for own in segments) for one in truth)
    score = score_segments(segments, truth)
    return SongResult(name, len(truth), len(segments), in_place, score.f1, cpu)


def _overlap(one: TrueSegment, other: Segment) -> bool:
    return min(one.end_seconds, other.end_seconds) > max(one.start_seconds, other.start_seconds)


def object_words(words: Sequence[Word], letter: str) -> list[str]:
    """The different object words that the transcript of a video of one letter mentions in patterns, in time order."""
    found = [one.object_word for one in letter_mentions(words, letter) if one.kind == "pattern" and one.object_word]
    return list(dict.fromkeys(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder of folders with a video and truth.tsv")
    parser.add_argument("--models", nargs="+", default=["tiny.en", "base"])
    parser.add_argument(
        "--one-letter", type=Path, default=Path(__file__).parent / "one-letter.tsv", help="letter start end word"
    )
    options = parser.parse_args()
    for model in options.models:
        for table in sorted(options.folder.glob("*/truth.tsv")):
            (path,) = (one for one in table.parent.iterdir() if is_video_file(one))
            words, duration, cpu = recognized(path, model)
            result = song_result(path.stem, words, read_truth_table(table, path.stem), duration, cpu)
            print(  # noqa: T201
                f"{model:8s} {table.parent.name:45s} in place {result.num_in_place}/{result.num_true} of "
                f"{result.num_found} phrases, F1 {result.f1:.2f}, CPU {result.cpu_ratio:.2f}"
            )
        expected = expected_words(options.one_letter)
        num_right = num_wrong = num_letters = 0
        for path in sorted((options.folder / ONE_LETTER).glob("*.mp4")):
            letter = path.stem.upper()
            words, _, cpu = recognized(path, model)
            found = object_words(words, letter)
            right = [word for word in found if word in expected.get(letter, ())]
            num_right, num_wrong = num_right + len(right), num_wrong + len(found) - len(right)
            num_letters += any(one.kind == "pattern" for one in letter_mentions(words, letter))
            print(f"{model:8s} {ONE_LETTER}/{path.stem}: {', '.join(found) or '-'}, CPU {cpu:.2f}")  # noqa: T201
        num_words = sum(len(words) for words in expected.values())
        print(f"{model:8s} {ONE_LETTER}: letters {num_letters}, words {num_right}/{num_words}, wrong {num_wrong}")  # noqa: T201


def expected_words(table: Path) -> dict[str, set[str]]:
    """Letter -> the object words of its video, from lines of letter, start, end and word ("-": none)."""
    words: dict[str, set[str]] = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) == 4 and fields[3] != "-":
            words.setdefault(fields[0].upper(), set()).add(fields[3])
    return words


if __name__ == "__main__":
    main()
