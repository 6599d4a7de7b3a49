from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from phonics_data.captions import cue_files
from phonics_data.captions.parse import CAPTION_SUFFIXES, CaptionTrack, interpolate_times, parse_captions, read_captions
from phonics_data.errors import CaptionError
from tests.fuzz.captions import check_words, parse_or_reject, random_input

pytestmark = pytest.mark.dependencies


def json3(*events: dict[str, Any]) -> bytes:
    return json.dumps({"wireMagic": "pb3", "events": list(events)}).encode()


def line(start_ms: int, duration_ms: int, *segs: tuple[str, int | None]) -> dict[str, Any]:
    return {
        "tStartMs": start_ms,
        "dDurationMs": duration_ms,
        "segs": [{"utf8": text} | ({} if offset is None else {"tOffsetMs": offset}) for text, offset in segs],
    }


def timed(track: CaptionTrack) -> list[tuple[str, float, float]]:
    return [(word.text, word.start_seconds, word.end_seconds) for word in track.words]


def read(data: bytes | str, suffix: str, duration: float | None = None) -> CaptionTrack:
    return parse_captions(
        data.encode() if isinstance(data, str) else data, suffix, name=f"song{suffix}", duration_seconds=duration
    )


# --- json3 ---------------------------------------------------------------------------------------------------------


def test_json3_words_end_where_the_next_word_begins() -> None:
    track = read(
        json3(
            {"tStartMs": 0, "dDurationMs": 9000, "id": 1, "wpWinPosId": 1},
            # Two lines are displayed at once, so the first event overlaps the second.
            line(1000, 5000, ("A", None), (" is", 400), (" for", 700), (" apple", 900)),
            {"tStartMs": 3000, "dDurationMs": 3000, "aAppend": 1, "segs": [{"utf8": "\n"}]},
            line(3000, 4000, ("B", None), (" is", 500)),
        ),
        ".json3",
    )
    assert timed(track) == [
        ("A", 1.0, 1.4), ("is", 1.4, 1.7), ("for", 1.7, 1.9), ("apple", 1.9, 3.0), ("B", 3.0, 3.5), ("is", 3.5, 5.5),
    ]  # fmt: skip
    assert {word.timing for word in track.words} == {"native"}
    assert track.warnings == ()


def test_json3_without_word_times_interpolates_words_within_each_line() -> None:
    track = read(json3(line(1000, 3000, ("A is for\napple", None)), line(4000, 2000, ("B", None))), ".json3")
    assert [word.text for word in track.words] == ["A", "is", "for", "apple", "B"]
    assert {word.timing for word in track.words} == {"interpolated"}
    assert (track.words[0].start_seconds, track.words[3].end_seconds) == (1.0, 4.0)


def test_json3_keeps_repeated_letters() -> None:
    track = read(
        json3(line(0, 4000, ("A", None), (" A", 500), (" apple", 1000)), line(2000, 900, ("A", None))), ".json3"
    )
    assert [word.text for word in track.words] == ["A", "A", "apple", "A"]


def test_json3_segs_without_times_continue_the_word_before() -> None:
    track = read(json3(line(0, 2000, ("al", None), ("pha", None), (" beta", 800))), ".json3")
    assert [word.text for word in track.words] == ["alpha", "beta"]


def test_json3_confidence_of_zero_means_not_given() -> None:
    event = line(0, 2000, ("A", None), (" b", 500))
    event["segs"][0]["acAsrConf"] = 0
    event["segs"][1]["acAsrConf"] = 204
    assert [word.confidence for word in read(json3(event), ".json3").words] == [None, 0.8]


def test_json3_event_without_duration_ends_at_the_next_event() -> None:
    first = {"tStartMs": 0, "segs": [{"utf8": "A"}, {"utf8": " b", "tOffsetMs": 100}]}
    assert timed(read(json3(first, line(800, 500, ("c", None))), ".json3"))[1] == ("b", 0.1, 0.8)


