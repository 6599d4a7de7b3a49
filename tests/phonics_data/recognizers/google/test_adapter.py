"""Google's client library against a fake cloud with TLS (tests/phonics_data/recognizers/fake_google_cloud.py)."""

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
from phonics_data.recognizers.google import Google, GoogleOptions, max_sent_seconds
from phonics_data.recognizers.google.chunks import windows_to_send
from phonics_data.recognizers.interface import Recognition
from phonics_data.segmentation.lexicon import examples
from phonics_data.types import Word
from tests.phonics_data.recognizers.fake_google_cloud import PROJECT, Cloud, Song

pytestmark = pytest.mark.dependencies

RATE_HZ = 16_000
NewGoogle = Callable[..., Google]

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
EXHAUSTED = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric 'Requests'.")
NO_QUOTA: list[Any] = [EXHAUSTED] * 1000

versions = pytest.mark.parametrize("api_version", ["v1", "v2"])
both_methods = pytest.mark.parametrize("bucket", ["", "gs://songs/temporary"], ids=["windows", "bucket"])


def noise_song(seconds: float, *, seed: int = 0, rests: bool = True) -> Song:
    """A song with a burst of noise per word; without rests each word begins at the end of the one before."""
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


def recognize(engine: Google, song: Song) -> Recognition:
    return engine.recognize(song.audio_N, audio_rate_hz=RATE_HZ, language="en")


def check_same(found: Recognition, song: Song) -> None:
    assert [word.text for word in found.words] == [word.text for word in song.words]
    for word, spoken in zip(found.words, song.words, strict=True):
        assert abs(word.start_seconds - spoken.start_seconds) < 0.05, (word, spoken)
        assert abs(word.end_seconds - spoken.end_seconds) < 0.05, (word, spoken)


# --- words ---------------------------------------------------------------------------------------------------------


@versions
@both_methods
@pytest.mark.parametrize(("seconds", "num_requests"), [(20.0, 1), (110.0, 3)])
def test_every_word_is_returned_once_at_its_time(
    cloud: Cloud, new_google: NewGoogle, api_version: str, bucket: str, seconds: float, num_requests: int
) -> None:
    cloud.recognize = song = noise_song(seconds)
    engine = new_google(api_version=api_version, bucket=bucket)
    check_same(recognize(engine, song), song)
    assert len(cloud.requests) == (1 if bucket else num_requests)
    assert cloud.objects == {}
    assert engine.sent_seconds() == pytest.approx(seconds if bucket else cloud.requested_seconds(), abs=0.01)
    assert engine.sent_seconds() <= max_sent_seconds(seconds, whole=bool(bucket))


@pytest.mark.parametrize("rests", [True, False], ids=["rests", "no-rests"])
@pytest.mark.parametrize("seed", range(3))
def test_words_at_window_cuts_are_complete(cloud: Cloud, new_google: NewGoogle, seed: int, rests: bool) -> None:
    cloud.recognize = song = noise_song(110.0, seed=seed + 1, rests=rests)
    check_same(recognize(new_google(), song), song)


def test_windows_are_shorter_than_a_minute_overlap_and_are_cut_in_pauses() -> None:
    song = noise_song(400.0, seed=5)
    windows = windows_to_send(song.audio_N, whole=False)
    assert (windows[0].start_seconds, windows[-1].end_seconds) == (0.0, 400.0)
    assert sum(one.end_seconds - one.start_seconds for one in windows) <= max_sent_seconds(400.0, whole=False)
    for before, after in pairwise(windows):
        assert before.end_seconds - before.start_seconds <= 55.0
        assert before.end_seconds - after.start_seconds == pytest.approx(2.0)
        cut = (before.end_seconds + after.start_seconds) / 2
        assert not any(word.start_seconds < cut < word.end_seconds for word in song.words), cut


