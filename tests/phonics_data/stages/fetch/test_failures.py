"""Classification of yt-dlp's error texts and HTTP statuses."""

from __future__ import annotations

import pickle

import pytest

from phonics_data.stages.fetch.failures import ADVICE, DownloadError, HttpFailure, advice_for, classify_failure


@pytest.mark.parametrize(
    ("message", "expected"),
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
        ("Unable to download webpage: HTTP Error 503: Service Unavailable", "transient"),
        ("unable to download video data: [Errno 104] Connection reset by peer", "transient"),
        ("The read operation timed out", "transient"),
        ("Unsupported URL: https://example.org", "permanent"),
        ("[youtube] x: Requested format is not available. Use --list-formats", "permanent"),
        ("an unknown error text", "transient"),
        ("Postprocessing: ffmpeg version 7.0.2-static Copyright (c) 2000-2024 the FFmpeg developers", "transient"),
        ("Postprocessing: Metadata: title: Too many requests", "transient"),
        ("Postprocessing: Conversion failed!", "transient"),
        ("Postprocessing: ffmpeg not found. Please install or provide the path using --ffmpeg-location", "permanent"),
    ],
)
def test_error_texts(message: str, expected: str) -> None:
    assert classify_failure(message, [], HttpFailure(), on_page=True) == expected


@pytest.mark.parametrize(
    ("status", "on_page", "expected"),
    [
        (404, True, "gone"),
        (410, True, "gone"),
        (404, False, "transient"),  # an expired file address; the page gives a new one
        (410, False, "transient"),
        (451, True, "gone"),
        (401, True, "forbidden"),
        (403, False, "forbidden"),
        (429, False, "rate_limited"),
        (500, True, "transient"),
        (503, False, "transient"),
    ],
)
def test_http_statuses(status: int, on_page: bool, expected: str) -> None:
    assert classify_failure("it failed", [], HttpFailure(http_status=status), on_page=on_page) == expected


def test_warning_with_the_status_that_the_error_lacks() -> None:
    warnings = ["[youtube] x: Unable to download webpage: HTTP Error 429: Too Many Requests"]
    assert (
        classify_failure("Failed to extract any player response", warnings, HttpFailure(), on_page=True)
        == "rate_limited"
    )


def test_unrelated_warning_is_ignored() -> None:
    warnings = ["[youtube] x: Unable to download webpage: HTTP Error 404: Not Found"]
    assert classify_failure("The read operation timed out", warnings, HttpFailure(), on_page=True) == "transient"


def test_error_can_be_pickled() -> None:
    error = DownloadError("rate_limited", "slow down", retry_after_seconds=7.0)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.cause, copy.reason, copy.detail, copy.retry_after_seconds) == (
        "rate_limited",
        "blocked",
        "slow down",
        7,
    )


def test_every_cause_has_advice_and_age_restriction_its_own() -> None:
    assert all(ADVICE.values())
    assert "--cookies" in advice_for("gone", "Sign in to confirm your age")
    assert advice_for("gone", "Private video") == ADVICE["gone"]
