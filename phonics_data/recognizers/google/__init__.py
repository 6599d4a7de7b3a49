"""Google Cloud Speech-to-Text: v1 and v2, in pieces or by a bucket, with every answer kept."""

from phonics_data.recognizers.google.adapter import GOOGLE_VERSION, Google, settings
from phonics_data.recognizers.google.options import GoogleOptions
from phonics_data.recognizers.google.pieces import most_seconds

__all__ = ["GOOGLE_VERSION", "Google", "GoogleOptions", "most_seconds", "settings"]
