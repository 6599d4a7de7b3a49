from __future__ import annotations

import dataclasses
import string
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from phonics_data.errors import InputError, OptionError
from phonics_data.ocr.trace import trace_path
from phonics_data.segmentation.scoring import score_segments
from phonics_data.segmentation.segmenter import needs_screen
from phonics_data.segmentation.single_letter import MANIFEST_CONFIDENCE
from phonics_data.stages.segment import SegmentOptions, segment
from phonics_data.stages.transcribe import TranscribeOptions, transcribe
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Captions, FetchedVideo, Origin, Rejection, Segment, TranscriptWord, Word
from tests.phonics_data.segmentation.transcripts import CHORUS, EXAMPLES, INTRO, name_only, song

ALPHABET = string.ascii_uppercase


def video(name: str, duration: float = 100.0, captions: Captions | None = None) -> FetchedVideo:
    return FetchedVideo(
        video_id=name,
        path=f"media/{name}/video.mp4",
        sha256="00",
        num_bytes=1,
        duration_seconds=duration,
        frame_rate=Fraction(25),
        width=640,
        height=360,
        audio_rate_hz=44100,
        captions=captions,
        fetched_at="2026-01-01T00:00:00Z",
        fetcher_version="test",
    )


def prepare(
    workspace: Workspace, origin: Origin = "auto_captions", letters: str = ALPHABET, /, **songs: Sequence[Word]
) -> None:
    videos = [dataclasses.replace(video(name), letters=letters) for name in songs]
    write_table(workspace.table("videos"), FetchedVideo, videos)
    rows = [
        TranscriptWord(
            video_id=name,
            index=index,
            text=word.text,
            start_seconds=word.start_seconds,
            end_seconds=word.end_seconds,
            confidence=None,
            timing="native",
            language="en",
            origin=origin,
            engine_version="test",
        )
        for name, words in songs.items()
        for index, word in enumerate(words)
    ]
    write_table(workspace.table("words"), TranscriptWord, rows)


def segments(workspace: Workspace) -> list[Segment]:
    return read_table(workspace.table("segments"), Segment)


def rejections(workspace: Workspace) -> dict[str, Rejection]:
    return {row.item_id: row for row in read_table(workspace.table("rejections"), Rejection)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def test_segments_and_object_words_match_the_truth(workspace: Workspace) -> None:
    words, truth = song(before=[INTRO], after=[CHORUS])
    prepare(workspace, song=words)
    count = segment(workspace, SegmentOptions())
    found = segments(workspace)
    assert score_segments(found, truth, iou=0.9).f1 == 1.0
    assert [segment.object_word for segment in found] == [segment.object_word for segment in truth]
    assert all(segment.rule == "phrase" and segment.evidence == "captions" for segment in found)
    assert found[0].segment_id == f"song-{round(found[0].start_seconds * 1000):07d}"
    assert (count.num_in, count.num_kept, count.num_rejected) == (1, 1, 0)


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(25), Fraction(30000, 1001)])
def test_segment_lengths_are_whole_frames_within_the_limits(workspace: Workspace, rate: Fraction) -> None:
    words, _ = song(phrase=long_phrase)
    prepare(workspace, song=words)
    options = SegmentOptions(frame_rate=rate, min_frames=4, max_frames=40)
    segment(workspace, options)
    end = 0.0
    for one in segments(workspace):
        frames = (one.end_seconds - one.start_seconds) * float(rate)
        assert frames == pytest.approx(round(frames), abs=1e-6)
        assert 4 <= round(frames) <= 40
        assert one.start_seconds >= end - 1e-9
        end = one.end_seconds
    assert len({one.segment_id for one in segments(workspace)}) == len(segments(workspace))


def long_phrase(letter: str) -> str:
    return f"{letter} is for {letter} {letter} is for {letter} {letter} {letter}"


@pytest.mark.parametrize(("beat", "rest", "num_short"), [(0.2, 0.0, 26), (0.3, 0.4, 0)])
def test_letters_without_adjacent_gaps_are_rejected_as_too_short(
    workspace: Workspace, beat: float, rest: float, num_short: int
) -> None:
    words, _ = song(phrase=name_only, beat=beat, rest=rest)
    prepare(workspace, song=words)
    segment(workspace, SegmentOptions())
    found = rejections(workspace)
    # The first and the last letter have an adjacent gap.
    assert len(found) == max(num_short - 2, 0)
    assert all(row.reason == "too_short" and row.threshold == 14 for row in found.values())


