"""google-cloud-speech v1 and v2 behind one face: the same questions, the same answers, whichever is asked.

Both give results one after another in time; a result has the likeliest wording first, with its words. What differs is
names (``start_time`` here, ``start_offset`` there), who is asked (v2: a recognizer of a project) and what a song in a
bucket is answered with.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from phonics_data.errors import EngineError, RecognitionError
from phonics_data.recognizers.google.chunks import RATE_HZ
from phonics_data.recognizers.google.options import GoogleOptions
from phonics_data.types import Word

if TYPE_CHECKING:
    from google.api_core.operation import Operation
    from google.api_core.retry import Retry

LETTER_BOOST, WORD_BOOST = 10.0, 3.0
"""How much likelier a letter and an example word are made, of 0 to 20."""

MOST_PHRASES = {"v1": 5_000, "v2": 1_200}
"""Of one request. v2's documents allow this many a set and more sets, but answer several sets like one that is too large."""

_MOST_SIGNS = 90_000  # of 100,000 in all phrases of a request


class Api(Protocol):
    """One version of Google's interface, signed in."""

    def recognize(self, pcm: bytes, language: str, retry: Retry) -> tuple[Word, ...]:
        """The words of at most a minute of sound: 16-bit samples at `RATE_HZ`. Times count from its start."""
        ...

    def start(self, uri: str, language: str, retry: Retry) -> Operation:
        """Begin to recognize the samples that lie at ``gs://...``."""
        ...

    def resume(self, name: str, retry: Retry) -> Operation:
        """An operation that an earlier run began."""
        ...

    def words_of(self, answer: Any, uri: str) -> tuple[Word, ...]:
        """The words in the answer of an operation that is done."""
        ...


def open_api(options: GoogleOptions) -> Api:
    """The interface that `options` name, signed in by Google's default credentials.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: there are none.
        EngineError: v2, and neither the options nor the credentials name a project.
    """
    return SpeechV1(options) if options.api_version == "v1" else SpeechV2(options)


class SpeechV1:
    def __init__(self, options: GoogleOptions) -> None:
        from google.cloud import speech_v1

        self._speech = speech_v1
        self._options = options
        client: Any = speech_v1.SpeechClient  # its helpers hide its arguments from type checkers
        self._client = client(client_options=_client_options(options))

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
            adaptation=speech.SpeechAdaptation(
                phrase_sets=[
                    speech.PhraseSet(
                        phrases=[
                            speech.PhraseSet.Phrase(value=text, boost=boost) for text, boost in hints(self._options)
                        ]
                    )
                ]
            ),
        )

    def recognize(self, pcm: bytes, language: str, retry: Retry) -> tuple[Word, ...]:
        answer = self._client.recognize(
            config=self._config(language),
            audio=self._speech.RecognitionAudio(content=pcm),
            retry=retry,
            timeout=_each(self._options),
        )
        return heard(answer.results, "start_time", "end_time", "result_end_time")

    def start(self, uri: str, language: str, retry: Retry) -> Operation:
        return self._client.long_running_recognize(
            config=self._config(language),
            audio=self._speech.RecognitionAudio(uri=uri),
            retry=retry,
            timeout=_each(self._options),
        )

    def resume(self, name: str, retry: Retry) -> Operation:
        found = self._client.get_operation({"name": name}, retry=retry, timeout=_each(self._options))
        return _operation(self._client, found, self._speech.LongRunningRecognizeResponse)

    def words_of(self, answer: Any, uri: str) -> tuple[Word, ...]:
        return heard(answer.results, "start_time", "end_time", "result_end_time")


