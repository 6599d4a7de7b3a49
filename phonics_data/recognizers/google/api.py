"""One interface for google-cloud-speech v1 and v2.

Both return results in time order; the first alternative of a result is the most likely one. They differ in field names
(``start_time``, ``start_offset``), in the addressee (v2: a recognizer of a project) and in the response for audio in a
bucket.
"""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from phonics_data.errors import EngineError, RecognitionError
from phonics_data.recognizers.google.chunks import RATE_HZ
from phonics_data.recognizers.google.options import GoogleOptions
from phonics_data.types import Word

if TYPE_CHECKING:
    from google.api_core.operation import Operation
    from google.api_core.retry import Retry

LETTER_BOOST, WORD_BOOST = 10.0, 3.0
"""Speech adaptation boosts of letters and of example words, 0 to 20."""

MAX_PHRASES = {"v1": 5_000, "v2": 1_200}
"""Limit per request. v2 documents this limit per set and allows several sets, but rejects them like one large set."""

_MAX_PHRASE_CHARACTERS = 90_000  # the limit of a request is 100,000


class Api(ABC):
    """One version of the API, with credentials."""

    word_fields = ("start_time", "end_time", "result_end_time")
    """Field names of a word's times and of a result's end."""
    operation_response = "LongRunningRecognizeResponse"

    def __init__(self, speech: Any, options: GoogleOptions) -> None:
        self._speech = speech  # the module of this version
        self._options = options
        self._client = speech.SpeechClient(client_options=_client_options(options))
        self._timeout = _timeout_per_attempt(options)

    @abstractmethod
    def recognize(self, pcm: bytes, language: str, retry: Retry) -> tuple[Word, ...]:
        """The words of at most one minute of audio (16-bit samples at `RATE_HZ`). Times are relative to its start."""

    @abstractmethod
    def start(self, uri: str, language: str, retry: Retry) -> Operation:
        """Start the recognition of the samples at ``gs://...``."""

    def resume(self, name: str, retry: Retry) -> Operation:
        """An operation that an earlier run started."""
        from google.api_core import operation

        found = self._client.get_operation({"name": name}, retry=retry, timeout=self._timeout)
        from_gapic: Callable[..., Operation] = operation.from_gapic
        return from_gapic(
            found, self._client.transport.operations_client, getattr(self._speech, self.operation_response)
        )

    def words_in(self, response: Any, uri: str) -> tuple[Word, ...]:
        """The words in the response of a finished operation."""
        return self._words(response.results)

    def _words(self, results: Iterable[Any]) -> tuple[Word, ...]:
        return recognized_words(results, *self.word_fields)

    def _phrase_set(self) -> Any:
        phrase = self._speech.PhraseSet.Phrase
        return self._speech.PhraseSet(
            phrases=[phrase(value=text, boost=boost) for text, boost in phrase_hints(self._options)]
        )


def open_api(options: GoogleOptions) -> Api:
    """The API version in `options`, with Google's default credentials.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: no credentials.
        EngineError: v2 without a project in the options or the credentials.
    """
    return SpeechV1(options) if options.api_version == "v1" else SpeechV2(options)


class SpeechV1(Api):
    def __init__(self, options: GoogleOptions) -> None:
        from google.cloud import speech_v1

        super().__init__(speech_v1, options)

    def _config(self, language: str) -> Any:
        speech = self._speech
        return speech.RecognitionConfig(
            encoding=speech.RecognitionConfig.AudioEncoding.LINEAR16,
            sample_rate_hertz=RATE_HZ,
            audio_channel_count=1,
            language_code=language_tag(language),
            enable_word_time_offsets=True,
            enable_word_confidence=True,
            model=self._options.model,
            adaptation=speech.SpeechAdaptation(phrase_sets=[self._phrase_set()]),
        )

    def recognize(self, pcm: bytes, language: str, retry: Retry) -> tuple[Word, ...]:
        audio = self._speech.RecognitionAudio(content=pcm)
        response = self._client.recognize(
            config=self._config(language), audio=audio, retry=retry, timeout=self._timeout
        )
        return self._words(response.results)

    def start(self, uri: str, language: str, retry: Retry) -> Operation:
        audio = self._speech.RecognitionAudio(uri=uri)
        return self._client.long_running_recognize(
            config=self._config(language), audio=audio, retry=retry, timeout=self._timeout
        )