def test_silence_is_not_sent(cloud: Cloud, new_google: NewGoogle) -> None:
    song = noise_song(160.0, seed=3)
    song.audio_N[50 * RATE_HZ : 110 * RATE_HZ] = 0
    song.words = [word for word in song.words if word.end_seconds < 50 or word.start_seconds > 110]
    cloud.recognize = song
    check_same(recognize(new_google(), song), song)
    assert len(cloud.requests) == 3
    assert 100.0 <= cloud.requested_seconds() < 160.0


@versions
def test_letters_and_example_words_are_sent_as_phrase_hints(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    words = tuple(sorted(examples(), key=lambda word: (len(word), word)))
    recognize(new_google(api_version=api_version, phrases=words), noise_song(2.0))
    (request,) = cloud.requests
    sets = request.config.adaptation.phrase_sets
    phrases = (sets[0] if api_version == "v1" else sets[0].inline_phrase_set).phrases
    boosts = {phrase.value: phrase.boost for phrase in phrases}
    assert list(boosts)[:26] == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert len(phrases) == (26 + len(words) if api_version == "v1" else 1200)
    assert boosts["A"] > boosts["cat"] > 0


@versions
def test_words_without_times_are_interpolated_with_a_warning(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    cloud.recognize = song = noise_song(20.0)
    cloud.word_times = False
    found = recognize(new_google(api_version=api_version), song)
    assert [word.text for word in found.words] == [word.text for word in song.words]
    assert {word.timing for word in found.words} == {"interpolated"}
    assert (
        max(abs(one.start_seconds - spoken.start_seconds) for one, spoken in zip(found.words, song.words, strict=True))
        < 2
    )
    assert "no times" in found.warnings[0]


def test_language_codes_get_a_region(cloud: Cloud, new_google: NewGoogle) -> None:
    for language in ("en", "de", "ja"):
        new_google().recognize(noise_song(2.0).audio_N, audio_rate_hz=RATE_HZ, language=language)
    assert [request.config.language_code for request in cloud.requests] == ["en-US", "de-DE", "ja-JP"]


# --- cache and limits ----------------------------------------------------------------------------------------------


@versions
@both_methods
def test_results_are_cached(cloud: Cloud, new_google: NewGoogle, api_version: str, bucket: str) -> None:
    cloud.recognize = song = noise_song(70.0)
    first = recognize(new_google(api_version=api_version, bucket=bucket), song)
    num_requests = len(cloud.requests)
    again = new_google(api_version=api_version, bucket=bucket, may_send=False, endpoint="localhost:1")
    assert recognize(again, song).words == first.words
    assert again.seconds_to_send(song.audio_N, audio_rate_hz=RATE_HZ, language="en") == 0.0
    assert len(cloud.requests) == num_requests


@pytest.mark.parametrize(
    "other", [{"api_version": "v2"}, {"model": "video"}, {"phrases": ("apple",)}, {"location": "eu"}], ids=str
)
def test_other_settings_send_a_new_request(cloud: Cloud, new_google: NewGoogle, other: dict[str, Any]) -> None:
    song = noise_song(2.0)
    recognize(new_google(), song)
    try:
        recognize(new_google(**other), song)
    except EngineError:
        assert other == {"location": "eu"}  # unknown to the fake cloud; the request is counted
    assert len(cloud.requests) == 2


def test_a_truncated_cache_entry_is_requested_again(cloud: Cloud, new_google: NewGoogle, tmp_path: Path) -> None:
    cloud.recognize = song = noise_song(5.0)
    recognize(new_google(), song)
    (entry,) = (tmp_path / "cache").glob("*.json")
    entry.write_bytes(entry.read_bytes()[:40])
    check_same(recognize(new_google(), song), song)
    assert len(cloud.requests) == 2


def test_after_an_error_in_the_middle_only_the_rest_is_requested(cloud: Cloud, new_google: NewGoogle) -> None:
    cloud.recognize = song = noise_song(130.0)
    cloud.faults = [None, *NO_QUOTA]
    engine = new_google(retry_seconds=0.05)
    with pytest.raises(EnginePausedError, match="quota exhausted"):
        recognize(engine, song)
    assert engine.sent_seconds() < 56
    cloud.faults.clear()
    cloud.requests.clear()
    assert 70 < engine.seconds_to_send(song.audio_N, audio_rate_hz=RATE_HZ, language="en") < 90
    check_same(recognize(new_google(), song), song)
    assert len(cloud.requests) == 2


def test_nothing_is_sent_without_permission(cloud: Cloud, new_google: NewGoogle) -> None:
    with pytest.raises(EngineError, match=r"20 s of audio.*--yes"):
        recognize(new_google(may_send=False), noise_song(20.0))
    assert cloud.requests == []


def test_max_minutes_applies_to_all_runs_together(cloud: Cloud, new_google: NewGoogle) -> None:
    for seed, fits in enumerate([True, True, False]):
        engine = new_google(max_minutes=0.7)
        if fits:
            recognize(engine, noise_song(20.0, seed=seed))
        else:
            with pytest.raises(EnginePausedError, match=r"0\.7 minutes were sent.*--max-minutes 0\.7; increase it"):
                recognize(engine, noise_song(20.0, seed=seed))
    assert len(cloud.requests) == 2
    recognize(new_google(max_minutes=1.1), noise_song(20.0, seed=2))
    assert len(cloud.requests) == 3


def test_sent_audio_is_logged(cloud: Cloud, new_google: NewGoogle, tmp_path: Path) -> None:
    recognize(new_google(), noise_song(20.0))
    (line,) = (tmp_path / "cache" / "sent.jsonl").read_text().splitlines()
    assert json.loads(line).keys() == {"at", "seconds", "what"}
    assert json.loads(line)["seconds"] == 20.0
    (tmp_path / "cache" / "sent.jsonl").write_text(line + '\n{"at": "2026', "utf-8")
    assert new_google().sent_seconds() == 20.0


# --- errors --------------------------------------------------------------------------------------------------------


@versions
def test_a_short_outage_is_retried_and_counts_once(cloud: Cloud, new_google: NewGoogle, api_version: str) -> None:
    cloud.recognize = song = noise_song(20.0)
    cloud.faults = [UNAVAILABLE, EXHAUSTED]
    engine = new_google(api_version=api_version)
    check_same(recognize(engine, song), song)
    assert len(cloud.requests) == 3
    assert engine.sent_seconds() == 20.0


@versions
def test_a_timeout_is_retried_and_counts_twice(cloud: Cloud, new_google: NewGoogle, api_version: str) -> None:
    cloud.recognize = song = noise_song(20.0)
    cloud.faults = ["slow"]
    engine = new_google(api_version=api_version, timeout_seconds=1.5)
    check_same(recognize(engine, song), song)
    assert engine.sent_seconds() == 40.0


def test_retries_end_at_max_minutes(cloud: Cloud, new_google: NewGoogle) -> None:
    cloud.faults = ["slow"]
    with pytest.raises(EnginePausedError, match="--max-minutes"):
        recognize(new_google(timeout_seconds=0.2, max_minutes=0.5), noise_song(20.0))
    assert len(cloud.requests) == 1


@versions
@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, EngineError, "no valid credentials.*GOOGLE_APPLICATION_CREDENTIALS"),
        (grpc.StatusCode.PERMISSION_DENIED, EngineError, "not allowed.*enable Speech-to-Text"),
        (grpc.StatusCode.NOT_FOUND, EngineError, "not found.*--google-project"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, EnginePausedError, "quota exhausted"),
        (grpc.StatusCode.UNAVAILABLE, EnginePausedError, "no response.*to continue"),
        (grpc.StatusCode.INVALID_ARGUMENT, RecognitionError, "rejected 20 s of audio"),
        (grpc.StatusCode.UNIMPLEMENTED, EnginePausedError, "no response"),
    ],
    ids=lambda value: value.name if isinstance(value, grpc.StatusCode) else None,
)
def test_rejections_give_one_line_with_an_instruction_and_are_not_billed(
    cloud: Cloud, new_google: NewGoogle, api_version: str, code: grpc.StatusCode, kind: type[Exception], message: str
) -> None:
    cloud.faults = [(code, "A message by Google\non two lines " + "and more " * 100)] * 1000
    engine = new_google(api_version=api_version, retry_seconds=0.05)
    with pytest.raises(kind, match=message) as caught:
        recognize(engine, noise_song(20.0))
    assert type(caught.value) is kind
    text = str(caught.value)
    assert "A message by Google on two lines" in text
    assert "\n" not in text
    assert len(text) < 600
    assert engine.sent_seconds() == 0.0