def test_videos_without_letters_are_rejected(workspace: Workspace) -> None:
    talk = [
        Word(text=text, start_seconds=float(number), end_seconds=number + 0.5)
        for number, text in enumerate(
            "one two three four five once I caught a fish alive six seven eight nine ten".split()
        )
    ]
    good, _ = song()
    prepare(workspace, talk=talk, silent=[], good=good)
    count = segment(workspace, SegmentOptions())
    found = rejections(workspace)
    assert {name: row.reason for name, row in found.items()} == {"talk": "not_an_alphabet_song", "silent": "no_letters"}
    assert found["talk"].measured == 0
    assert {one.video_id for one in segments(workspace)} == {"good"}
    assert (count.num_in, count.num_kept, count.num_rejected) == (3, 1, 2)


def test_finished_videos_are_skipped_until_an_option_changes(workspace: Workspace) -> None:
    words, _ = song()
    prepare(workspace, one=words, two=words)
    segment(workspace, SegmentOptions())
    first = workspace.table("segments").read_bytes()
    assert segment(workspace, SegmentOptions(), workers=2).num_skipped == 2
    assert workspace.table("segments").read_bytes() == first
    assert segment(workspace, SegmentOptions(max_frames=50), workers=2).num_skipped == 0
    assert workspace.table("segments").read_bytes() != first


def test_invalid_order() -> None:
    with pytest.raises(OptionError, match=r"--order"):
        SegmentOptions(order="random")  # pyright: ignore[reportArgumentType]


def test_rendered_songs_from_captions_to_segments(songs: Path, workspace: Workspace) -> None:
    from phonics_data.sources.synthetic.render import read_truth

    truth = read_truth(songs / "truth.parquet")
    videos: list[FetchedVideo] = []
    for name in sorted({one.video_id for one in truth}):
        for path in songs.glob(f"{name}.*.json3"):
            target = workspace.media / name / path.name
            target.parent.mkdir(parents=True)
            target.write_bytes(path.read_bytes())
            track = path.name.split(".")[1]
            captions = Captions(
                track=track, kind="auto" if "orig" in track else "manual", path=workspace.relative(target)
            )
            end = max(segment.end_seconds for segment in truth if segment.video_id == name)
            videos.append(video(name, end + 1.0, captions))
    assert videos
    write_table(workspace.table("videos"), FetchedVideo, videos)
    transcribe(workspace, TranscribeOptions())
    segment(workspace, SegmentOptions(unit="letter"))  # as the ground truth
    captioned = {video.video_id for video in videos}
    assert (
        score_segments(segments(workspace), [segment for segment in truth if segment.video_id in captioned]).f1 >= 0.95
    )


@pytest.mark.parametrize("origin", ["whisper", "google"])
def test_recognized_words_have_evidence_speech(workspace: Workspace, origin: Origin) -> None:
    words, truth = song()
    prepare(workspace, origin, song=words)
    segment(workspace, SegmentOptions())
    found = segments(workspace)
    assert score_segments(found, truth, iou=0.9).f1 == 1.0
    assert {segment.evidence for segment in found} == {"speech"}


def test_recognized_speech_without_letters_is_rejected(workspace: Workspace) -> None:
    texts = (
        "oh my god I see you in the sea are you okay why don't we go on and be here with me "
        "thank you for listening to this and don't forget to subscribe until next time bye bye"
    ).split()
    words = [
        Word(text=text, start_seconds=index * 0.5, end_seconds=index * 0.5 + 0.4) for index, text in enumerate(texts)
    ]
    prepare(workspace, "whisper", talk=words)
    segment(workspace, SegmentOptions())
    assert segments(workspace) == []
    assert rejections(workspace)["talk"].reason == "not_an_alphabet_song"


def two_objects_each() -> list[Word]:
    """ "A is for apple, A is for ant", and so on, one word each half second."""
    second = "ant bear cow duck elephant fox grass hand ink jar".split()
    lines = [
        f"{letter} is for {EXAMPLES[letter]} {letter} is for {word}"
        for letter, word in zip(ALPHABET, second, strict=False)
    ]
    texts = " ".join(lines).split()
    return [Word(text=text, start_seconds=0.5 * n, end_seconds=0.5 * n + 0.4) for n, text in enumerate(texts)]


def test_unit_phrase_gives_a_segment_for_each_object_word_and_unit_letter_one_for_each_letter(
    workspace: Workspace,
) -> None:
    prepare(workspace, song=two_objects_each())
    segment(workspace, SegmentOptions())
    found = segments(workspace)
    assert [(one.letter, one.object_word, one.object_word_source) for one in found[:3]] == [
        ("A", "apple", "words"),
        ("A", "ant", "words"),
        ("B", "ball", "words"),
    ]
    assert len(found) == 20
    assert found[1].start_seconds == pytest.approx(2.0)
    segment(workspace, SegmentOptions(unit="letter", max_frames=200))
    assert [(one.letter, one.object_word) for one in segments(workspace)[:2]] == [("A", "apple"), ("B", "ball")]
    with pytest.raises(OptionError, match="--unit"):
        SegmentOptions(unit="word")  # pyright: ignore[reportArgumentType]


