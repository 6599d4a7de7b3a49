"""Google's speech recognition as a `Recognizer`: nothing is sent without permission, and nothing is paid twice.

    FOLDER/<key>.json              the words of one window of audio
    FOLDER/<key>.operation.json    an unfinished operation on a song in the bucket: operation name and object URI
    FOLDER/sent.jsonl              audio sent, one line per request (`phonics_data.recognizers.google.usage_budget`)

The key of a window depends on its samples and on everything that can change its words. Every result is cached when it
arrives, so that an interrupted run loses nothing that was paid for.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import EngineError, EnginePausedError
from phonics_data.media.audio_track import MonoAudio, resample
from phonics_data.recognizers.cache import read_cached, write_cached
from phonics_data.recognizers.google.api import LETTER_BOOST, WORD_BOOST, Api, open_api, phrase_hints
from phonics_data.recognizers.google.bucket import Bucket
from phonics_data.recognizers.google.chunks import MAX_WINDOW_SECONDS, RATE_HZ, windows_to_send
from phonics_data.recognizers.google.failures import (
    external_errors,
    is_transient,
    may_be_billed,
    root_cause,
    translate_error,
)
from phonics_data.recognizers.google.options import GoogleOptions
from phonics_data.recognizers.google.usage_budget import UsageBudget
from phonics_data.recognizers.interface import Recognition, check_audio, normalize_words, pcm16
from phonics_data.recognizers.windows import MergeOptions, RecognizedWords, merge, samples_of
from phonics_data.storage.workspace import fingerprint, write_json
from phonics_data.types import Word

if TYPE_CHECKING:
    from google.api_core.operation import Operation
    from google.api_core.retry import Retry

Response = TypeVar("Response")

GOOGLE_VERSION = "google-1"
"""Increase it whenever the same responses give other words. The version of the client library has no influence and is left
out: otherwise every update would require paying for all audio again."""

_MAX_CONSECUTIVE_FAILURES = 3
"""No further requests are sent in this run after this many failures; each has taken `retry_seconds`."""

_BYTES_PER_SECOND = 2 * RATE_HZ


class Google:
    """Google's speech recognition; implements `phonics_data.recognizers.interface.Recognizer`.

    No library is loaded and no request is sent before the first audio without a cached result.

    Args:
        folder: cache folder; several processes can share it.
    """

    name = "google"

    def __init__(self, options: GoogleOptions, *, folder: Path) -> None:
        self._settings = options
        self._folder = folder
        self._usage_budget = UsageBudget(folder / "sent.jsonl", max_minutes=options.max_minutes)
        self._failures = 0

    @property
    def version(self) -> str:
        return google_version(self._settings)

    @property
    def options(self) -> Mapping[str, object]:
        return cache_settings(self._settings)

    def recognize(self, audio_N: MonoAudio, *, audio_rate_hz: int, language: str) -> Recognition:
        """As in the contract. `EnginePausedError`: the quota, `max_minutes` or the network ended the run; results are
        cached, and the same call continues from there."""
        audio = resample(check_audio(audio_N, audio_rate_hz), audio_rate_hz, RATE_HZ)
        found: list[RecognizedWords] = []
        warnings: list[str] = []
        for window in windows_to_send(audio, whole=bool(self._settings.bucket)):
            result = self._recognize_window(pcm16(audio[samples_of(window, RATE_HZ)]), language)
            found.append(RecognizedWords(window, tuple(_shift(word, window.start_seconds) for word in result.words)))
            warnings += result.warnings
        words = merge(found, MergeOptions()) if len(found) > 1 else [word for one in found for word in one.words]
        if num_untimed := sum(word.timing == "interpolated" for word in words):
            warnings.append(f"Google returned no times for {num_untimed} of {len(words)} words; they are interpolated")
        return Recognition(words=normalize_words(words, audio_N.size / audio_rate_hz), warnings=tuple(warnings))

    def seconds_to_send(self, audio_N: MonoAudio, *, audio_rate_hz: int, language: str) -> float:
        """Seconds of this audio without a cached result; sends nothing."""
        audio = resample(check_audio(audio_N, audio_rate_hz), audio_rate_hz, RATE_HZ)
        return sum(
            window.end_seconds - window.start_seconds
            for window in windows_to_send(audio, whole=bool(self._settings.bucket))
            if read_cached(self._path(self._key(pcm16(audio[samples_of(window, RATE_HZ)]), language))) is None
        )

    def sent_seconds(self) -> float:
        """Seconds sent from the folder in all runs."""
        return self._usage_budget.sent_seconds()

    # --- one window ------------------------------------------------------------------------------------------------

    def _key(self, pcm: bytes, language: str) -> str:
        return fingerprint(self.version, _window_settings(self._settings), language, hashlib.sha256(pcm).hexdigest())

    def _path(self, key: str, kind: str = "") -> Path:
        return self._folder / f"{key}{kind}.json"

    def _recognize_window(self, pcm: bytes, language: str) -> Recognition:
        key = self._key(pcm, language)
        if (cached := read_cached(self._path(key))) is not None:
            return cached
        self._check_may_send(pcm)
        operation_path = self._path(key, ".operation")
        try:
            if is_short := len(pcm) <= MAX_WINDOW_SECONDS * _BYTES_PER_SECOND:
                words = self._recognize_short(pcm, language, key)
            else:
                words = self._recognize_in_bucket(pcm, language, key, operation_path)
        except EnginePausedError:
            self._failures += 1
            raise
        self._failures = 0
        result = Recognition(words=words)
        write_cached(self._path(key), result, engine=self.version)
        return result if is_short else dataclasses.replace(result, warnings=self._clean_up(operation_path))

    def _check_may_send(self, pcm: bytes) -> None:
        if not self._settings.may_send:
            raise EngineError(
                f"Google: {len(pcm) / _BYTES_PER_SECOND:.0f} s of audio have no cached result, and sending is not allowed; "
                "add --yes"
            )
        if self._failures >= _MAX_CONSECUTIVE_FAILURES:
            raise EnginePausedError(f"Google: no request sent after {self._failures} consecutive failures")

    def _recognize_short(self, pcm: bytes, language: str, key: str) -> tuple[Word, ...]:
        seconds = len(pcm) / _BYTES_PER_SECOND
        return self._send_billed(
            f"{seconds:.0f} s of audio", seconds, key, lambda api, retry: api.recognize(pcm, language, retry)
        )

    # --- a song in the bucket --------------------------------------------------------------------------------------

    def _recognize_in_bucket(self, pcm: bytes, language: str, key: str, operation_path: Path) -> tuple[Word, ...]:
        operation, uri = self._resume_operation(operation_path)
        if operation is None:
            uri = uploaded_uri = self._send(
                f"an object in {self._settings.bucket}", lambda: self._bucket.upload(f"{key}.pcm", pcm)
            )
            operation = self._send_billed(
                uri, len(pcm) / _BYTES_PER_SECOND, key, lambda api, retry: api.start(uploaded_uri, language, retry)
            )
            # The audio is billed from here on: a run after a crash must find the operation.
            write_json(operation_path, {"name": operation.operation.name, "uri": uri})
        try:
            return self._api.words_in(self._wait_for(operation, uri), uri)
        except Exception:
            if operation.operation.done:
                operation_path.unlink()  # the operation failed: the next run starts a new one
            raise

    def _resume_operation(self, operation_path: Path) -> tuple[Operation | None, str]:
        """(operation of an earlier run that Google still stores, URI of its audio), or (None, "")."""
        from google.api_core.exceptions import NotFound

        try:
            entry = read_json_object(operation_path)
            name, uri = str(entry["name"]), str(entry["uri"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None, ""
        try:
            return self._api.resume(name, self._retry()), uri
        except NotFound:
            return None, ""  # Google deletes operations after some days
        except external_errors() as error:
            raise translate_error(error, f"the operation {name}") from error

    def _wait_for(self, operation: Operation, uri: str) -> Any:
        from google.api_core.future.polling import DEFAULT_POLLING

        settings = self._settings
        polling = DEFAULT_POLLING.with_delay(initial=settings.first_pause_seconds, maximum=20.0)
        try:
            return operation.result(timeout=settings.wait_seconds, retry=self._retry(), polling=polling)
        except TimeoutError as error:
            raise EnginePausedError(
                f"Google: {uri} is not finished after {settings.wait_seconds / 60:.0f} minutes; run the same command again "
                "to continue"
            ) from error
        except external_errors() as error:
            raise translate_error(error, uri) from error

    def _clean_up(self, operation_path: Path) -> tuple[str, ...]:
        """Delete the audio from the bucket and the record of the operation; returns warnings."""
        uri = str(read_json_object(operation_path)["uri"])
        operation_path.unlink()
        try:
            self._send(f"the deletion of {uri}", lambda: self._bucket.delete(uri))
        except EngineError as error:
            return (f"{uri} remains in the bucket: {error}",)
        return ()

    # --- requests --------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _api(self) -> Api:
        return self._send("signing in", lambda: open_api(self._settings))

    @functools.cached_property
    def _bucket(self) -> Bucket:
        return self._send("signing in", lambda: Bucket(self._settings))

    def _send(self, description: str, request: Callable[[], Response]) -> Response:
        try:
            return request()
        except external_errors() as error:
            raise translate_error(error, description) from error

    def _send_billed(
        self, description: str, seconds: float, key: str, request: Callable[[Api, Retry], Response]
    ) -> Response:
        """The response of a request that is billed for `seconds` of audio."""
        api = self._api  # sign-in errors occur before the reservation
        self._usage_budget.reserve(seconds, key)

        def on_retry(error: Exception) -> None:
            if may_be_billed(error):
                self._usage_budget.reserve(seconds, key)

        try:
            return request(api, self._retry(on_retry))
        except external_errors() as error:
            if not may_be_billed(root_cause(error)):
                self._usage_budget.release(seconds, key)
            raise translate_error(error, description) from error

    def _retry(self, on_error: Callable[[Exception], None] | None = None) -> Retry:
        from google.api_core.retry import Retry

        settings = self._settings
        return Retry(
            predicate=is_transient,
            initial=settings.first_pause_seconds,
            maximum=20.0,
            multiplier=2.0,
            timeout=settings.retry_seconds,
            on_error=on_error,
        )


def google_version(options: GoogleOptions) -> str:
    """`Google.version` for `options`."""
    return f"{GOOGLE_VERSION}, {options.api_version}, model {options.model or 'default'}"


def cache_settings(options: GoogleOptions) -> dict[str, object]:
    """`Google.options` for `options`: all settings that can change the words, JSON-serializable."""
    return {**_window_settings(options), "whole": bool(options.bucket)}


def _window_settings(options: GoogleOptions) -> dict[str, object]:
    return {
        "api_version": options.api_version,
        "model": options.model,
        "location": options.location,
        "boosts": [LETTER_BOOST, WORD_BOOST],
        "phrases": fingerprint(*(phrase for phrase, _ in phrase_hints(options))),
    }


def _shift(word: Word, by_seconds: float) -> Word:
    return dataclasses.replace(
        word, start_seconds=word.start_seconds + by_seconds, end_seconds=word.end_seconds + by_seconds
    )
