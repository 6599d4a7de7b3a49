"""A survey folder on a port of this machine."""

from __future__ import annotations

import logging
import re
import socket
from pathlib import Path

from cssgan.survey.definition import RESULTS, read_survey
from phonics_data.errors import DependencyError, OptionError

log = logging.getLogger("cssgan")


def serve_survey(
    folder: Path, *, host: str = "127.0.0.1", port: int = 8000, base: str = "", trusted_proxy: str = "127.0.0.1"
) -> None:
    """Serve until Ctrl-C or SIGTERM. Answers go to FOLDER/results.sqlite; the same command goes on with them.

    Args:
        port: 0 takes a free one.
        base: path under which a reverse proxy shows the survey, such as ``/study``.
        trusted_proxy: address of the proxy whose X-Forwarded-Proto is believed (cookies are then for https alone).

    Raises:
        InputError: no survey, or results of another one.
        OptionError: the address is taken or not of this machine, or `base` is no path.
        DependencyError: the extra ``survey`` is not installed.
    """
    base = base.rstrip("/")
    if base and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", base):
        raise OptionError("--root-path", base, "a path such as /study")
    survey = read_survey(folder)
    try:
        import uvicorn

        from cssgan.survey.app import make_app
    except ImportError as error:
        raise DependencyError(f"survey serve needs {error.name}; pip install 'phonics-cssgan[survey]'") from error
    from cssgan.survey.store import Store

    listener = _listen(host, port)
    store = Store(folder / RESULTS, survey.digest())
    try:
        # No access log: it would hold addresses of people who were promised that none is kept.
        config = uvicorn.Config(
            make_app(survey, folder, store, base=base), log_level="warning", access_log=False, server_header=False,
            proxy_headers=True, forwarded_allow_ips=trusted_proxy, timeout_keep_alive=10, timeout_graceful_shutdown=5,
            lifespan="off",
        )  # fmt: skip
        name, bound = listener.getsockname()[:2]
        log.info("%s: open http://%s:%d%s/ ; Ctrl-C ends", folder, f"[{name}]" if ":" in name else name, bound, base)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        store.close()
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise OptionError("--host, --port", f"{host} {port}", f"a free address of this machine ({error})") from error