class SpeechV2:
    def __init__(self, options: GoogleOptions) -> None:
        from google.cloud import speech_v2

        self._speech = speech_v2
        self._options = options
        self._client = speech_v2.SpeechClient(client_options=_client_options(options))
        self._recognizer = f"projects/{_project(options)}/locations/{options.location}/recognizers/_"

    def _config(self, language: str) -> Any:
        speech = self._speech
        phrases = speech.PhraseSet(
            phrases=[speech.PhraseSet.Phrase(value=text, boost=boost) for text, boost in hints(self._options)]
        )
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
                phrase_sets=[speech.SpeechAdaptation.AdaptationPhraseSet(inline_phrase_set=phrases)]
            ),
        )

    def recognize(self, pcm: bytes, language: str, retry: Retry) -> tuple[Word, ...]:
        request = self._speech.RecognizeRequest(recognizer=self._recognizer, config=self._config(language), content=pcm)
        answer = self._client.recognize(request, retry=retry, timeout=_each(self._options))
        return heard(answer.results, "start_offset", "end_offset", "result_end_offset")

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
        return self._client.batch_recognize(request, retry=retry, timeout=_each(self._options))

    def resume(self, name: str, retry: Retry) -> Operation:
        found = self._client.get_operation({"name": name}, retry=retry, timeout=_each(self._options))
        return _operation(self._client, found, self._speech.BatchRecognizeResponse)

    def words_of(self, answer: Any, uri: str) -> tuple[Word, ...]:
        if uri not in answer.results:
            raise RecognitionError("recognition_failed", f"Google's answer holds nothing about {uri}")
        result = answer.results[uri]
        if result.error.code:
            raise RecognitionError("recognition_failed", f"Google refused {uri} ({result.error.message})")
        return heard(result.inline_result.transcript.results, "start_offset", "end_offset", "result_end_offset")


# --- what is sent --------------------------------------------------------------------------------------------------


def hints(options: GoogleOptions) -> list[tuple[str, float]]:
    """(phrase, boost): the 26 letters, and as many of the likely words as one request may hold."""
    found = [(letter, LETTER_BOOST) for letter in string.ascii_uppercase]
    signs = len(found)
    for phrase in options.phrases[: MOST_PHRASES[options.api_version] - len(found)]:
        signs += len(phrase)
        if signs > _MOST_SIGNS:
            break
        found.append((phrase, WORD_BOOST))
    return found


_REGIONS = {
    "en": "en-US", "pt": "pt-BR", "zh": "cmn-Hans-CN", "ja": "ja-JP", "ko": "ko-KR", "sv": "sv-SE", "da": "da-DK",
    "nb": "no-NO", "cs": "cs-CZ", "el": "el-GR", "hi": "hi-IN", "uk": "uk-UA", "he": "iw-IL", "ar": "ar-EG", "vi": "vi-VN",
    "fa": "fa-IR", "ms": "ms-MY", "sl": "sl-SI", "et": "et-EE", "bn": "bn-BD", "ta": "ta-IN", "te": "te-IN", "ur": "ur-PK",
}  # fmt: skip


def language_tag(language: str) -> str:
    """Google's tag, which names a region, for an ISO 639-1 code: ``en`` -> ``en-US``, ``de`` -> ``de-DE``."""
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
            "Google: v2 needs a project, and the credentials name none; give --google-project, or set GOOGLE_CLOUD_PROJECT"
        )
    return str(project)


def _each(options: GoogleOptions) -> Any:
    """The same limit for each try: a plain number would be one limit for all tries together."""
    from google.api_core.timeout import ConstantTimeout

    return ConstantTimeout(options.timeout_seconds)


def _operation(client: Any, found: Any, answer_type: type) -> Operation:
    from google.api_core import operation

    from_gapic: Callable[..., Operation] = operation.from_gapic
    return from_gapic(found, client.transport.operations_client, answer_type)


# --- what comes back -----------------------------------------------------------------------------------------------


def heard(results: Iterable[Any], start: str, end: str, result_end: str) -> tuple[Word, ...]:
    """The words of an answer, as they were heard, in its order.

    Where Google gives no times of words (some of its models do not), those of a result are spread over it and say so.

    Args:
        start, end: names of a word's times; `result_end`: of a result's.
    """
    words: list[Word] = []
    so_far = 0.0
    for result in results:
        until = _seconds(getattr(result, result_end))
        best = next(iter(result.alternatives), None)
        if best is not None:
            timed = [(_seconds(getattr(word, start)), _seconds(getattr(word, end)), word) for word in best.words]
            if any(high > 0 for _, high, _ in timed):
                words += [
                    Word(
                        text=word.word.strip(),
                        start_seconds=low,
                        end_seconds=high,
                        confidence=_certainty(word.confidence),
                    )
                    for low, high, word in timed
                ]
            else:
                words += _spread(best.transcript.split(), so_far, until, _certainty(best.confidence))
        so_far = max(so_far, until)
    return tuple(words)


def _seconds(time: timedelta | None) -> float:
    return time.total_seconds() if time is not None else 0.0  # a time of 0 is left out


def _certainty(value: float) -> float | None:
    return round(min(value, 1.0), 3) if value > 0 else None  # 0 says that there is none


def _spread(texts: Sequence[str], start: float, end: float, confidence: float | None) -> list[Word]:
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
