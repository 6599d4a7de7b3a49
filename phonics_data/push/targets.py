"""The places that `phonics-data push` sends to: a folder of an S3 bucket, and a dataset repository of the Hub.

Credentials are those of the libraries (AWS_* variables, ~/.aws, ``hf auth login``, HF_TOKEN). They are never options, and `shown` removes
them from messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from phonics_data.contract.address import file_system, remote_errors, shown
from phonics_data.contract.hub import (
    HubFile,
    HubRepository,
    hub_library,
    parse_repository,
    repository_files,
    send_files,
)
from phonics_data.dataset.layout import DESCRIPTION
from phonics_data.errors import OptionError, RemoteError
from phonics_data.push.content import SentFile
from phonics_data.storage.workspace import file_sha256

FileState = Literal["same", "other", "absent"]
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*'() /=+-]*)?", re.ASCII)
_PARALLEL_PARTS = 4


class Target(Protocol):
    """A place that has files by name."""

    @property
    def address(self) -> str:
        """As `verify` and `open_dataset` read it."""
        ...

    def names(self) -> list[str]:
        """The files that are there. Raises `RemoteError` if the place cannot be read."""
        ...

    def state(self, file: SentFile) -> FileState:
        """Whether a file is there with the same size and hash. Raises `RemoteError`."""
        ...

    def send(self, files: Sequence[SentFile], *, delete: Sequence[str], on_file: Callable[[str], None]) -> None:
        """Send `files` in this order, and delete others. Until the last file is there, the place has no description, or the old dataset.

        Raises:
            RemoteError: refused, or not reachable; what has arrived is kept.
        """
        ...


def target(address: str, *, private: bool) -> Target:
    """The place of an address.

    Raises:
        OptionError: another form, or `private` for S3, where the bucket decides.
        DependencyError: its package is not installed.
    """
    if address.startswith("s3://"):
        if not _S3.fullmatch(address) or "//" in address.removeprefix("s3://"):
            raise OptionError(
                "ADDRESS", shown(address), "s3://BUCKET/FOLDER, without credentials (they come from AWS_* or ~/.aws)"
            )
        if private:
            raise OptionError("--private", True, "for hf:// only; who may read an S3 bucket is decided by its settings")
        return S3Folder(address.rstrip("/"))
    if address.startswith("hf://"):
        hub_library()
        return HubDataset(parse_repository(address, "dataset", "ADDRESS"), private=private)
    raise OptionError("ADDRESS", shown(address), "s3://BUCKET/FOLDER or hf://datasets/USER/NAME")


class S3Folder:
    """A folder of an S3 bucket. Each object that is sent has its SHA-256 as the metadata ``sha256``: the ETag of an object that
    arrived in parts is not a hash of its content."""

    def __init__(self, address: str) -> None:
        self.address = address
        with _s3_errors(address):
            system, self._folder = file_system(address)
        self._system: Any = system

    def names(self) -> list[str]:
        with _s3_errors(self.address):
            self._system.invalidate_cache()
            bucket = self._folder.partition("/")[0]
            try:
                found = cast("list[dict[str, Any]]", self._system.ls(self._folder, detail=True))
            except FileNotFoundError:
                self._system.ls(bucket)  # raises again if the bucket does not exist
                return []
        return [str(one["name"]).rpartition("/")[2] for one in found if one["type"] == "file"]

    def state(self, file: SentFile) -> FileState:
        path = f"{self._folder}/{file.name}"
        with _s3_errors(self.address):
            self._system.invalidate_cache()
            try:
                info = cast("dict[str, Any]", self._system.info(path, refresh=True))
            except FileNotFoundError:
                return "absent"
            if info["size"] != file.num_bytes:
                return "other"
            return "same" if self._system.metadata(path, refresh=True).get("sha256") == file.sha256 else "other"

    def send(self, files: Sequence[SentFile], *, delete: Sequence[str], on_file: Callable[[str], None]) -> None:
        with _s3_errors(self.address):
            if files and self._system.exists(f"{self._folder}/{DESCRIPTION}"):
                self._system.rm_file(f"{self._folder}/{DESCRIPTION}")  # what is half sent must not look like a dataset
            for name in delete:
                self._system.rm_file(f"{self._folder}/{name}")
            for file in files:
                path, metadata = f"{self._folder}/{file.name}", {"sha256": file.sha256}
                if isinstance(file.content, Path):
                    self._system.put_file(str(file.content), path, max_concurrency=_PARALLEL_PARTS, Metadata=metadata)
                    if file_sha256(file.content) != file.sha256:
                        self._system.rm_file(path)
                        raise RemoteError(
                            f"{file.content}: changed while it was sent, the object was deleted; run `phonics-data verify` on the dataset, "
                            "then the same command again"
                        )
                else:
                    self._system.pipe_file(path, file.content, Metadata=metadata)
                on_file(file.name)


@contextmanager
def _s3_errors(address: str) -> Generator[None]:
    try:
        with remote_errors():
            yield
    except FileNotFoundError as error:
        raise RemoteError(f"{address}: no such bucket; create it first ({shown(str(error))})") from error
    except PermissionError as error:
        raise RemoteError(
            f"{address}: not allowed ({shown(str(error))}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of an account that "
            "may list, read, write and delete there"
        ) from error
    except ValueError as error:  # botocore's, for an endpoint such as 127.0.0.1:9000
        raise RemoteError(
            f"{address}: {shown(' '.join(str(error).split())[:300])}; the endpoint (AWS_ENDPOINT_URL) needs http:// or https://"
        ) from error
    except OSError as error:
        raise RemoteError(
            f"{address}: {shown(' '.join(str(error).split())[:300])}; run the same command again, what has arrived is not sent again"
        ) from error


class HubDataset:
    """A dataset repository of the Hub. All changes are one commit, so readers see the old dataset or the new one."""

    def __init__(self, repository: HubRepository, *, private: bool) -> None:
        self.address = repository.address
        self._repository, self._private = repository, private
        self._files: dict[str, HubFile] = {}

    def names(self) -> list[str]:
        self._files = repository_files(self._repository)
        return list(self._files)

    def state(self, file: SentFile) -> FileState:
        found = self._files.get(file.name)
        if found is None:
            return "absent"
        if found.sha256 is not None:  # of a large file, whose content is not read again
            return "same" if (found.num_bytes, found.sha256) == (file.num_bytes, file.sha256) else "other"
        content = file.content.read_bytes() if isinstance(file.content, Path) else file.content
        return "same" if found.has_content(content) else "other"

    def send(self, files: Sequence[SentFile], *, delete: Sequence[str], on_file: Callable[[str], None]) -> None:
        send_files(
            self._repository,
            {file.name: file.content for file in files},
            delete=delete,
            message="Dataset of phonics-data push",
            private=self._private,
            on_file=on_file,
        )
