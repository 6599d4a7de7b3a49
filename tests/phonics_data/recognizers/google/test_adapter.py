"""The real client, over TLS, against a cloud on this machine (tests/phonics_data/recognizers/fake_google_cloud.py)."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.errors import DependencyError, EngineError, EnginePausedError, OptionError, RecognitionError
from phonics_data.recognizers.google import Google, GoogleOptions, most_seconds
from phonics_data.recognizers.google.chunks import pieces
from phonics_data.recognizers.interface import Recognition
from phonics_data.segmentation.lexicon import examples
from phonics_data.types import Word
from tests.phonics_data.recognizers.fake_google_cloud import PROJECT, Cloud, Song

RATE_HZ = 16_000
NewGoogle = Callable[..., Google]

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
EXHAUSTED = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric 'Requests'.")
NO_QUOTA: list[Any] = [EXHAUSTED] * 1000

versions = pytest.mark.parametrize("api_version", ["v1", "v2"])
ways = pytest.mark.parametrize("bucket", ["", "gs://songs/for a night".replace(" ", "-")], ids=["pieces", "bucket"])


def sung(seconds: float, *, seed: int = 0, rests: bool = True) -> Song:
    """A song of noises, one a word; without rests a word begins where the last one ends."""
    random = np.random.default_rng(seed)
    audio = random.standard_normal(round(seconds * RATE_HZ)).astype(np.float32) * 0.001
    words: list[Word] = []
    time = 0.3
    while time < seconds - 1.0:
        end = time + random.uniform(0.2, 0.9)
        text = str(random.choice(["A", "B", "is", "for", "apple", "ball", "letter", "Z"]))
        words.append(Word(text=text, start_seconds=round(time, 3), end_seconds=round(end, 3)))
        audio[round(time * RATE_HZ) : round(end * RATE_HZ)] *= 100
        time = end + (random.uniform(0.1, 0.6) if rests else 0.0)
    return Song(np.clip(audio, -1, 1), words)


def ask(engine: Google, song: Song) -> Recognition:
    return engine.recognize(song.audio_N, audio_rate_hz=RATE_HZ, language="en")


def check_same(found: Recognition, song: Song) -> None:
    assert [word.text for word in found.words] == [word.text for word in song.words]
    for word, said in zip(found.words, song.words, strict=True):
        assert abs(word.start_seconds - said.start_seconds) < 0.05, (word, said)
        assert abs(word.end_seconds - said.end_seconds) < 0.05, (word, said)


# --- what is heard -------------------------------------------------------------------------------------------------


@versions
@ways
@pytest.mark.parametrize(("seconds", "num_requests"), [(20.0, 1), (110.0, 3)])
def test_every_word_arrives_once_at_its_time(
    cloud: Cloud, new_google: NewGoogle, api_version: str, bucket: str, seconds: float, num_requests: int
) -> None:
    cloud.ears = song = sung(seconds)
    engine = new_google(api_version=api_version, bucket=bucket)
    check_same(ask(engine, song), song)
    assert len(cloud.requests) == (1 if bucket else num_requests)
    assert cloud.objects == {}
    assert engine.sent_seconds() == pytest.approx(seconds if bucket else cloud.seconds_asked(), abs=0.01)
    assert engine.sent_seconds() <= most_seconds(seconds, whole=bool(bucket))


@pytest.mark.parametrize("rests", [True, False], ids=["rests", "no-rests"])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_cut_is_whole_again(cloud: Cloud, new_google: NewGoogle, seed: int, rests: bool) -> None:
    cloud.ears = song = sung(110.0, seed=seed + 1, rests=rests)
    check_same(ask(new_google(), song), song)


def test_pieces_are_under_a_minute_overlap_and_are_cut_in_rests() -> None:
    song = sung(400.0, seed=5)
    windows = pieces(song.audio_N, whole=False)
    assert (windows[0].start_seconds, windows[-1].end_seconds) == (0.0, 400.0)
    assert sum(one.end_seconds - one.start_seconds for one in windows) <= most_seconds(400.0, whole=False)
    for before, after in pairwise(windows):
        assert before.end_seconds - before.start_seconds <= 55.0
        assert before.end_seconds - after.start_seconds == pytest.approx(2.0)
        cut = (before.end_seconds + after.start_seconds) / 2
        assert not any(word.start_seconds < cut < word.end_seconds for word in song.words), cut


def test_silence_is_not_sent(cloud: Cloud, new_google: NewGoogle) -> None:
    song = sung(160.0, seed=3)
    song.audio_N[50 * RATE_HZ : 110 * RATE_HZ] = 0
    song.words = [word for word in song.words if word.end_seconds < 50 or word.start_seconds > 110]
    cloud.ears = song
    check_same(ask(new_google(), song), song)
    assert len(cloud.requests) == 3
    assert 100.0 <= cloud.seconds_asked() < 160.0


@versions
def test_google_is_told_which_letters_and_words_are_likely(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    words = tuple(sorted(examples(), key=lambda word: (len(word), word)))
    ask(new_google(api_version=api_version, phrases=words), sung(2.0))
    (request,) = cloud.requests
    sets = request.config.adaptation.phrase_sets
    phrases = (sets[0] if api_version == "v1" else sets[0].inline_phrase_set).phrases
    boosts = {phrase.value: phrase.boost for phrase in phrases}
    assert list(boosts)[:26] == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert len(phrases) == (26 + len(words) if api_version == "v1" else 1200)
    assert boosts["A"] > boosts["cat"] > 0


@versions
def test_words_without_times_are_spread_over_their_line_and_it_is_said(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    cloud.ears = song = sung(20.0)
    cloud.word_times = False
    found = ask(new_google(api_version=api_version), song)
    assert [word.text for word in found.words] == [word.text for word in song.words]
    assert {word.timing for word in found.words} == {"interpolated"}
    assert (
        max(abs(one.start_seconds - said.start_seconds) for one, said in zip(found.words, song.words, strict=True)) < 2
    )
    assert "no times" in found.warnings[0]


def test_a_language_is_sent_with_its_region(cloud: Cloud, new_google: NewGoogle) -> None:
    for language in ("en", "de", "ja"):
        new_google().recognize(sung(2.0).audio_N, audio_rate_hz=RATE_HZ, language=language)
    assert [request.config.language_code for request in cloud.requests] == ["en-US", "de-DE", "ja-JP"]


# --- nothing is paid twice, nothing unasked ------------------------------------------------------------------------


@versions
@ways
def test_an_answer_is_kept(cloud: Cloud, new_google: NewGoogle, api_version: str, bucket: str) -> None:
    cloud.ears = song = sung(70.0)
    first = ask(new_google(api_version=api_version, bucket=bucket), song)
    num_requests = len(cloud.requests)
    again = new_google(api_version=api_version, bucket=bucket, may_send=False, endpoint="localhost:1")
    assert ask(again, song).words == first.words
    assert again.seconds_to_send(song.audio_N, audio_rate_hz=RATE_HZ, language="en") == 0.0
    assert len(cloud.requests) == num_requests


@pytest.mark.parametrize(
    "other", [{"api_version": "v2"}, {"model": "video"}, {"phrases": ("apple",)}, {"location": "eu"}], ids=str
)
def test_another_question_is_asked_anew(cloud: Cloud, new_google: NewGoogle, other: dict[str, Any]) -> None:
    song = sung(2.0)
    ask(new_google(), song)
    try:
        ask(new_google(**other), song)
    except EngineError:
        assert other == {"location": "eu"}  # not known here; asked all the same
    assert len(cloud.requests) == 2


def test_an_answer_that_was_cut_short_on_disk_is_asked_for_again(
    cloud: Cloud, new_google: NewGoogle, tmp_path: Path
) -> None:
    cloud.ears = song = sung(5.0)
    ask(new_google(), song)
    (kept,) = (tmp_path / "answers").glob("*.json")
    kept.write_bytes(kept.read_bytes()[:40])
    check_same(ask(new_google(), song), song)
    assert len(cloud.requests) == 2


def test_after_a_refusal_in_the_middle_only_the_rest_is_asked(cloud: Cloud, new_google: NewGoogle) -> None:
    cloud.ears = song = sung(130.0)
    cloud.faults = [None, *NO_QUOTA]
    engine = new_google(retry_seconds=0.05)
    with pytest.raises(EnginePausedError, match="quota used up"):
        ask(engine, song)
    assert engine.sent_seconds() < 56
    cloud.faults.clear()
    cloud.requests.clear()
    assert 70 < engine.seconds_to_send(song.audio_N, audio_rate_hz=RATE_HZ, language="en") < 90
    check_same(ask(new_google(), song), song)
    assert len(cloud.requests) == 2


def test_nothing_is_sent_without_leave(cloud: Cloud, new_google: NewGoogle) -> None:
    with pytest.raises(EngineError, match=r"20 s of sound.*--yes"):
        ask(new_google(may_send=False), sung(20.0))
    assert cloud.requests == []


def test_the_cap_of_minutes_holds_over_all_runs(cloud: Cloud, new_google: NewGoogle) -> None:
    for seed, fits in enumerate([True, True, False]):
        engine = new_google(max_minutes=0.7)
        if fits:
            ask(engine, sung(20.0, seed=seed))
        else:
            with pytest.raises(EnginePausedError, match=r"0\.7 minutes were sent.*--max-minutes 0\.7; raise it"):
                ask(engine, sung(20.0, seed=seed))
    assert len(cloud.requests) == 2
    ask(new_google(max_minutes=1.1), sung(20.0, seed=2))
    assert len(cloud.requests) == 3


def test_what_was_sent_can_be_read(cloud: Cloud, new_google: NewGoogle, tmp_path: Path) -> None:
    ask(new_google(), sung(20.0))
    (line,) = (tmp_path / "answers" / "sent.jsonl").read_text().splitlines()
    assert json.loads(line).keys() == {"at", "seconds", "what"}
    assert json.loads(line)["seconds"] == 20.0
    (tmp_path / "answers" / "sent.jsonl").write_text(line + '\n{"at": "2026', "utf-8")
    assert new_google().sent_seconds() == 20.0


# --- misfortunes ---------------------------------------------------------------------------------------------------


@versions
def test_a_short_outage_is_waited_out_and_counts_once(cloud: Cloud, new_google: NewGoogle, api_version: str) -> None:
    cloud.ears = song = sung(20.0)
    cloud.faults = [UNAVAILABLE, EXHAUSTED]
    engine = new_google(api_version=api_version)
    check_same(ask(engine, song), song)
    assert len(cloud.requests) == 3
    assert engine.sent_seconds() == 20.0


@versions
def test_an_answer_that_is_late_is_asked_for_again_and_counts_twice(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    cloud.ears = song = sung(20.0)
    cloud.faults = ["slow"]
    engine = new_google(api_version=api_version, timeout_seconds=0.5)
    check_same(ask(engine, song), song)
    assert engine.sent_seconds() == 40.0


def test_trying_again_ends_at_the_cap(cloud: Cloud, new_google: NewGoogle) -> None:
    cloud.faults = ["slow"]
    with pytest.raises(EnginePausedError, match="--max-minutes"):
        ask(new_google(timeout_seconds=0.2, max_minutes=0.5), sung(20.0))
    assert len(cloud.requests) == 1


@versions
@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, EngineError, "no valid credentials.*GOOGLE_APPLICATION_CREDENTIALS"),
        (grpc.StatusCode.PERMISSION_DENIED, EngineError, "not allowed.*enable Speech-to-Text"),
        (grpc.StatusCode.NOT_FOUND, EngineError, "not found.*--google-project"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, EnginePausedError, "quota used up"),
        (grpc.StatusCode.UNAVAILABLE, EnginePausedError, "no answer.*goes on later"),
        (grpc.StatusCode.INVALID_ARGUMENT, RecognitionError, "refused 20 s of sound"),
        (grpc.StatusCode.UNIMPLEMENTED, EnginePausedError, "no answer"),
    ],
    ids=lambda value: value.name if isinstance(value, grpc.StatusCode) else None,
)
def test_a_refusal_is_one_line_that_says_what_to_do_and_costs_nothing(
    cloud: Cloud, new_google: NewGoogle, api_version: str, code: grpc.StatusCode, kind: type[Exception], says: str
) -> None:
    cloud.faults = [(code, "Google's own words,\non two lines " + "and more " * 100)] * 1000
    engine = new_google(api_version=api_version, retry_seconds=0.05)
    with pytest.raises(kind, match=says) as caught:
        ask(engine, sung(20.0))
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "Google's own words, on two lines" in message
    assert "\n" not in message
    assert len(message) < 600
    assert engine.sent_seconds() == 0.0


@versions
def test_no_credentials_are_one_line(
    cloud: Cloud, new_google: NewGoogle, api_version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    with pytest.raises(EngineError, match=r"no valid credentials.*gcloud auth") as caught:
        ask(new_google(api_version=api_version), sung(20.0))
    assert "\n" not in str(caught.value)
    (tmp_path / "key.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(EngineError, match="no valid credentials"):
        ask(new_google(api_version=api_version), sung(20.0))
    assert cloud.requests == []


def test_a_key_of_somebody_else_is_refused(
    cloud: Cloud, new_google: NewGoogle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = json.loads(cloud.key_file.read_text()) | {"private_key": key.decode()}
    (tmp_path / "key.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(EngineError, match="no valid credentials"):
        ask(new_google(), sung(20.0))
    assert len(cloud.requests) == 1


@versions
@pytest.mark.parametrize(
    ("reaches", "kind", "says"),
    [
        (True, EngineError, "no valid credentials.*invalid_grant"),
        (False, EnginePausedError, "no answer.*goes on later"),
    ],
    ids=["expired", "no-network"],
)
def test_an_expired_sign_in_is_told_from_one_that_cannot_be_reached(
    cloud: Cloud, new_google: NewGoogle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api_version: str, reaches: bool,
    kind: type[Exception], says: str,
) -> None:  # fmt: skip
    cloud.sign_in = (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
    person = {"type": "authorized_user", "client_id": "x", "client_secret": "y", "refresh_token": "z"}
    (tmp_path / "person.json").write_text(json.dumps(person))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "person.json"))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", cloud.proxy if reaches else f"http://127.0.0.1:{nobody.getsockname()[1]}")
        engine = new_google(api_version=api_version, project=PROJECT, retry_seconds=0.3)
        with pytest.raises(kind, match=says) as caught:
            ask(engine, sung(20.0))
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert (cloud.requests, engine.sent_seconds()) == ([], 0.0)


def test_v2_says_that_it_needs_a_project(
    cloud: Cloud, new_google: NewGoogle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = json.loads(cloud.key_file.read_text())
    del account["project_id"]
    (tmp_path / "key.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(EngineError, match="--google-project"):
        ask(new_google(api_version="v2"), sung(20.0))
    ask(new_google(api_version="v2", project=PROJECT), sung(20.0))
    with pytest.raises(EngineError, match="not found"):
        ask(new_google(api_version="v2", project="another"), sung(21.0))


def test_without_a_network_three_failures_are_enough(cloud: Cloud, new_google: NewGoogle) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
        engine = new_google(endpoint=f"localhost:{nobody}", retry_seconds=0.05)
        for _ in range(3):
            with pytest.raises(EnginePausedError, match="no answer"):
                ask(engine, sung(20.0))
        with pytest.raises(EnginePausedError, match="not asked, after 3 failures"):
            ask(engine, sung(20.0))
        assert engine.sent_seconds() == 0.0


# --- the bucket ----------------------------------------------------------------------------------------------------


@versions
def test_a_later_run_finds_the_operation_that_an_earlier_one_began(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    cloud.ears = song = sung(70.0)
    cloud.polls = 1_000_000
    with pytest.raises(EnginePausedError, match="still busy with gs://songs/"):
        ask(new_google(api_version=api_version, bucket="gs://songs", wait_seconds=0.1), song)
    assert len(cloud.objects) == 1
    for left, _, _ in cloud.operations.values():
        left[0] = 1
    cloud.faults = [UNAVAILABLE, None, UNAVAILABLE]
    engine = new_google(api_version=api_version, bucket="gs://songs")
    check_same(ask(engine, song), song)
    assert len(cloud.requests) == 1
    assert engine.sent_seconds() == 70.0
    assert cloud.objects == {}


@versions
def test_an_operation_that_google_forgot_is_begun_anew(cloud: Cloud, new_google: NewGoogle, api_version: str) -> None:
    cloud.ears = song = sung(70.0)
    cloud.polls = 1_000_000
    with pytest.raises(EnginePausedError):
        ask(new_google(api_version=api_version, bucket="gs://songs", wait_seconds=0.1), song)
    cloud.operations.clear()
    cloud.polls = 1
    check_same(ask(new_google(api_version=api_version, bucket="gs://songs"), song), song)
    assert len(cloud.requests) == 2


@versions
def test_an_operation_that_ends_badly_is_told_and_begun_anew(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    cloud.ears = song = sung(70.0)
    cloud.polls = 1_000_000
    with pytest.raises(EnginePausedError):
        ask(new_google(api_version=api_version, bucket="gs://songs", wait_seconds=0.1), song)
    cloud.operations["operations/1"] = ([0], (3, "Audio is too noisy"), "")
    with pytest.raises(RecognitionError, match=r"refused gs://songs/.*Audio is too noisy"):
        ask(new_google(api_version=api_version, bucket="gs://songs"), song)
    cloud.polls = 1
    check_same(ask(new_google(api_version=api_version, bucket="gs://songs"), song), song)
    assert len(cloud.requests) == 2


def test_a_batch_that_refuses_the_song_is_a_refusal_of_this_song(cloud: Cloud, new_google: NewGoogle) -> None:
    song = sung(70.0)

    def gone(_: NDArray[np.float32]) -> list[Word]:
        raise AssertionError

    cloud.ears = gone
    engine = new_google(api_version="v2", bucket="gs://songs")
    engine._bucket.remove(engine._bucket.put("x", b""))  # signed in
    put = engine._bucket.put
    engine._bucket.put = lambda name, data: put(name, data) + "-elsewhere"  # type: ignore[method-assign]
    with pytest.raises(RecognitionError, match="no object gs://songs/"):
        ask(engine, song)


def test_a_bucket_that_is_not_there_costs_nothing(cloud: Cloud, new_google: NewGoogle) -> None:
    engine = new_google(bucket="gs://elsewhere")
    with pytest.raises(EngineError, match=r"gs://elsewhere.*not found.*--bucket"):
        ask(engine, sung(70.0))
    assert (cloud.requests, engine.sent_seconds()) == ([], 0.0)


def test_what_cannot_be_removed_is_told(cloud: Cloud, new_google: NewGoogle, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.ears = song = sung(70.0)
    cloud.keep = True
    found = ask(new_google(bucket="gs://songs"), song)
    check_same(found, song)
    assert "stays in the bucket" in found.warnings[0]


def test_a_bucket_needs_its_package(cloud: Cloud, new_google: NewGoogle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    with pytest.raises(DependencyError, match=r"phonics-cssgan\[bucket\]"):
        ask(new_google(bucket="gs://songs"), sung(70.0))


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"api_version": "v3"}, "--google-api"),
        ({"location": "us central"}, "--google-location"),
        ({"bucket": "songs"}, "--bucket"),
        ({"bucket": "gs://"}, "--bucket"),
        ({"max_minutes": -1.0}, "--max-minutes"),
        ({"max_minutes": float("nan")}, "--max-minutes"),
        ({"timeout_seconds": 0.0}, "timeout_seconds"),
    ],
)
def test_options_say_what_is_allowed(options: dict[str, Any], flag: str) -> None:
    with pytest.raises(OptionError, match=flag):
        GoogleOptions(**options)
