"""Google Cloud Speech-to-Text: v1 and v2, in pieces or by a bucket, with every answer kept."""

from phonics_data.recognizers.google.adapter import Google, settings, version_of
from phonics_data.recognizers.google.chunks import most_seconds
from phonics_data.recognizers.google.options import ApiVersion, GoogleOptions

__all__ = ["ApiVersion", "Google", "GoogleOptions", "most_seconds", "settings", "version_of"]
