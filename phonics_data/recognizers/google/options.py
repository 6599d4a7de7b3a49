"""What a person decides about Google: where it listens, what it may cost, how long we wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from phonics_data.errors import OptionError

ApiVersion = Literal["v1", "v2"]

_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[\w./-]*)?", re.ASCII)
_PLACE = re.compile(r"[a-z0-9-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class GoogleOptions:
    """How Google's speech recognition is asked. Credentials are no option: Google's own default finds them.

    Args:
        api_version: of Google's interface. ``v2`` needs a project.
        project: id of the Google Cloud project; empty takes the one that the credentials name.
        location: ``global``, or a region (``us``, ``eu``, ``us-central1``); the sound is recognized there.
        bucket: ``gs://bucket`` or ``gs://bucket/folder``: longer songs are put there, recognized whole and removed again.
            Empty sends them in pieces of at most `phonics_data.recognizers.google.chunks.LONGEST_SECONDS`.
        model: Google's name of it; empty takes its default (v1) or ``long`` (v2).
        endpoint: ``host:port`` of another server that speaks the same; empty takes Google's for the location.
        phrases: words that are likely, the likeliest first, beside the 26 letters; as many are sent as Google takes.
        may_send: whether sound may leave this machine. Without it only what was kept of earlier answers can be had.
        max_minutes: of sound that may be sent from one working folder, all runs together.
        timeout_seconds: how long one request may take.
        retry_seconds: how long a request is tried again when the network or Google's servers fail.
        first_pause_seconds: before the first new try; each further one is twice as long, up to 20 s.
        wait_seconds: how long a song in the bucket is waited for; a later run goes on waiting.
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
        if not _PLACE.fullmatch(self.location):
            raise OptionError("--google-location", self.location, "global, or a region such as us, eu, us-central1")
        if self.bucket and not _BUCKET.fullmatch(self.bucket):
            raise OptionError("--bucket", self.bucket, "gs://BUCKET or gs://BUCKET/FOLDER, a bucket of your own")
        if not 0 <= self.max_minutes < float("inf"):
            raise OptionError("--max-minutes", self.max_minutes, "0 or more minutes of sound")
        for name in ("timeout_seconds", "retry_seconds", "first_pause_seconds", "wait_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise OptionError(name, getattr(self, name), "a number of seconds over 0")
