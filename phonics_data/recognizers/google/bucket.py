"""Temporary audio objects in the user's Cloud Storage bucket."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from phonics_data.recognizers.google.options import GoogleOptions
from phonics_data.recognizers.optional_package import OptionalPackage

PACKAGE = OptionalPackage(
    module="google.cloud.storage", package="google-cloud-storage", extra="bucket", option="--bucket"
)


class Bucket:
    """Uploads and deletes objects below ``--bucket``.

    Raises:
        DependencyError: google-cloud-storage is not installed.
        google.auth.exceptions.DefaultCredentialsError: no credentials.
    """

    def __init__(self, options: GoogleOptions) -> None:
        PACKAGE.require()
        storage = importlib.import_module("google.cloud.storage")
        self._options = options
        # The bucket determines the project; None prevents the library from requiring one.
        self._client: Any = storage.Client(project=options.project or None)
        self._name, _, folder = options.bucket.removeprefix("gs://").partition("/")
        self._folder = folder.strip("/")

    def _object_name(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def upload(self, name: str, data: bytes) -> str:
        """Upload `data`; returns its ``gs://...`` URI. An existing object of that name, from an earlier run, is kept.

        Raises:
            google.api_core.exceptions.GoogleAPICallError, OSError: the upload failed.
        """
        from google.api_core.exceptions import PreconditionFailed

        blob = self._client.bucket(self._name).blob(self._object_name(name))
        with contextlib.suppress(PreconditionFailed):
            blob.upload_from_string(
                data,
                content_type="application/octet-stream",
                if_generation_match=0,  # only if it does not exist: the name is the hash of the data
                timeout=self._options.timeout_seconds,
                retry=self._retry(),
            )
        return f"gs://{self._name}/{self._object_name(name)}"

    def delete(self, uri: str) -> None:
        """Delete an object made by `upload`, if it still exists."""
        from google.api_core.exceptions import NotFound

        name = uri.removeprefix(f"gs://{self._name}/")
        with contextlib.suppress(NotFound):
            self._client.bucket(self._name).blob(name).delete(
                timeout=self._options.timeout_seconds, retry=self._retry()
            )

    def _retry(self) -> Any:
        from google.cloud.storage.retry import DEFAULT_RETRY

        options = self._options
        return DEFAULT_RETRY.with_timeout(options.retry_seconds).with_delay(
            initial=options.first_pause_seconds, maximum=20.0
        )
