"""Repositories of the Hugging Face Hub: comparing their files with local ones, sending files in one commit, downloading.

The token is that of ``hf auth login`` or of the variable ``HF_TOKEN``; no function here gets, shows or stores it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phonics_data.contract.address import missing_package, shown
from phonics_data.errors import OptionError, PhonicsDataError, RemoteError

RepositoryKind = Literal["dataset", "model"]
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class HubRepository:
    """A repository of the Hub.

    Args:
        name: ``user/name``.
    """

    name: str
    kind: RepositoryKind

    @property
    def address(self) -> str:
        return f"hf://{'datasets/' if self.kind == 'dataset' else ''}{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFile:
    """What the Hub knows about the content of one file.

    Args:
        sha256: of a large file; None for a file that is stored in git itself.
        git_oid: of a file in git: SHA-1 of its git object.
    """

    num_bytes: int
    sha256: str | None
    git_oid: str

    def has_content(self, content: bytes) -> bool:
        if self.num_bytes != len(content):
            return False
        if self.sha256 is not None:
            return self.sha256 == hashlib.sha256(content).hexdigest()
        return self.git_oid == git_oid(content)


def parse_repository(address: str, kind: RepositoryKind, option: str) -> HubRepository:
    """The repository at ``hf://datasets/user/name`` (a dataset) or ``hf://user/name`` (a model). Raises `OptionError`."""
    prefix = "hf://datasets/" if kind == "dataset" else "hf://"
    name = address.removeprefix(prefix).rstrip("/")
    if (
        not address.startswith(prefix)
        or not _NAME.fullmatch(name)
        or (kind == "model" and name.startswith("datasets/"))
    ):
        raise OptionError(option, shown(address), f"{prefix}USER/NAME")
    return HubRepository(name=name, kind=kind)


def hub_library() -> Any:
    """The module ``huggingface_hub``, without its progress bars. Raises `DependencyError`."""
    try:
        import huggingface_hub
        from huggingface_hub.utils import disable_progress_bars
    except ModuleNotFoundError as error:
        raise missing_package("hf") from error
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it warns about a commit without changes
    for name in ("httpx", "httpx2"):  # they log the addresses of uploads, whose signatures are secrets
        logging.getLogger(name).setLevel(logging.WARNING)
    return huggingface_hub


@contextmanager
def hub_errors(what: str) -> Generator[None]:
    """Turns errors of the Hub and of the connection to it into `RemoteError` of one line that begins with `what`."""
    from huggingface_hub.errors import LocalTokenNotFoundError, RepositoryNotFoundError

    try:
        yield
    except PhonicsDataError:
        raise
    except RepositoryNotFoundError as error:
        raise RemoteError(f"{what}: there is no such repository, or the token may not see it") from error
    except LocalTokenNotFoundError as error:
        raise RemoteError(f"{what}: no token for the Hub; run `hf auth login`, or set HF_TOKEN") from error
    except Exception as error:  # also of the library for HTTP, which differs between releases
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        status = getattr(getattr(cause, "response", None), "status_code", None)
        advice = "run the same command again; what has arrived is not sent again"
        if status in (401, 403):
            advice = "run `hf auth login` with a token that may do this"
        words = shown(" ".join(str(cause).split())[:300]) or type(cause).__name__
        raise RemoteError(f"{what}: {words}; {advice}") from error


def git_oid(content: bytes) -> str:
    """The id that git gives to a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def repository_files(repository: HubRepository) -> dict[str, HubFile]:
    """The files at the root of a repository; none if it does not exist, or the token may not see it. Raises `RemoteError`."""
    library = hub_library()
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    with hub_errors(repository.address):
        try:
            found = list(library.HfApi().list_repo_tree(repository.name, repo_type=repository.kind))
        except RepositoryNotFoundError:
            return {}
    files = (one for one in found if isinstance(one, RepoFile))
    return {
        one.path: HubFile(num_bytes=one.size, sha256=one.lfs.sha256 if one.lfs else None, git_oid=one.blob_id)
        for one in files
    }


def send_files(
    repository: HubRepository,
    files: Mapping[str, Path | bytes],
    *,
    delete: Sequence[str] = (),
    message: str,
    private: bool = False,
    on_file: Callable[[str], None] | None = None,
) -> str:
    """Create the repository if it does not exist, upload `files` and make them visible in one commit.

    Large files are uploaded one at a time, before the commit. After an interruption, the same call does not send those again that
    have arrived.

    Args:
        files: name in the repository -> content.
        delete: files of the repository to delete in the same commit.
        on_file: called with the name of each file after its upload.

    Returns:
        Address of the commit.

    Raises:
        RemoteError: the Hub refused it or cannot be reached.
    """
    library = hub_library()
    api = library.HfApi()
    with hub_errors(repository.address):
        api.create_repo(repository.name, repo_type=repository.kind, private=private or None, exist_ok=True)
        operations: list[Any] = []
        for name, content in files.items():
            # The library takes the path of a file as a text.
            source = str(content) if isinstance(content, Path) else content
            addition = library.CommitOperationAdd(path_in_repo=name, path_or_fileobj=source)
            api.preupload_lfs_files(repository.name, [addition], repo_type=repository.kind, free_memory=False)
            operations.append(addition)
            if on_file:
                on_file(name)
        operations += [library.CommitOperationDelete(path_in_repo=name) for name in delete]
        commit = api.create_commit(repository.name, operations, commit_message=message, repo_type=repository.kind)
        return str(commit.commit_url)


def download_files(repository: HubRepository, names: Sequence[str]) -> Path:
    """The folder of the library's cache that has these files of a repository; only what is not there is downloaded.

    Raises:
        RemoteError: no such repository, or the Hub cannot be reached.
        DependencyError: huggingface-hub is not installed.
    """
    library = hub_library()
    with hub_errors(repository.address):
        return Path(library.snapshot_download(repository.name, repo_type=repository.kind, allow_patterns=list(names)))
