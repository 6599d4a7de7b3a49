"""yt-dlp's words, sorted by what they mean for the queue."""

from __future__ import annotations

import pickle

import pytest

from phonics_data.stages.fetch.failures import ADVICE, Answer, DownloadError, advice_for, cause_of


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("[youtube] x: Sign in to confirm you’re not a bot. Use --cookies", "bot_check"),
        ("[youtube] x: Sign in to confirm you're not a bot", "bot_check"),
        ("[youtube] x: Video unavailable. YouTube is requiring a captcha challenge before playback", "bot_check"),
        ("[youtube] x: Please sign in", "bot_check"),
        (
            "[youtube] x: Video unavailable. This content isn't available, try again later. The current session has been "
            "rate-limited by YouTube for up to an hour.",
            "rate_limited",
        ),
        ("unable to download video data: HTTP Error 429: Too Many Requests", "rate_limited"),
        ("[youtube] x: Private video. Sign in if you've been granted access to this video", "gone"),
        ("[youtube] x: Video unavailable. This video has been removed by the uploader", "gone"),
        ("[youtube] x: This video is no longer available because the YouTube account has been terminated.", "gone"),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users", "gone"),
        ("[youtube] x: The uploader has not made this video available in your country", "gone"),
        ("[youtube] x: Join this channel to get access to members-only content", "gone"),
        ("unable to download video data: HTTP Error 403: Forbidden", "forbidden"),
        ("Unable to download webpage: [Errno -3] Temporary failure in name resolution", "unreachable"),
        ("Unable to download webpage: <urlopen error [Errno 111] Connection refused>", "unreachable"),
        ("Unable to download webpage: HTTP Error 503: Service Unavailable", "passing"),
        ("unable to download video data: [Errno 104] Connection reset by peer", "passing"),
        ("The read operation timed out", "passing"),
        ("Unsupported URL: https://example.org", "lasting"),
        ("[youtube] x: Requested format is not available. Use --list-formats", "lasting"),
        ("words that nobody has seen yet", "passing"),
    ],
)
def test_words(words: str, expected: str) -> None:
    assert cause_of(words, [], Answer(), on_page=True) == expected


@pytest.mark.parametrize(
    ("status", "on_page", "expected"),
    [
        (404, True, "gone"),
        (410, True, "gone"),
        (404, False, "passing"),  # the file's address expired; the page gives a new one
        (410, False, "passing"),
        (451, True, "gone"),
        (401, True, "forbidden"),
        (403, False, "forbidden"),
        (429, False, "rate_limited"),
        (500, True, "passing"),
        (503, False, "passing"),
    ],
)
def test_statuses_inside_the_error(status: int, on_page: bool, expected: str) -> None:
    assert cause_of("it failed", [], Answer(http_status=status), on_page=on_page) == expected


def test_a_warning_can_hold_what_the_error_hides() -> None:
    hidden = ["[youtube] x: Unable to download webpage: HTTP Error 429: Too Many Requests"]
    assert cause_of("Failed to extract any player response", hidden, Answer(), on_page=True) == "rate_limited"


def test_a_harmless_warning_is_not_the_cause() -> None:
    harmless = ["[youtube] x: Unable to download webpage: HTTP Error 404: Not Found"]
    assert cause_of("The read operation timed out", harmless, Answer(), on_page=True) == "passing"


def test_an_error_survives_the_way_between_processes() -> None:
    error = DownloadError("rate_limited", "slow down", retry_after_seconds=7.0)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.cause, copy.reason, copy.detail, copy.retry_after_seconds) == (
        "rate_limited",
        "blocked",
        "slow down",
        7,
    )


def test_every_cause_has_advice_and_age_its_own() -> None:
    assert all(ADVICE.values())
    assert "--cookies" in advice_for("gone", "Sign in to confirm your age")
    assert advice_for("gone", "Private video") == ADVICE["gone"]
