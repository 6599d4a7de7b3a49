"""Sound in a bucket of the user's own, for as long as Google needs to hear it."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from phonics_data.errors import DependencyError
from phonics_data.recognizers.google.options import GoogleOptions

HOW_TO_INSTALL = (
    "--bucket needs the package google-cloud-storage, which is not installed; run: pip install 'phonics-cssgan[bucket]'"
)


class Bucket:
    """Puts and removes objects below ``--bucket``.

    Raises:
        DependencyError: google-cloud-storage is not installed.
        google.auth.exceptions.DefaultCredentialsError: no credentials.
    """

    def __init__(self, options: GoogleOptions) -> None:
        try:
            storage = importlib.import_module("google.cloud.storage")
        except ModuleNotFoundError as error:
            raise DependencyError(HOW_TO_INSTALL) from error
        self._options = options
        # The bucket's project is the bucket's own affair; None keeps the library from asking for one.
        self._client: Any = storage.Client(project=options.project or None)
        self._name, _, folder = options.bucket.removeprefix("gs://").partition("/")
        self._folder = folder.strip("/")

    def _place(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def put(self, name: str, data: bytes) -> str:
        """Where `data` lies now: ``gs://...``. An object of that name, which an earlier run put there, stays.

        Raises:
            google.api_core.exceptions.GoogleAPICallError, OSError: it could not be put there.
        """
        from google.api_core.exceptions import PreconditionFailed

        blob = self._client.bucket(self._name).blob(self._place(name))
        with contextlib.suppress(PreconditionFailed):
            blob.upload_from_string(
                data,
                content_type="application/octet-stream",
                if_generation_match=0,  # only where there is none yet: the name is the hash of the data
                timeout=self._options.timeout_seconds,
                retry=self._retry(),
            )
        return f"gs://{self._name}/{self._place(name)}"

    def remove(self, uri: str) -> None:
        """Remove an object that `put` put there, if it is still there."""
        from google.api_core.exceptions import NotFound

        name = uri.removeprefix(f"gs://{self._name}/")
        with contextlib.suppress(NotFound):
            self._client.bucket(self._name).blob(name).delete(
                timeout=self._options.timeout_seconds, retry=self._retry()
            )

    def _retry(self) -> Any:
        from google.cloud.storage.retry import DEFAULT_RETRY

        own = self._options
        return DEFAULT_RETRY.with_timeout(own.retry_seconds).with_delay(initial=own.first_pause_seconds, maximum=20.0)
