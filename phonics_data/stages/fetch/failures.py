"""Classification of failed downloads: the cause, whether a retry can help, and advice for the user.

yt-dlp reports failures as text, sometimes with an HTTP status in an inner exception. Only this module interprets both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from phonics_data.errors import FetchError
from phonics_data.types import Reason

FailureCause = Literal[
    "gone",  # removed, private, or restricted by country or age
    "bot_check",  # the server requires proof that the client is a person
    "rate_limited",  # too many requests
    "forbidden",  # 401, 403
    "unreachable",  # no response: no network, unknown host, refused connection
    "transient",  # 5xx, a broken connection, an expired file address: a retry can help
    "permanent",  # not a video page, a missing format, a missing program: a retry cannot help
]

REASON_OF_CAUSE: dict[FailureCause, Reason] = {
    "gone": "gone",
    "bot_check": "blocked",
    "rate_limited": "blocked",
    "forbidden": "blocked",
    "unreachable": "fetch_failed",
    "transient": "fetch_failed",
    "permanent": "fetch_failed",
}

ADVICE: dict[FailureCause, str] = {
    "gone": "the video is not available; `--retry gone` tries it again later",
    "bot_check": "wait some hours, or give the cookies of a browser in which YouTube plays (--cookies FILE)",
    "rate_limited": "wait an hour or more, then run the same command with a longer --sleep",
    "forbidden": "wait, update yt-dlp (`phonics-data doctor` shows its version), or give --cookies FILE",
    "unreachable": "check the connection or --proxy, then run the same command again",
    "transient": "run the same command with --retry failed",
    "permanent": "correct the row, or see `phonics-data doctor`; then --retry failed",
}

_AGE = ("confirm your age", "age-restricted", "inappropriate for some users")
_BOT_CHECK = ("not a bot", "captcha", "unusual traffic")
_RATE_LIMITED = ("too many requests", "rate-limited", "rate limited", "http error 429")
_GONE = (
    "private video",
    "video is private",
    "has been removed",
    "been terminated",
    "no longer available",
    "video unavailable",
    "video is unavailable",
    "video is not available",
    "video isn't available",
    "not available in your country",
    "made this video available in your country",
    "not available from your location",
    "blocked it in your country",
    "copyright",
    *_AGE,
    "members-only",
    "members only",
    "join this channel",
    "requires payment",
    "does not exist",
    "account has been",
)
_UNREACHABLE = (
    "name or service not known",
    "temporary failure in name resolution",
    "nodename nor servname",
    "no address associated",
    "failed to resolve",
    "getaddrinfo failed",
    "network is unreachable",
    "no route to host",
    "connection refused",
    "unable to connect to proxy",
    "tunnel connection failed",
)
_PERMANENT = (
    "unsupported url",
    "is not a valid url",
    "requested format is not available",
    "no video formats found",
    "drm protected",
    "ffmpeg is not installed",
    "ffmpeg not found",
    "certificate verify failed",
    "is currently live",
    "will begin in",
    "premieres in",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpFailure:
    """The HTTP response behind a failure; both fields are None when there was none."""

    http_status: int | None = None
    retry_after_seconds: float | None = None


class DownloadError(FetchError):
    """A `FetchError` with its cause.

    Args:
        cause: decides about retries and about the rest of the queue.
        retry_after_seconds: the pause that the server requested.
    """

    def __init__(self, cause: FailureCause, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(REASON_OF_CAUSE[cause], detail)
        self.cause: FailureCause = cause
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.cause, self.detail, self.retry_after_seconds)


def _rebuild(cause: FailureCause, detail: str, retry_after_seconds: float | None) -> DownloadError:
    return DownloadError(cause, detail, retry_after_seconds=retry_after_seconds)


def advice_for(cause: FailureCause, message: str) -> str:
    """What the user can do about a failure of `cause` with the error text `message`."""
    if cause == "gone" and _contains(message.lower(), _AGE):
        return "restricted to adults by YouTube; give --cookies of an account that may watch it, and --retry gone"
    return ADVICE[cause]


def classify_failure(message: str, warnings: Sequence[str], response: HttpFailure, *, on_page: bool) -> FailureCause:
    """The cause of a failure.

    Args:
        message: the error's text.
        warnings: earlier warnings of yt-dlp; the HTTP status can be in a warning only.
        response: the HTTP status, where the error contains one.
        on_page: the page failed, not the media files it names. The address of a media file expires and the page gives
            a new one, so 404 and 410 for a media file do not mean that the video is gone.
    """
    text = _normalized(message)
    text_and_warnings = "\n".join([text, *map(_normalized, warnings)])
    status = response.http_status or _status_in(text)
    if "postprocessing:" in text:
        # The last line of ffmpeg, which says nothing about the server. A process that was killed can end with any line, also
        # with the copyright of its version.
        return "permanent" if _contains(text, _PERMANENT) else "transient"
    if _contains(text_and_warnings, _BOT_CHECK):
        return "bot_check"
    if status == 429 or _contains(text_and_warnings, _RATE_LIMITED):
        return "rate_limited"
    if _contains(text, _GONE) or (on_page and status in (404, 410, 451)):
        return "gone"
    if status in (401, 403):
        return "forbidden"
    if "sign in" in text or "log in" in text:
        return "bot_check"
    if _contains(text, _UNREACHABLE):
        return "unreachable"
    if status is None and _contains(text, _PERMANENT):
        return "permanent"
    return "transient"


def _normalized(text: str) -> str:
    return text.lower().replace("’", "'")


def _contains(text: str, phrases: Sequence[str]) -> bool:
    return any(phrase in text for phrase in phrases)


def _status_in(text: str) -> int | None:
    found = re.search(r"http error (\d{3})", text)
    return int(found[1]) if found else None
