"""Google Cloud Speech-to-Text v1 and v2: short windows or whole songs in a bucket; every result is cached."""

from phonics_data.recognizers.google.adapter import Google, cache_settings, google_version
from phonics_data.recognizers.google.chunks import max_sent_seconds
from phonics_data.recognizers.google.options import PACKAGE, ApiVersion, GoogleOptions

__all__ = [
    "PACKAGE",
    "ApiVersion",
    "Google",
    "GoogleOptions",
    "cache_settings",
    "google_version",
    "max_sent_seconds",
]
