"""What a failed download means: whose fault it is, and whether trying again can help.

yt-dlp tells by its words and sometimes by an HTTP status deep inside; this is the one place that reads them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from phonics_data.errors import FetchError
from phonics_data.types import Reason

Cause = Literal[
    "gone",  # removed, private, not for this country or age
    "bot_check",  # the server doubts that we are a person
    "rate_limited",  # too many requests
    "forbidden",  # 401, 403
    "unreachable",  # no answer at all: no network, no such host, nobody listens
    "passing",  # 5xx, a broken connection, a file that is not where the page says: another try may do
    "lasting",  # not a video page, a format that is not there, a program that is missing
]

REASON_OF_CAUSE: dict[Cause, Reason] = {
    "gone": "gone",
    "bot_check": "blocked",
    "rate_limited": "blocked",
    "forbidden": "blocked",
    "unreachable": "fetch_failed",
    "passing": "fetch_failed",
    "lasting": "fetch_failed",
}

ADVICE: dict[Cause, str] = {
    "gone": "nothing to be done here; `--retry gone` asks again one day",
    "bot_check": "wait some hours, or give the cookies of a browser in which YouTube plays (--cookies FILE)",
    "rate_limited": "wait an hour or more, then run the same command with a longer --sleep",
    "forbidden": "wait, update yt-dlp (`phonics-data doctor` tells), or give --cookies FILE",
    "unreachable": "check the connection or --proxy, then run the same command again",
    "passing": "run the same command with --retry failed",
    "lasting": "correct the row, or see `phonics-data doctor`; then --retry failed",
}

_AGE = ("confirm your age", "age-restricted", "inappropriate for some users")


def advice_for(cause: Cause, words: str) -> str:
    """What to do about a failure of `cause` that was told with `words`."""
    if cause == "gone" and _has(words.lower(), _AGE):
        return "for adults only by YouTube's rules: --cookies of an account that may see it, and --retry gone"
    return ADVICE[cause]


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
_LASTING = (
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
class Answer:
    """What a server answered when something failed."""

    http_status: int | None = None
    retry_after_seconds: float | None = None


class DownloadError(FetchError):
    """A `FetchError` that knows its cause.

    Args:
        cause: decides about another try and about the rest of the queue.
        retry_after_seconds: the pause that the server asked for.
    """

    def __init__(self, cause: Cause, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(REASON_OF_CAUSE[cause], detail)
        self.cause: Cause = cause
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.cause, self.detail, self.retry_after_seconds)


def _rebuild(cause: Cause, detail: str, retry_after_seconds: float | None) -> DownloadError:
    return DownloadError(cause, detail, retry_after_seconds=retry_after_seconds)


def cause_of(words: str, warnings: Sequence[str], answer: Answer, *, on_page: bool) -> Cause:
    """The cause behind a failure.

    Args:
        words: the error's text.
        warnings: what was said before it; a status can stand there alone.
        answer: the HTTP status, where the error holds one.
        on_page: the page failed, and not the files that it names. A file's address expires and its page makes a new
            one, so that 404 and 410 there do not mean that the video is gone.
    """
    text = words.lower().replace("’", "'")
    said = "\n".join([text, *(line.lower().replace("’", "'") for line in warnings)])
    status = answer.http_status or _status_in(text)
    if _has(said, _BOT_CHECK):
        return "bot_check"
    if status == 429 or _has(said, _RATE_LIMITED):
        return "rate_limited"
    if _has(text, _GONE) or (on_page and status in (404, 410, 451)):
        return "gone"
    if status in (401, 403):
        return "forbidden"
    if "sign in" in text or "log in" in text:
        return "bot_check"
    if _has(text, _UNREACHABLE):
        return "unreachable"
    if status is None and _has(text, _LASTING):
        return "lasting"
    return "passing"


def _has(text: str, parts: Sequence[str]) -> bool:
    return any(part in text for part in parts)


def _status_in(text: str) -> int | None:
    found = re.search(r"http error (\d{3})", text)
    return int(found[1]) if found else None