def test_repeated_object_word_is_one_segment(workspace: Workspace) -> None:
    def repeated(letter: str) -> str:
        return f"{letter} is for {EXAMPLES[letter]} {letter} {letter} {EXAMPLES[letter]}"

    words, _ = song(phrase=repeated, beat=0.4, rest=0.2)
    prepare(workspace, song=words)
    segment(workspace, SegmentOptions())
    assert [one.letter for one in segments(workspace)] == list(ALPHABET)


def test_row_of_one_letter_or_of_a_few_letters(workspace: Workspace) -> None:
    words = [
        Word(text=text, start_seconds=0.5 * n, end_seconds=0.5 * n + 0.4)
        for n, text in enumerate("B is for bat B is for ball".split())
    ]
    prepare(workspace, "whisper", "B", song=words)
    segment(workspace, SegmentOptions())
    assert [(one.letter, one.object_word, one.evidence) for one in segments(workspace)] == [
        ("B", "bat", "speech"),
        ("B", "ball", "speech"),
    ]
    # Another row for the same words takes effect at once.
    prepare(workspace, "whisper", "K", song=words)
    assert segment(workspace, SegmentOptions()).num_skipped == 0
    assert segments(workspace) == []
    rejection = rejections(workspace)["song"]
    assert rejection.reason == "letter_not_found"
    assert "the manifest has letter K" in rejection.detail
    few, truth = song("KLMNO")
    prepare(workspace, "whisper", "KLMNO", song=few)
    segment(workspace, SegmentOptions())
    assert score_segments(segments(workspace), truth, iou=0.9).f1 == 1.0
    prepare(workspace, "whisper", "ABCDE", song=few)
    segment(workspace, SegmentOptions())
    rejection = rejections(workspace)["song"]
    assert (rejection.reason, rejection.threshold) == ("not_an_alphabet_song", 3.0)
    assert "a song of the letters ABCDE" in rejection.detail


def test_one_letter_without_words_and_screen_is_labelled_by_the_manifest_with_low_confidence(
    workspace: Workspace,
) -> None:
    prepare(workspace, "whisper", "B", song=[])
    segment(workspace, SegmentOptions())
    found = segments(workspace)
    assert {(one.letter, one.evidence, one.confidence) for one in found} == {("B", "manifest", MANIFEST_CONFIDENCE)}


def test_captions_that_time_whole_lines_need_the_screen() -> None:
    words, _ = song()
    assert not needs_screen(words, duration_seconds=100.0)
    lines = [dataclasses.replace(word, timing="interpolated") for word in words]
    assert needs_screen(lines, duration_seconds=100.0)
    few, _ = song("KLMNO")
    assert needs_screen(few, duration_seconds=100.0)  # no alphabet, unless the manifest names these letters
    assert not needs_screen(few, duration_seconds=100.0, letters="KLMNO")


def test_trace_of_another_release_needs_a_new_transcription(workspace: Workspace) -> None:
    prepare(workspace, song=song()[0])
    path = trace_path(workspace.root, "song")
    path.parent.mkdir(parents=True)
    np.savez(path, rate=8)
    with pytest.raises(InputError, match="run `phonics-data transcribe` again"):
        segment(workspace, SegmentOptions())
    transcribe(workspace, TranscribeOptions(ocr="never"))
    assert not path.exists()


def test_limits_count_frames_of_each_source(workspace: Workspace) -> None:
    """With ``--frame-rate source``, lengths are counted in frames of the source's own rate."""
    words, _ = song(phrase=long_phrase)
    prepare(workspace, cine=words, phone=words)
    rates = {"cine": Fraction(24000, 1001), "phone": Fraction(60)}
    videos = [dataclasses.replace(video(name), frame_rate=rate) for name, rate in rates.items()]
    write_table(workspace.table("videos"), FetchedVideo, videos)
    segment(workspace, SegmentOptions(frame_rate=None, min_frames=4, max_frames=40))
    longest: dict[str, float] = {}
    for one in segments(workspace):
        frames = (one.end_seconds - one.start_seconds) * float(rates[one.video_id])
        assert frames == pytest.approx(round(frames), abs=1e-6)
        assert 4 <= round(frames) <= 40
        longest[one.video_id] = max(longest.get(one.video_id, 0), one.end_seconds - one.start_seconds)
    assert longest["phone"] <= 40 / 60 + 1e-6 < longest["cine"]  # the same words, the same limit in frames
    write_table(
        workspace.table("videos"), FetchedVideo, [videos[0], dataclasses.replace(videos[1], frame_rate=Fraction(50))]
    )
    assert segment(workspace, SegmentOptions(frame_rate=None, min_frames=4, max_frames=40)).num_skipped == 1
    assert segment(workspace, SegmentOptions(min_frames=4, max_frames=40)).num_skipped == 0