def test_json3_word_after_the_end_of_its_line_is_kept() -> None:
    assert timed(read(json3(line(0, 500, ("A", None), (" b", 900))), ".json3"))[1][:2] == ("b", 0.9)


def test_json3_text_that_is_appended_to_an_event_is_kept() -> None:
    scrolled = {"tStartMs": 2000, "dDurationMs": 1000, "aAppend": 1, "segs": [{"utf8": "\n"}]}
    appended = line(1500, 1500, (" is for", None)) | {"aAppend": 1}
    rest_of_word = line(2000, 1000, ("ty apple", None)) | {"aAppend": 1}
    track = read(json3(line(1000, 2000, ("A", None)), appended, scrolled, rest_of_word), ".json3")
    assert [word.text for word in track.words] == ["A", "is", "forty", "apple"]
    assert [track.words[index].start_seconds for index in (0, 1, 3)] == [1.0, 1.5, 2.0]
    timed_track = read(json3(line(1000, 2000, ("A", None), (" is", 300)), appended), ".json3")
    assert [word.text for word in timed_track.words] == ["A", "is", "is", "for"]


def test_json3_lone_surrogates_are_removed() -> None:
    data = b'{"events": [{"tStartMs": 0, "dDurationMs": 900, "segs": [{"utf8": "\\ud83dA"}]}]}'
    assert [word.text for word in read(data, ".json3").words] == ["A"]


def test_json3_invalid_events_are_skipped_with_a_warning() -> None:
    track = read(json3({"tStartMs": "soon", "segs": [{"utf8": "x"}]}, line(1000, 500, ("A", None))), ".json3")
    assert [word.text for word in track.words] == ["A"]
    assert track.warnings == ("song.json3, event 1: invalid tStartMs, dDurationMs or segs; left out",)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "line 1: not JSON"),
        (b'{"events": [\n{"segs": }]}', "line 2: not JSON"),
        (b"[1, 2]", "no list 'events'"),
        (b'{"events": 3}', "no list 'events'"),
        (b"<html><body>429 Too Many Requests</body></html>", "line 1: not JSON"),
        (b"[" * 100_000, "JSON cannot be parsed"),
        (b'{"events": [' + b"9" * 10_000 + b"]}", "JSON cannot be parsed"),
        (b"\xff\xfe\x00", "UTF-16"),
        (b"abc\n\x00\xff", "line 2: not text"),
    ],
)
def test_json3_errors_contain_file_line_and_fault(data: bytes, fault: str) -> None:
    with pytest.raises(CaptionError, match=re.escape(fault)) as caught:
        read(data, ".json3")
    assert str(caught.value).startswith("song.json3, line ")
    assert caught.value.reason == "captions_unreadable"


# --- WebVTT and SRT ------------------------------------------------------------------------------------------------

ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:01.000 --> 00:00:02.000 align:start position:0%
 
A<00:00:01.400><c> is</c><00:00:01.600><c> for</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
A is for
 

00:00:02.010 --> 00:00:03.000 align:start position:0%
A is for
apple<c.colorE5E5E5><00:00:02.500><c> yum</c></c>

00:00:03.000 --> 00:00:03.010 align:start position:0%
apple yum
 

00:00:03.010 --> 00:00:04.000 align:start position:0%
apple yum
A

00:00:04.000 --> 00:00:04.010 align:start position:0%
A
 

00:00:04.010 --> 00:00:05.000 align:start position:0%
A
A

