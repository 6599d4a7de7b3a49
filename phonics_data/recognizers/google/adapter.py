"""`Google`: the recognizer that costs money, so that nothing is sent unasked and nothing is paid twice.

::

    FOLDER/<key>.json              the words of one piece of sound
    FOLDER/<key>.operation.json    a song in the bucket that Google is still busy with: its operation and its place
    FOLDER/sent.jsonl              what was sent, a line a request (`phonics_data.recognizers.google.usage_budget`)

A piece's key is made of its samples and of everything that may change its words. Each answer is kept when it arrives: a
run that is cut short, or refused in the middle of a song, has lost nothing that was paid for.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from phonics_data.errors import EngineError, EnginePausedError
from phonics_data.recognizers.cache import cached
from phonics_data.recognizers.google.api import LETTER_BOOST, WORD_BOOST, Api, hints, open_api
from phonics_data.recognizers.google.bucket import Bucket
from phonics_data.recognizers.google.chunks import LONGEST_SECONDS, RATE_HZ, pieces
from phonics_data.recognizers.google.failures import cause_of, from_outside, is_passing, may_have_cost, translated
from phonics_data.recognizers.google.options import GoogleOptions
from phonics_data.recognizers.google.usage_budget import UsageBudget
from phonics_data.recognizers.interface import Mono, Recognition, at_rate, check_audio, in_contract, pcm16
from phonics_data.recognizers.windows import Heard, MergeOptions, merge, samples_of
from phonics_data.storage.tables import to_plain
from phonics_data.storage.workspace import fingerprint, write_json
from phonics_data.types import Word

if TYPE_CHECKING:
    from google.api_core.operation import Operation
    from google.api_core.retry import Retry

Answer = TypeVar("Answer")

GOOGLE_VERSION = "google-1"
"""Raised whenever the same answers would give other words. The client library's version changes none, and is left out:
with it every update would cost all minutes again."""

_PATIENCE = 3
"""Failures in a row after which nothing more is tried in this run: each one has waited `retry_seconds`."""

_BYTES_A_SECOND = 2 * RATE_HZ


class Google:
    """Google's speech recognition; keeps the contract of `phonics_data.recognizers.interface.Recognizer`.

    Nothing is loaded, signed in or sent before the first sound that has no answer in `folder`.

    Args:
        folder: where answers are kept; several processes may share it.
    """

    name = "google"

    def __init__(self, options: GoogleOptions, *, folder: Path) -> None:
        self._settings = options
        self._folder = folder
        self._usage_budget = UsageBudget(folder / "sent.jsonl", max_minutes=options.max_minutes)
        self._failures = 0

    @property
    def version(self) -> str:
        return version_of(self._settings)

    @property
    def options(self) -> Mapping[str, object]:
        return settings(self._settings)

    def recognize(self, audio_N: Mono, *, audio_rate_hz: int, language: str) -> Recognition:
        """As the contract says. `EnginePausedError`: the quota, the cap of minutes or the network ended it for now; what
        was answered is kept, and the same call goes on from there."""
        audio = at_rate(check_audio(audio_N, audio_rate_hz), audio_rate_hz, RATE_HZ)
        found: list[Heard] = []
        warnings: list[str] = []
        for window in pieces(audio, whole=bool(self._settings.bucket)):
            answer = self._answer(pcm16(audio[samples_of(window, RATE_HZ)]), language)
            found.append(Heard(window, tuple(_moved(word, window.start_seconds) for word in answer.words)))
            warnings += answer.warnings
        words = merge(found, MergeOptions()) if len(found) > 1 else [word for one in found for word in one.words]
        if spread := sum(word.timing == "interpolated" for word in words):
            warnings.append(
                f"Google gave no times for {spread} of {len(words)} words; they are spread over their lines"
            )
        return Recognition(words=in_contract(words, audio_N.size / audio_rate_hz), warnings=tuple(warnings))

    def seconds_to_send(self, audio_N: Mono, *, audio_rate_hz: int, language: str) -> float:
        """How much of this audio Google has not answered yet; sends nothing."""
        audio = at_rate(check_audio(audio_N, audio_rate_hz), audio_rate_hz, RATE_HZ)
        return sum(
            window.end_seconds - window.start_seconds
            for window in pieces(audio, whole=bool(self._settings.bucket))
            if cached(self._path(self._key(pcm16(audio[samples_of(window, RATE_HZ)]), language))) is None
        )

    def sent_seconds(self) -> float:
        """What was sent from the folder so far, of all runs."""
        return self._usage_budget.sent_seconds()

    # --- one piece -------------------------------------------------------------------------------------------------

    def _key(self, pcm: bytes, language: str) -> str:
        return fingerprint(self.version, _piece_settings(self._settings), language, hashlib.sha256(pcm).hexdigest())

    def _path(self, key: str, kind: str = "") -> Path:
        return self._folder / f"{key}{kind}.json"

    def _answer(self, pcm: bytes, language: str) -> Recognition:
        key = self._key(pcm, language)
        if (kept := cached(self._path(key))) is not None:
            return kept
        self._may_ask(pcm)
        note = self._path(key, ".operation")
        try:
            at_once = len(pcm) <= LONGEST_SECONDS * _BYTES_A_SECOND
            words = self._at_once(pcm, language, key) if at_once else self._by_bucket(pcm, language, key, note)
        except EnginePausedError:
            self._failures += 1
            raise
        self._failures = 0
        answer = Recognition(words=words)
        write_json(self._path(key), {"engine": self.version, **to_plain(answer)})
        return answer if at_once else dataclasses.replace(answer, warnings=self._tidied(note))

    def _may_ask(self, pcm: bytes) -> None:
        if not self._settings.may_send:
            raise EngineError(
                f"Google: {len(pcm) / _BYTES_A_SECOND:.0f} s of sound have no answer yet, and none may be sent; say --yes"
            )
        if self._failures >= _PATIENCE:
            raise EnginePausedError(f"Google: not asked, after {self._failures} failures in a row")

    def _at_once(self, pcm: bytes, language: str, key: str) -> tuple[Word, ...]:
        seconds = len(pcm) / _BYTES_A_SECOND
        return self._paid(
            f"{seconds:.0f} s of sound", seconds, key, lambda api, retry: api.recognize(pcm, language, retry)
        )

    # --- a song in the bucket --------------------------------------------------------------------------------------

    def _by_bucket(self, pcm: bytes, language: str, key: str, note: Path) -> tuple[Word, ...]:
        operation, uri = self._under_way(note)
        if operation is None:
            uri = self._asked(f"an object in {self._settings.bucket}", lambda: self._bucket.put(f"{key}.pcm", pcm))
            place = uri
            operation = self._paid(
                uri, len(pcm) / _BYTES_A_SECOND, key, lambda api, retry: api.start(place, language, retry)
            )
            # From here on the minutes are paid: whoever comes after a crash must find the operation.
            write_json(note, {"name": operation.operation.name, "uri": uri})
        try:
            return self._api.words_of(self._awaited(operation, uri), uri)
        except Exception:
            if operation.operation.done:
                note.unlink()  # it ended, badly: the next run begins anew
            raise

    def _under_way(self, note: Path) -> tuple[Operation | None, str]:
        """The operation that an earlier run began and that Google still knows, and where its sound lies."""
        from google.api_core.exceptions import NotFound

        try:
            entry = json.loads(note.read_bytes())
            name, uri = str(entry["name"]), str(entry["uri"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None, ""
        try:
            return self._api.resume(name, self._retry()), uri
        except NotFound:
            return None, ""  # Google forgets operations after some days
        except from_outside() as error:
            raise translated(error, f"the operation {name}") from error

    def _awaited(self, operation: Operation, uri: str) -> Any:
        from google.api_core.future.polling import DEFAULT_POLLING

        own = self._settings
        polling = DEFAULT_POLLING.with_delay(initial=own.first_pause_seconds, maximum=20.0)
        try:
            return operation.result(timeout=own.wait_seconds, retry=self._retry(), polling=polling)
        except TimeoutError as error:
            raise EnginePausedError(
                f"Google: still busy with {uri} after {own.wait_seconds / 60:.0f} minutes; the same command asks again"
            ) from error
        except from_outside() as error:
            raise translated(error, uri) from error

    def _tidied(self, note: Path) -> tuple[str, ...]:
        """Remove the sound from the bucket and forget the operation; says what could not be removed."""
        uri = str(json.loads(note.read_bytes())["uri"])
        note.unlink()
        try:
            self._asked(f"the removal of {uri}", lambda: self._bucket.remove(uri))
        except EngineError as error:
            return (f"{uri} stays in the bucket: {error}",)
        return ()

    # --- asking ----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _api(self) -> Api:
        return self._asked("signing in", lambda: open_api(self._settings))

    @functools.cached_property
    def _bucket(self) -> Bucket:
        return self._asked("signing in", lambda: Bucket(self._settings))

    def _asked(self, what: str, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except from_outside() as error:
            raise translated(error, what) from error

    def _paid(self, what: str, seconds: float, key: str, ask: Callable[[Api, Retry], Answer]) -> Answer:
        """The answer of a request that costs `seconds`."""
        api = self._api  # signing in fails before anything counts
        self._usage_budget.take(seconds, key)

        def again(error: Exception) -> None:
            if may_have_cost(error):
                self._usage_budget.take(seconds, key)

        try:
            return ask(api, self._retry(again))
        except from_outside() as error:
            if not may_have_cost(cause_of(error)):
                self._usage_budget.give_back(seconds, key)
            raise translated(error, what) from error

    def _retry(self, on_error: Callable[[Exception], None] | None = None) -> Retry:
        from google.api_core.retry import Retry

        own = self._settings
        return Retry(
            predicate=is_passing,
            initial=own.first_pause_seconds,
            maximum=20.0,
            multiplier=2.0,
            timeout=own.retry_seconds,
            on_error=on_error,
        )


def version_of(options: GoogleOptions) -> str:
    """`Google.version` without opening one."""
    return f"{GOOGLE_VERSION}, {options.api_version}, model {options.model or 'default'}"


def settings(options: GoogleOptions) -> dict[str, object]:
    """What of `options` may change the words of a song, as JSON can hold it."""
    return {**_piece_settings(options), "whole": bool(options.bucket)}


def _piece_settings(options: GoogleOptions) -> dict[str, object]:
    return {
        "api_version": options.api_version,
        "model": options.model,
        "location": options.location,
        "boosts": [LETTER_BOOST, WORD_BOOST],
        "phrases": fingerprint(*(phrase for phrase, _ in hints(options))),
    }


def _moved(word: Word, by_seconds: float) -> Word:
    return dataclasses.replace(
        word, start_seconds=word.start_seconds + by_seconds, end_seconds=word.end_seconds + by_seconds
    )
