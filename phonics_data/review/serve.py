"""The server of the review."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from phonics_data.contract.web import check_base, listen, missing_web_package, serve
from phonics_data.errors import OptionError
from phonics_data.segmentation.length import LengthLimits
from phonics_data.storage.reviews import reviewer_fault
from phonics_data.storage.workspace import Workspace

HOST = "127.0.0.1"
"""Only programs on this machine reach the pages: they have no passwords."""


def default_reviewer() -> str:
    """The name of the user of this machine; empty if there is none or it is not allowed as a reviewer."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return ""
    return "" if reviewer_fault(name) else name


def checked_reviewer(reviewer: str) -> str:
    """`reviewer`, or by default the user of this machine. Raises `OptionError` for a name that is not allowed."""
    if fault := reviewer_fault(reviewer):
        raise OptionError("--reviewer", reviewer, fault.partition("allowed: ")[2])
    return reviewer or default_reviewer()


def serve_review(
    workspace: Workspace,
    limits: LengthLimits,
    *,
    port: int = 8010,
    base: str = "",
    reviewer: str = "",
    public_hosts: Sequence[str] = (),
    trusted_proxy: str = "127.0.0.1",
    announce: Callable[[str], None],
) -> None:
    """Serve the review of a workspace on 127.0.0.1 until Ctrl-C or SIGTERM.

    Args:
        limits: lengths outside them are marked.
        port: 0: any free port.
        base: path prefix at a reverse proxy, such as ``/review``.
        announce: called with the address of the first page when the server listens.
        public_hosts: host names of reverse proxies; requests for other hosts are refused.

    Raises:
        InputError: reviews.csv of the workspace is not valid.
        OptionError: the port is in use, or an argument is not allowed.
        WorkspaceLockedError: another review of this workspace is running.
        DependencyError: the extra ``review`` is not installed.
    """
    base, reviewer = check_base(base), checked_reviewer(reviewer)
    try:
        import uvicorn  # noqa: F401 # pyright: ignore[reportUnusedImport] - used later, in `serve`

        from phonics_data.review.app import make_app
    except ImportError as error:
        raise missing_web_package(error, "review", "review") from error
    from phonics_data.review.store import ReviewStore

    store = ReviewStore(workspace)
    app = make_app(store, limits, base=base, reviewer=reviewer, public=public_hosts)
    # uvicorn raises the signal that ended it once more; ending is what the user wanted.
    with suppress(KeyboardInterrupt), store.locked(), listen(HOST, port) as listener:
        store.songs()  # the first page needs them; reading them takes a second
        serve(app, listener, base=base, trusted_proxy=trusted_proxy, announce=announce)


def serve_candidates(
    manifest: str,
    out: Path,
    *,
    port: int = 8010,
    base: str = "",
    reviewer: str = "",
    public_hosts: Sequence[str] = (),
    trusted_proxy: str = "127.0.0.1",
    announce: Callable[[str], None],
) -> None:
    """Serve the choice of candidates of a manifest until Ctrl-C or SIGTERM. Arguments and errors as in `serve_review`.

    Args:
        manifest: path or http URL.
        out: CSV manifest of the accepted rows; the decisions are beside it, in ``OUT.decisions.csv``.
    """
    base, reviewer = check_base(base), checked_reviewer(reviewer)
    try:
        import uvicorn  # noqa: F401 # pyright: ignore[reportUnusedImport] - used later, in `serve`

        from phonics_data.review.candidates_app import make_candidates_app
    except ImportError as error:
        raise missing_web_package(error, "review", "review") from error
    from phonics_data.review.candidates import CandidateStore, DetailFetcher
    from phonics_data.stages.fetch.options import FetchOptions

    fetcher = DetailFetcher(FetchOptions())
    store = CandidateStore(manifest, out)
    app = make_candidates_app(store, fetcher, base=base, reviewer=reviewer, public=public_hosts)
    with suppress(KeyboardInterrupt), store.locked(), listen(HOST, port) as listener:
        serve(app, listener, base=base, trusted_proxy=trusted_proxy, announce=announce)