@versions
def test_missing_credentials_give_one_line(
    cloud: Cloud, new_google: NewGoogle, api_version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    with pytest.raises(EngineError, match=r"no valid credentials.*gcloud auth") as caught:
        recognize(new_google(api_version=api_version), noise_song(20.0))
    assert "\n" not in str(caught.value)
    (tmp_path / "key.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(EngineError, match="no valid credentials"):
        recognize(new_google(api_version=api_version), noise_song(20.0))
    assert cloud.requests == []


def test_a_key_of_another_account_is_rejected(
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
        recognize(new_google(), noise_song(20.0))
    assert len(cloud.requests) == 1


@versions
@pytest.mark.parametrize(
    ("reaches", "kind", "message"),
    [
        (True, EngineError, "no valid credentials.*invalid_grant"),
        (False, EnginePausedError, "no response.*to continue"),
    ],
    ids=["expired", "no-network"],
)
def test_expired_credentials_and_unreachable_sign_in_are_distinguished(
    cloud: Cloud, new_google: NewGoogle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api_version: str, reaches: bool,
    kind: type[Exception], message: str,
) -> None:  # fmt: skip
    cloud.sign_in = (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
    person = {"type": "authorized_user", "client_id": "x", "client_secret": "y", "refresh_token": "z"}
    (tmp_path / "person.json").write_text(json.dumps(person))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "person.json"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", cloud.proxy if reaches else f"http://127.0.0.1:{unused.getsockname()[1]}")
        engine = new_google(api_version=api_version, project=PROJECT, retry_seconds=0.3)
        with pytest.raises(kind, match=message) as caught:
            recognize(engine, noise_song(20.0))
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert (cloud.requests, engine.sent_seconds()) == ([], 0.0)


def test_v2_needs_a_project(
    cloud: Cloud, new_google: NewGoogle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = json.loads(cloud.key_file.read_text())
    del account["project_id"]
    (tmp_path / "key.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(EngineError, match="--google-project"):
        recognize(new_google(api_version="v2"), noise_song(20.0))
    recognize(new_google(api_version="v2", project=PROJECT), noise_song(20.0))
    with pytest.raises(EngineError, match="not found"):
        recognize(new_google(api_version="v2", project="another"), noise_song(21.0))


def test_requests_stop_after_three_consecutive_failures(cloud: Cloud, new_google: NewGoogle) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        engine = new_google(endpoint=f"localhost:{port}", retry_seconds=0.05)
        for _ in range(3):
            with pytest.raises(EnginePausedError, match="no response"):
                recognize(engine, noise_song(20.0))
        with pytest.raises(EnginePausedError, match="no request sent after 3 consecutive failures"):
            recognize(engine, noise_song(20.0))
        assert engine.sent_seconds() == 0.0


# --- the bucket ----------------------------------------------------------------------------------------------------


@versions
def test_a_later_run_resumes_the_operation_of_an_earlier_run(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    cloud.recognize = song = noise_song(70.0)
    cloud.polls = 1_000_000
    with pytest.raises(EnginePausedError, match=r"gs://songs/.* is not finished"):
        recognize(new_google(api_version=api_version, bucket="gs://songs", wait_seconds=0.1), song)
    assert len(cloud.objects) == 1
    for left, _, _ in cloud.operations.values():
        left[0] = 1
    cloud.faults = [UNAVAILABLE, None, UNAVAILABLE]
    engine = new_google(api_version=api_version, bucket="gs://songs")
    check_same(recognize(engine, song), song)
    assert len(cloud.requests) == 1
    assert engine.sent_seconds() == 70.0
    assert cloud.objects == {}


@versions
def test_a_deleted_operation_is_started_again(cloud: Cloud, new_google: NewGoogle, api_version: str) -> None:
    cloud.recognize = song = noise_song(70.0)
    cloud.polls = 1_000_000
    with pytest.raises(EnginePausedError):
        recognize(new_google(api_version=api_version, bucket="gs://songs", wait_seconds=0.1), song)
    cloud.operations.clear()
    cloud.polls = 1
    check_same(recognize(new_google(api_version=api_version, bucket="gs://songs"), song), song)
    assert len(cloud.requests) == 2


@versions
def test_a_failed_operation_is_reported_and_started_again(
    cloud: Cloud, new_google: NewGoogle, api_version: str
) -> None:
    cloud.recognize = song = noise_song(70.0)
    cloud.polls = 1_000_000
    with pytest.raises(EnginePausedError):
        recognize(new_google(api_version=api_version, bucket="gs://songs", wait_seconds=0.1), song)
    cloud.operations["operations/1"] = ([0], (3, "Audio is too noisy"), "")
    with pytest.raises(RecognitionError, match=r"rejected gs://songs/.*Audio is too noisy"):
        recognize(new_google(api_version=api_version, bucket="gs://songs"), song)
    cloud.polls = 1
    check_same(recognize(new_google(api_version=api_version, bucket="gs://songs"), song), song)
    assert len(cloud.requests) == 2


def test_a_batch_error_concerns_the_song_only(cloud: Cloud, new_google: NewGoogle) -> None:
    song = noise_song(70.0)

    def unused(_: NDArray[np.float32]) -> list[Word]:
        raise AssertionError

    cloud.recognize = unused
    engine = new_google(api_version="v2", bucket="gs://songs")
    engine._bucket.delete(engine._bucket.upload("x", b""))  # opens the bucket
    upload = engine._bucket.upload
    engine._bucket.upload = lambda name, data: upload(name, data) + "-elsewhere"  # type: ignore[method-assign]
    with pytest.raises(RecognitionError, match="no object gs://songs/"):
        recognize(engine, song)


def test_a_missing_bucket_is_not_billed(cloud: Cloud, new_google: NewGoogle) -> None:
    engine = new_google(bucket="gs://elsewhere")
    with pytest.raises(EngineError, match=r"gs://elsewhere.*not found.*--bucket"):
        recognize(engine, noise_song(70.0))
    assert (cloud.requests, engine.sent_seconds()) == ([], 0.0)


def test_failed_deletion_gives_a_warning(cloud: Cloud, new_google: NewGoogle, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.recognize = song = noise_song(70.0)
    cloud.deny_deletion = True
    found = recognize(new_google(bucket="gs://songs"), song)
    check_same(found, song)
    assert "remains in the bucket" in found.warnings[0]


def test_a_bucket_needs_its_package(cloud: Cloud, new_google: NewGoogle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    with pytest.raises(DependencyError, match=r"phonics-cssgan\[bucket\]"):
        recognize(new_google(bucket="gs://songs"), noise_song(70.0))


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
def test_invalid_options_are_rejected(options: dict[str, Any], flag: str) -> None:
    with pytest.raises(OptionError, match=flag):
        GoogleOptions(**options)
