"""Settings of Google's speech recognition: location, cost limits, timeouts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from phonics_data.errors import OptionError
from phonics_data.recognizers.optional_package import OptionalPackage

ApiVersion = Literal["v1", "v2"]

PACKAGE = OptionalPackage(
    module="google.cloud.speech", package="google-cloud-speech", extra="google", option="--engine google"
)

_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[\w./-]*)?", re.ASCII)
_LOCATION = re.compile(r"[a-z0-9-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class GoogleOptions:
    """Settings of Google's speech recognition. Credentials are found by Google's default mechanism.

    Args:
        api_version: version of the API. ``v2`` needs a project.
        project: id of the Google Cloud project; empty: the project of the credentials.
        location: ``global`` or a region (``us``, ``eu``, ``us-central1``) where the audio is processed.
        bucket: ``gs://bucket`` or ``gs://bucket/folder``: longer songs are uploaded, recognized whole and deleted. Empty:
            songs are sent in windows of at most `phonics_data.recognizers.google.chunks.MAX_WINDOW_SECONDS`.
        model: Google's model name; empty: its default (v1) or ``long`` (v2).
        endpoint: ``host:port`` of another server with the same API; empty: Google's endpoint of the location.
        phrases: likely words in addition to the 26 letters, the likeliest first; as many are sent as Google allows.
        may_send: whether audio may be sent. If not, only cached results are available.
        max_minutes: limit of the audio sent from one workspace, all runs together.
        timeout_seconds: of one request.
        retry_seconds: time limit of the retries after failures of the network or of Google's servers.
        first_pause_seconds: before the first retry; doubled for each further one, up to 20 s.
        wait_seconds: how long to wait for an operation on a song in the bucket; a later run continues to wait.
    """

    api_version: ApiVersion = "v1"
    project: str = ""
    location: str = "global"
    bucket: str = ""
    model: str = ""
    endpoint: str = ""
    phrases: tuple[str, ...] = ()
    may_send: bool = False
    max_minutes: float = 60.0
    timeout_seconds: float = 120.0
    retry_seconds: float = 180.0
    first_pause_seconds: float = 1.0
    wait_seconds: float = 3600.0

    def __post_init__(self) -> None:
        if self.api_version not in get_args(ApiVersion):
            raise OptionError("--google-api", self.api_version, "v1 or v2")
        if not _LOCATION.fullmatch(self.location):
            raise OptionError("--google-location", self.location, "global, or a region such as us, eu, us-central1")
        if self.bucket and not _BUCKET.fullmatch(self.bucket):
            raise OptionError("--bucket", self.bucket, "gs://BUCKET or gs://BUCKET/FOLDER, a bucket that you own")
        if not 0 <= self.max_minutes < float("inf"):
            raise OptionError("--max-minutes", self.max_minutes, "0 or more minutes of audio")
        for name in ("timeout_seconds", "retry_seconds", "first_pause_seconds", "wait_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise OptionError(name, getattr(self, name), "seconds > 0")