class SpeechV2(Api):
    word_fields = ("start_offset", "end_offset", "result_end_offset")
    operation_response = "BatchRecognizeResponse"

    def __init__(self, options: GoogleOptions) -> None:
        from google.cloud import speech_v2

        super().__init__(speech_v2, options)
        self._recognizer = f"projects/{_project(options)}/locations/{options.location}/recognizers/_"

    def _config(self, language: str) -> Any:
        speech = self._speech
        return speech.RecognitionConfig(
            explicit_decoding_config=speech.ExplicitDecodingConfig(
                encoding=speech.ExplicitDecodingConfig.AudioEncoding.LINEAR16,
                sample_rate_hertz=RATE_HZ,
                audio_channel_count=1,
            ),
            model=self._options.model or "long",
            language_codes=[language_tag(language)],
            features=speech.RecognitionFeatures(enable_word_time_offsets=True, enable_word_confidence=True),
            adaptation=speech.SpeechAdaptation(
                phrase_sets=[speech.SpeechAdaptation.AdaptationPhraseSet(inline_phrase_set=self._phrase_set())]
            ),
        )

    def recognize(self, pcm: bytes, language: str, retry: Retry) -> tuple[Word, ...]:
        request = self._speech.RecognizeRequest(recognizer=self._recognizer, config=self._config(language), content=pcm)
        return self._words(self._client.recognize(request, retry=retry, timeout=self._timeout).results)

    def start(self, uri: str, language: str, retry: Retry) -> Operation:
        speech = self._speech
        request = speech.BatchRecognizeRequest(
            recognizer=self._recognizer,
            config=self._config(language),
            files=[speech.BatchRecognizeFileMetadata(uri=uri)],
            recognition_output_config=speech.RecognitionOutputConfig(
                inline_response_config=speech.InlineOutputConfig()
            ),
        )
        return self._client.batch_recognize(request, retry=retry, timeout=self._timeout)

    def words_in(self, response: Any, uri: str) -> tuple[Word, ...]:
        if uri not in response.results:
            raise RecognitionError("recognition_failed", f"Google's response has no result for {uri}")
        result = response.results[uri]
        if result.error.code:
            raise RecognitionError("recognition_failed", f"Google rejected {uri} ({result.error.message})")
        return self._words(result.inline_result.transcript.results)


# --- requests ------------------------------------------------------------------------------------------------------


def phrase_hints(options: GoogleOptions) -> list[tuple[str, float]]:
    """(phrase, boost): the 26 letters, then as many of `options.phrases` as one request allows."""
    found = [(letter, LETTER_BOOST) for letter in string.ascii_uppercase]
    num_characters = len(found)
    for phrase in options.phrases[: MAX_PHRASES[options.api_version] - len(found)]:
        num_characters += len(phrase)
        if num_characters > _MAX_PHRASE_CHARACTERS:
            break
        found.append((phrase, WORD_BOOST))
    return found


_REGIONS = {
    "en": "en-US", "pt": "pt-BR", "zh": "cmn-Hans-CN", "ja": "ja-JP", "ko": "ko-KR", "sv": "sv-SE", "da": "da-DK",
    "nb": "no-NO", "cs": "cs-CZ", "el": "el-GR", "hi": "hi-IN", "uk": "uk-UA", "he": "iw-IL", "ar": "ar-EG", "vi": "vi-VN",
    "fa": "fa-IR", "ms": "ms-MY", "sl": "sl-SI", "et": "et-EE", "bn": "bn-BD", "ta": "ta-IN", "te": "te-IN", "ur": "ur-PK",
}  # fmt: skip


def language_tag(language: str) -> str:
    """Google's language tag with a region for an ISO 639-1 code: ``en`` -> ``en-US``, ``de`` -> ``de-DE``."""
    return _REGIONS.get(language, f"{language}-{language.upper()}")


def _client_options(options: GoogleOptions) -> dict[str, str]:
    if options.endpoint:
        return {"api_endpoint": options.endpoint}
    if options.location == "global":
        return {}
    return {"api_endpoint": f"{options.location}-speech.googleapis.com"}


def _project(options: GoogleOptions) -> str:
    import google.auth

    project = options.project or google.auth.default()[1]
    if not project:
        raise EngineError(
            "Google: v2 needs a project, and the credentials contain none; give --google-project or set GOOGLE_CLOUD_PROJECT"
        )
    return str(project)


def _timeout_per_attempt(options: GoogleOptions) -> Any:
    """A timeout for each attempt; a plain number would limit all attempts together."""
    from google.api_core.timeout import ConstantTimeout

    return ConstantTimeout(options.timeout_seconds)


# --- responses -----------------------------------------------------------------------------------------------------


def recognized_words(results: Iterable[Any], start: str, end: str, result_end: str) -> tuple[Word, ...]:
    """The words of a response, in its order.

    Some models return no word times; the words of such a result share its duration equally, with timing ``interpolated``.

    Args:
        start, end: field names of a word's times.
        result_end: field name of a result's end.
    """
    words: list[Word] = []
    previous_end = 0.0
    for result in results:
        end_seconds = _seconds(getattr(result, result_end))
        best = next(iter(result.alternatives), None)
        if best is not None:
            timed = [(_seconds(getattr(word, start)), _seconds(getattr(word, end)), word) for word in best.words]
            if any(high > 0 for _, high, _ in timed):
                words += [
                    Word(
                        text=word.word.strip(),
                        start_seconds=low,
                        end_seconds=high,
                        confidence=_confidence(word.confidence),
                    )
                    for low, high, word in timed
                ]
            else:
                words += _interpolate(best.transcript.split(), previous_end, end_seconds, _confidence(best.confidence))
        previous_end = max(previous_end, end_seconds)
    return tuple(words)


def _seconds(time: timedelta | None) -> float:
    return time.total_seconds() if time is not None else 0.0  # a time of 0 is omitted


def _confidence(value: float) -> float | None:
    return round(min(value, 1.0), 3) if value > 0 else None  # 0 means "not given"


def _interpolate(texts: Sequence[str], start: float, end: float, confidence: float | None) -> list[Word]:
    step = (end - start) / max(len(texts), 1)
    return [
        Word(
            text=text,
            start_seconds=start + index * step,
            end_seconds=start + (index + 1) * step,
            confidence=confidence,
            timing="interpolated",
        )
        for index, text in enumerate(texts)
    ]
