"""Caption files: words in time order, or an error with its position. The first byte of an input selects the suffix."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator

from phonics_data.captions.parse import CAPTION_SUFFIXES, CaptionTrack, parse_captions
from phonics_data.errors import CaptionError

INPUTS = 34_000
MODULES = ("phonics_data.captions.parse", "phonics_data.captions.clean", "phonics_data.captions.cue_files",
    "phonics_data.captions.highlight", "phonics_data.captions.markup")  # fmt: skip
DURATION_SECONDS = 600.0

FILES = (
    (".json3", b'{"wireMagic":"pb3","events":[{"tStartMs":0,"dDurationMs":9000,"id":1},{"tStartMs":1000,"dDurationMs":5000,"segs":'
    b'[{"utf8":"A"},{"utf8":" is","tOffsetMs":400,"acAsrConf":204},{"utf8":" apple","tOffsetMs":900}]},'
    b'{"tStartMs":3000,"dDurationMs":3000,"aAppend":1,"segs":[{"utf8":"\\n"}]},{"tStartMs":3000,"segs":[{"utf8":"B"}]}]}'),
    (".vtt", b"WEBVTT\nKind: captions\nLanguage: en\n\n00:00:01.000 --> 00:00:02.000 align:start position:0%\n \n"
    b"A<00:00:01.400><c> is</c><00:00:01.600><c.colorE5E5E5> for</c>\n\n00:00:02.000 --> 00:00:02.010\nA is for\n \n\n"
    b"00:00:02.010 --> 00:00:03.000\nA is for\nA\n\n00:00:03.000 --> 00:00:04.000\nA\nA\n"),
    (".vtt", b"WEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE x\n\none\n00:01.000 --> 00:02.000\n<v Mary>[Music] A &amp; B</v>\n"),
    (".srt", b"1\n00:00:01,000 --> 00:00:02,000\n<i>A</i> is for apple\n2\n0:0:2,0 --> 00:00:03.500\n{\\an8}- B is\n"),
)  # fmt: skip
WORDS = (
    b'{"events":[', b'{"tStartMs":', b',"dDurationMs":', b',"tOffsetMs":', b',"acAsrConf":', b',"aAppend":1', b',"segs":[',
    b'{"utf8":"', b'"}', b"]}", b"]", b"}", b",", b"1e999", b"-1", b"NaN", b"null", b"\\ud800", b"\\n", b"[", b"9" * 30,
    b"WEBVTT", b"\n\n", b"\n", b"\r", b"\r\n", b" \n", b" --> ", b"-->", b"00:00:01.000", b"00:00:02,000", b"0:0:1.5",
    b"9999:59:59.999", b"99:99.999", b"<00:00:01.500>", b"<c>", b"</c>", b"<c.colorCCCCCC>", b"<v Ann>", b"<", b">",
    b"&amp;", b"&#39;", b"&#x110000;", b"&amp;gt;", b"[Music]", b"(applause)", b"[", b"(", b")", b">> ANN: ", b"- ",
    b"\xe2\x99\xaa", b"NOTE", b"STYLE", b"REGION", b"Language: de", b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\0", b"A", b"A A",
    b" apple", b"B", b"7", b"{\\an8}", b"*", b"#", b"\xe2\x80\x8b", b"\xed\xa0\x80", b"\xd9\xa1",
)  # fmt: skip


def check_words(track: CaptionTrack, limit_seconds: float) -> None:
    """Assert the rules that every parsed track must satisfy."""
    starts = [word.start_seconds for word in track.words]
    assert starts == sorted(starts), "words are not sorted"
    for word, start in zip(track.words, starts, strict=True):
        assert 0 <= start < word.end_seconds <= limit_seconds, "a word is empty in time or outside the video"
        assert word.text == word.text.strip(), "a word has surrounding space"
        assert any(letter.isalnum() for letter in word.text), "a word has no letter or digit"
        assert word.text.encode(), "a word cannot be encoded"
        assert word.confidence is None or 0 <= word.confidence <= 1, "confidence is out of range"


def parse_or_reject(
    data: bytes, suffix: str, duration_seconds: float | None = DURATION_SECONDS
) -> CaptionTrack | CaptionError:
    """The track of `data`, or the `CaptionError` that rejects it with file, position and reason. All else fails."""
    try:
        track = parse_captions(data, suffix, name=f"song{suffix}", duration_seconds=duration_seconds)
    except CaptionError as error:
        if not re.match(rf"song\{suffix}, (line|event) \d+: \S", str(error)):
            raise AssertionError(f"an error without its position: {error}") from error
        return error
    check_words(track, duration_seconds or 1e6)
    return track


def random_input(rng: random.Random) -> tuple[str, bytes]:
    """(suffix, bytes): a damaged valid file, a well-formed file with unusual values, or random fragments."""
    way = rng.random()
    if way < 0.4:
        suffix, data = rng.choice(FILES)
        return (suffix if rng.random() < 0.95 else rng.choice(CAPTION_SUFFIXES)), _damage(data, rng)
    if way < 0.6:
        return ".json3", json.dumps({"events": [_event(rng) for _ in range(rng.randint(0, 8))]}).encode()
    if way < 0.9:
        suffix = rng.choice((".vtt", ".srt"))
        return suffix, (b"WEBVTT\n\n" if suffix == ".vtt" else b"") + b"".join(_cues(rng))
    head = rng.choice((b"", b"WEBVTT\n\n", b'{"events":['))
    return rng.choice(CAPTION_SUFFIXES), head + b"".join(rng.choice(WORDS) for _ in range(rng.randint(0, 60)))


def _damage(good: bytes, rng: random.Random) -> bytes:
    data = bytearray(good)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data) + 1)
        way = rng.random()
        if way < 0.5:
            data[at:at] = rng.choice(WORDS)
        elif way < 0.7:
            del data[at : at + rng.randint(1, 30)]
        else:
            low = rng.randrange(len(data) + 1)
            data[at:at] = data[low : low + rng.randint(1, 120)]
    return bytes(data)


def _event(rng: random.Random) -> object:
    def number() -> object:
        return rng.choice(
            (0, 1, -1, rng.randint(0, 700_000), rng.random() * 1e5, 1e300, float("nan"), None, True, "7", [])
        )

    def seg() -> object:
        text = b"".join(rng.choice(WORDS) for _ in range(rng.randint(0, 3))).decode("utf-8", "surrogateescape")
        fields: dict[str, object] = {"utf8": text if rng.random() < 0.9 else number()}
        if rng.random() < 0.6:
            fields["tOffsetMs"] = rng.randint(-500, 9000) if rng.random() < 0.8 else number()
        if rng.random() < 0.2:
            fields["acAsrConf"] = number()
        return fields if rng.random() < 0.95 else number()

    event: dict[str, object] = {"tStartMs": rng.randint(0, 620_000) if rng.random() < 0.9 else number()}
    if rng.random() < 0.8:
        event["dDurationMs"] = rng.randint(0, 9000) if rng.random() < 0.9 else number()
    event["segs"] = [seg() for _ in range(rng.randint(0, 4))] if rng.random() < 0.9 else number()
    if rng.random() < 0.1:
        event["aAppend"] = number()
    return event if rng.random() < 0.97 else number()


def _cues(rng: random.Random) -> Iterator[bytes]:
    now = 0
    for _ in range(rng.randint(1, 12)):
        now = max(0, now + rng.randint(-3000, 9000))
        until = now + rng.choice((10, 10, rng.randint(-100, 9000)))
        yield f"{_clock(now)} --> {_clock(until)}".encode() + rng.choice(
            (b"\n", b"\n", b"\r\n", b" align:start\n", b"\r")
        )
        for _ in range(rng.randint(0, 3)):
            for _ in range(rng.randint(0, 4)):
                yield rng.choice(WORDS) if rng.random() < 0.8 else f"<{_clock(now + rng.randint(-500, 3000))}>".encode()
            yield rng.choice((b"\n", b"\n", b" \n"))
        yield b"\n" if rng.random() < 0.9 else b""


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(max(milliseconds, 0), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


SEEDS = tuple(bytes([CAPTION_SUFFIXES.index(suffix)]) + data for suffix, data in FILES)


def sample(rng: random.Random) -> bytes:
    suffix, data = random_input(rng)
    return bytes([CAPTION_SUFFIXES.index(suffix)]) + data


def read(data: bytes) -> bool:
    found = parse_or_reject(data[1:], CAPTION_SUFFIXES[data[0] % len(CAPTION_SUFFIXES)])
    return not isinstance(found, CaptionError)