"""  # noqa: W293 - YouTube pads lines with one space


def test_rolling_lines_give_each_spoken_word_once() -> None:
    track = read(ROLLING, ".vtt")
    assert [(word.text, word.start_seconds) for word in track.words] == [
        ("A", 1.0), ("is", 1.4), ("for", 1.6), ("apple", 2.01), ("yum", 2.5), ("A", 3.01), ("A", 4.01),
    ]  # fmt: skip
    assert {word.timing for word in track.words} == {"native"}
    assert track.language == "en"


def test_rolling_lines_without_padding() -> None:
    stripped = re.sub(r"\n \n", "\n", ROLLING)
    assert [word.text for word in read(stripped, ".vtt").words][:6] == ["A", "is", "for", "apple", "yum", "A"]


def test_words_of_a_real_rolling_file(shared_data: Path) -> None:
    path = shared_data / "captions" / "glut23+webvtt-py" / "tests__subtitles__youtube_dl.vtt"
    track = read_captions(path, duration_seconds=None)
    assert [word.text for word in track.words] == ["yeah", "what", "this", "will", "happen", "is", "I'm", "telling"]
    assert [word.start_seconds for word in track.words][:4] == [286.07, 286.47, 304.08, 304.199]


SRT = "1\n00:00:01,000 --> 00:00:02,000\n<i>A</i> is for apple\n2\n0:0:2,0 --> 00:00:03.500\n{\\an8}B is\n- for ball\n"


def test_srt_with_missing_blank_lines_tags_and_dots() -> None:
    track = read(SRT, ".srt")
    assert [word.text for word in track.words] == ["A", "is", "for", "apple", "B", "is", "for", "ball"]
    assert (track.words[4].start_seconds, track.words[-1].end_seconds) == (2.0, 3.5)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_endings_and_encodings(newline: str, encoding: str) -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nA is für ápple\n".replace("\n", newline)
    track = read(text.encode(encoding), ".vtt")
    assert [word.text for word in track.words] == ["A", "is", "für", "ápple"]


def test_windows_1252_is_decoded_with_a_warning() -> None:
    track = read("1\n00:00:01,000 --> 00:00:02,000\ncafé\n".encode("cp1252"), ".srt")
    assert [word.text for word in track.words] == ["café"]
    assert track.warnings == ("song.srt, line 3: not UTF-8, decoded as Windows-1252",)


def test_invalid_cues_are_skipped_with_their_line_number() -> None:
    text = "WEBVTT\n\n00:00:01.000 --> 00:00:0x.000\nlost\n\n00:00:05,000 --> 00:00:06,000\nkept\n\n00:09.000 --> 00:08.000\nlost\n"
    track = read(text, ".vtt")
    assert [word.text for word in track.words] == ["kept"]
    assert [warning.split(":")[0] for warning in track.warnings] == ["song.vtt, line 3", "song.vtt, line 9"]


PLAIN = "1\n00:00:01,000 --> 00:00:02,000\nA is for apple\n\n2\n00:00:03,000 --> 00:00:04,000\nB is\nfor ball\n\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("\n", "\r\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace("\n", "\r\n\r\n"),
        lambda text: text.replace("is", "is\n\n"),
        lambda text: text.replace(",000\n", ",000\n\n"),
        lambda text: text.replace("1\n00", "1\n\n00").replace("2\n00", "2\n\n00"),
        lambda text: text.replace(",000", ""),
        lambda text: text.replace(",000", ",000000"),
        lambda text: text.replace("-->", "->"),
        lambda text: text.replace("-->", "\u2192"),
        lambda text: text.replace("-->", "--&gt;"),
        lambda text: text + "3\n\n",
    ],
    ids=["crcrlf", "double", "double crlf", "empty line in text", "empty line above text", "empty line after number",
         "no milliseconds", "microseconds", "short arrow", "arrow sign", "escaped arrow", "number without a cue"],
)  # fmt: skip
def test_srt_with_empty_lines_and_other_time_lines_loses_no_word(damage: Callable[[str], str]) -> None:
    track = read(damage(PLAIN), ".srt")
    assert " ".join(word.text for word in track.words) == "A is for apple B is for ball"
    assert (track.words[0].start_seconds, track.words[4].start_seconds) == (1.0, 3.0)
    assert track.warnings == ()


def test_numbers_that_are_sung_are_not_numbers_of_cues() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\none\n1\n\n2\n00:00:02,000 --> 00:00:03,000\n\n2\ntwo\n"
    assert [word.text for word in read(text, ".srt").words] == ["one", "1", "2", "two"]


def test_text_of_webvtt_after_an_empty_line_is_read_with_a_warning() -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nA is\n\nfor apple\n\nNOTE not\nthis\n\nx\n00:03.000 --> 00:04.000\nB\n"
    track = read(text, ".vtt")
    assert [word.text for word in track.words] == ["A", "is", "for", "apple", "B"]
    assert track.warnings == (
        "song.vtt, line 6: text after an empty line, without a time of its own; read as text of the cue before (1 such texts)",
    )


def test_identifiers_without_an_empty_line_above_are_not_words() -> None:
    text = "WEBVTT\n\n" + "".join(f"cue-{n}\n00:0{n}.000 --> 00:0{n}.900\nA {n}\n" for n in range(1, 4))
    assert [word.text for word in read(text, ".vtt").words] == ["A", "1", "A", "2", "A", "3"]


@pytest.mark.parametrize(
    ("suffix", "data", "fault"),
    [
        (".vtt", "", "line 1: the file is empty"),
        (".srt", " \n\n", "line 1: the file is empty"),
        (".vtt", "<!DOCTYPE html>\n<p>Too many requests</p>", "begins with 'WEBVTT'"),
        (".srt", "some text\nand more", "no cue with a time"),
    ],
)
def test_other_file_formats_are_rejected(suffix: str, data: str, fault: str) -> None:
    with pytest.raises(CaptionError, match=re.escape(fault)):
        read(data, suffix)


def test_segments_of_a_stream_with_different_clocks_are_rejected() -> None:
    segment = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{}\n\n00:01.000 --> 00:02.000\nA apple\n"
    with pytest.raises(CaptionError, match="line 8: joined from segments of a stream"):
        read("\n".join([segment.format(900000), segment.format(1800000)]), ".vtt")
    assert [word.text for word in read(segment.format(900000), ".vtt").words] == ["A", "apple"]


def test_unknown_suffix_and_missing_file_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(CaptionError, match=r"allowed: \.json3, \.vtt, \.srt"):
        read_captions(tmp_path / "song.ass", duration_seconds=None)
    with pytest.raises(CaptionError, match="cannot be read"):
        read_captions(tmp_path / "song.vtt", duration_seconds=None)


def test_a_track_longer_than_the_video_is_rejected_or_trimmed() -> None:
    events = json3(line(0, 1000, ("A", None)), line(9500, 4000, ("B", 0)), line(12_000, 900, ("C", None)))
    assert timed(read(events, ".json3", duration=10.0))[-1] == ("B", 9.5, 10.0)
    with pytest.raises(CaptionError, match="another version") as caught:
        read(json3(line(27_000, 4000, ("A", None))), ".json3", duration=10.0)
    assert (caught.value.measured, caught.value.threshold) == (31.0, 25.0)
    assert str(caught.value).startswith("song.json3, event 1: ")
    with pytest.raises(CaptionError, match=r"song\.vtt, line 6: this caption ends at 80\.0 s"):
        read(
            "WEBVTT\n\n00:01.000 --> 00:02.000\nA\n\n01:10.000 --> 01:20.000\nB\n\n00:05.000 --> 00:06.000\nC\n",
            ".vtt",
            duration=10.0,
        )


def test_display_time_after_the_last_word_does_not_count_as_length() -> None:
    # An automatic line is displayed until the next one; the last line has none. [Music] is not text.
    words = line(8000, 60_000, ("A", None), (" b", 400))
    track = read(json3(words, line(9000, 90_000, ("[Music]", None))), ".json3", duration=10.0)
    assert timed(track) == [("A", 8.0, 8.4), ("b", 8.4, 10.0)]


def test_a_file_over_the_size_limit_is_rejected_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "song.vtt"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    with pytest.raises(CaptionError, match=r"song\.vtt, line 1: 67,108,864 bytes, allowed: 33,554,432"):
        read_captions(path, duration_seconds=None)


def test_language_is_read_from_the_header_only() -> None:
    body = "\n00:01.000 --> 00:02.000\nLanguage: de\n"
    track = read("WEBVTT\nKind: captions\nLanguage: en-GB\n" + body, ".vtt")
    assert (track.language, track.language_line) == ("en-GB", 3)
    assert read("WEBVTT\n" + body, ".vtt").language is None
    assert read("1\n00:00:01,000 --> 00:00:02,000\nLanguage: de\n", ".srt").language is None


def test_words_are_sorted_by_time() -> None:
    cues = "WEBVTT\n\n00:05.000 --> 00:06.000\nB\n\n00:01.000 --> 00:02.000\nA\n"
    assert [word.text for word in read(cues, ".vtt").words] == ["A", "B"]
    inline = "WEBVTT\n\n00:02.000 --> 00:06.000\nA<00:00:01.000><c> is</c><00:00:05.000><c> for</c><00:00:03.000><c> me</c>\n"
    assert [(word.text, word.start_seconds) for word in read(inline, ".vtt").words] == [
        ("A", 2.0), ("is", 2.0), ("me", 3.0), ("for", 5.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[Music] A [Applause]", "A"),
        ("(upbeat music) ♪ A is ♪", "A is"),
        (">> MARY: hello", "hello"),
        ("- A\n- B", "A B"),
        ("NARRATOR: A &amp; B&#39;s &gt;&gt; C", "A B's C"),
        ("A: apple", "A: apple"),
        ("[A] is", "[A] is"),
        ("&#99999999999999999999; A", "A"),
        ("... -- A", "A"),
        ("&amp;#39;A&amp;#39; &amp;gt;&amp;gt; B", "'A' B"),
        ("【音楽】 A *upbeat music* B （applause）", "A B"),
        ("– A\n— B", "A B"),
        ("\u202aA\u202c\u200b b\xadall 🎵", "A ball"),
        ("A is<br>for<br/>apple", "A is for apple"),
        ("A is\\Nfor\\happle|yum\u200bB", "A is for apple yum B"),
        ("a < b and c > d", "a b and c d"),
        ("a <3 b and c > d", "a <3 b and c d"),
        ("<u ann>a</u> <lang en>is</lang>", "a is"),
        ("{comment}A{y:i} is {\\pos(1,2)\\fad(100,100)\\t(0,500,\\fscx120\\fscy120)\\1c&H00FFFF&}B {C}", "A is B {C}"),
        ("{\\p1}m 0 0 l 100 0 100 100{\\p0}A is", "A is"),
        ("CAT: c for cat", "CAT: c for cat"),
        ("ABC: apple", "ABC: apple"),
        ("A. B. C: sing", "A. B. C: sing"),
        ("Speaker 1: A\nSPEAKER_00: is\n[SPEAKER_01]: for\nOLD WOMAN: it", "A is for it"),
    ],
)
def test_clean_text(text: str, words: str) -> None:
    cue = f"WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n"
    assert " ".join(word.text for word in read(cue, ".vtt").words) == words


def test_labels_are_names_of_speakers_if_they_are_repeated() -> None:
    lines = [
        "Mary: A is",
        "Mary: B is",
        "CAT: c for cat",
        "Mary: D is",
        "ABC: sing",
        "ABC: sing",
        "ABC: sing",
        "A: apple",
        "A: ape",
        "A: ant",
    ]
    cues = "".join(f"00:0{n}.000 --> 00:0{n}.900\n{line}\n\n" for n, line in enumerate(lines))
    expected = " ".join(lines).replace("Mary: ", "")
    assert " ".join(word.text for word in read("WEBVTT\n\n" + cues, ".vtt").words) == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_without_a_byte_order_mark_is_read_with_a_warning(encoding: str) -> None:
    track = read(PLAIN.encode(encoding), ".srt")
    assert [word.text for word in track.words][:4] == ["A", "is", "for", "apple"]
    assert len(track.warnings) == (encoding != "utf-32")  # Python writes a mark


# --- comparison with other parsers and real files ---------------------------------------------------------------------------


def test_cue_times_equal_webvtt_py_on_real_files(shared_data: Path) -> None:
    folder = shared_data / "captions" / "glut23+webvtt-py"
    checked = 0
    for name in ("sample.vtt", "using_identifiers.vtt", "captions_with_bom.vtt", "netflix_chicas_del_cable.vtt"):
        path = folder / f"tests__subtitles__{name}"
        ours = {word.start_seconds for word in read_captions(path, duration_seconds=None).words}
        for caption in webvtt.read(str(path)):
            words = [word for word in re.sub(r"\[.*?\]|\(.*?\)", "", caption.text).split() if word.strip(".-♪")]
            if words:
                start = sum(
                    float(part) * scale for part, scale in zip(caption.start.split(":"), (3600, 60, 1), strict=True)
                )
                assert round(start, 3) in ours, (name, caption)
                checked += 1
    assert checked > 500


# Known differences from browsers.
_BROWSER_ONLY = {
    "min-top-digits": "hours of three digits with a zero in front",
    "minimum-spots-over-sixty": "120 minutes without hours",
    "timestamp__basic": "a time before the first word moves that word",
    "timestamp__nested": "a time before the first word moves that word",
    "timestamp__out-of-cue-range": "a time before the first word moves that word",
    "no-end-gt": "an open tag swallows the line",
    "no-closing-gt": "an open tag swallows the line",
}


def test_cue_times_equal_a_browser_parser(shared_data: Path) -> None:
    checked = 0
    for expected in sorted((shared_data / "captions" / "mozilla+vtt.js").glob("*.json")):
        path = expected.with_suffix(".vtt")
        if expected.name.endswith("-proc.json") or not path.exists() or any(n in path.stem for n in _BROWSER_ONLY):
            continue
        cues = json.loads(expected.read_text())["cues"]
        texts = [
            (cue["startTime"], re.sub(r"<[^>]*>", "", cue["text"])) for cue in cues if cue["endTime"] > cue["startTime"]
        ]
        starts = {start for start, text in texts if re.search(r"\w", text)}
        got = {word.start_seconds for word in read_captions(path, duration_seconds=None).words}
        assert starts <= got, path.name
        checked += 1
    assert checked > 60


def test_real_files_give_words_or_an_error_with_its_position(shared_data: Path) -> None:
    """Files of three projects under each suffix: error pages, other formats, and parser stress tests."""
    read_as: dict[str, int] = dict.fromkeys(CAPTION_SUFFIXES, 0)
    paths = sorted(path for path in (shared_data / "captions").rglob("*") if path.is_file())
    for path, suffix in itertools.product(paths, CAPTION_SUFFIXES):
        got = parse_or_reject(path.read_bytes(), suffix, duration_seconds=None)
        read_as[suffix] += isinstance(got, CaptionTrack) and bool(got.words)
    assert len(paths) > 300
    assert read_as[".vtt"] > 100
    assert read_as[".json3"] == 0


# --- properties ----------------------------------------------------------------------------------------------------

_TEXT = st.text(alphabet="Aab z'<c>/:.0129-\n&;[]♪>()", max_size=30)
_CUES = st.lists(st.tuples(st.integers(0, 100_000), st.integers(-50, 9_000), _TEXT), max_size=12)


def clock(milliseconds: int, comma: str = ".") -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{comma}{rest:03d}"


@given(_CUES)
def test_random_cues_give_ordered_words(cues: list[tuple[int, int, str]]) -> None:
    body = "\n".join(f"{clock(start)} --> {clock(max(start + length, 0))}\n{text}\n" for start, length, text in cues)
    check_words(read("WEBVTT\n\n" + body, ".vtt"), 1e6)
    parse_or_reject(body.replace(".", ",", 1).encode(), ".srt", duration_seconds=60.0)


_NUMBERS = st.one_of(st.integers(-10, 10**7), st.floats(allow_nan=True), st.none(), st.booleans(), st.text(max_size=3))
_SEGS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"utf8": _TEXT}, optional={"tOffsetMs": _NUMBERS, "acAsrConf": _NUMBERS}), _NUMBERS
    ),
    max_size=5,
)
_EVENTS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"tStartMs": _NUMBERS},
            optional={"dDurationMs": _NUMBERS, "segs": st.one_of(_SEGS, _NUMBERS), "aAppend": _NUMBERS},
        ),
        _NUMBERS,
    ),
    max_size=6,
)


@given(_EVENTS)
def test_random_json3_gives_ordered_words(events: list[Any]) -> None:
    check_words(read(json.dumps({"events": events}).encode(), ".json3"), 1e6)


@settings(max_examples=300)
@given(
    st.binary(max_size=200), st.sampled_from(CAPTION_SUFFIXES), st.sampled_from([b"", b"WEBVTT\n\n", b'{"events":['])
)
def test_random_bytes_give_words_or_a_caption_error(data: bytes, suffix: str, head: bytes) -> None:
    parse_or_reject(head + data, suffix)


@settings(max_examples=300)
@given(st.randoms(use_true_random=False))
def test_damaged_files_give_words_or_a_caption_error(rng: random.Random) -> None:
    suffix, data = random_input(rng)
    parse_or_reject(data, suffix)


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".vtt", b"WEBVTT\n\n" + b"00:01.000 --> 00:02.000\nA\n\n" * 20_000),
        (".vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + b"<" * 300_000),
        (".vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + b"<00:00:01.100>A " * 20_000),
        (".vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + b"([{\\>>- " * 40_000),
        (".vtt", b"WEBVTT\n" + b"-->\n" * 100_000),
        (".srt", b"00:01,000 --> 00:02,000\n" + b"(" + b"a " * 200_000),
        (".srt", b"00:01,000 --> 00:02,000\n" + b"A.A " * 100_000),
        (".srt", b"00:01,000 --> 00:02,000\n" + b"&#1" * 100_000),
        (".json3", json3({"tStartMs": 0, "segs": [{"utf8": "A ", "tOffsetMs": n % 7} for n in range(20_000)]})),
    ],
)
@pytest.mark.timeout(30)  # about 1 s each; quadratic run time would take minutes
def test_large_files_do_not_hang(suffix: str, data: bytes) -> None:
    parse_or_reject(data, suffix)


@given(
    st.lists(st.text(alphabet="abc", min_size=1, max_size=9), min_size=1, max_size=9),
    st.floats(0, 1e4),
    st.floats(0, 100),
)
def test_interpolated_times_cover_the_interval_in_order(tokens: list[str], start: float, length: float) -> None:
    times = interpolate_times(tokens, start, start + length)
    assert times[0][0] == start
    assert times[-1][1] == pytest.approx(start + length)
    for (_, end), (begin, _) in itertools.pairwise(times):
        assert end == begin


def test_both_readers_of_webvtt_give_the_same_cues(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that keep the rules of the format are read by webvtt-py, others by their time lines."""
    texts = [path.read_bytes() for path in sorted((shared_data / "captions").rglob("*.vtt"))]

    def words(data: bytes) -> object:
        try:
            return parse_captions(data, ".vtt", name="x").words
        except CaptionError as error:
            return str(error)

    kept_rules: list[bool] = []
    original = cue_files._well_formed  # pyright: ignore[reportPrivateUsage]

    def counting(lines: list[str]) -> list[Any] | None:
        found = original(lines)
        kept_rules.append(found is not None)
        return found

    monkeypatch.setattr(cue_files, "_well_formed", counting)
    by_the_rules = [words(data) for data in texts]
    monkeypatch.setattr(cue_files, "_well_formed", lambda lines: None)
    assert [words(data) for data in texts] == by_the_rules
    assert sum(kept_rules) > 20, "webvtt-py read files"
