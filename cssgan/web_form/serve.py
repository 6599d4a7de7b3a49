"""Start the web form on this machine."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
import time
from pathlib import Path

from cssgan.errors import missing_package
from cssgan.inference.export import LoadedGenerator
from cssgan.training.run_folder import stop_signals
from cssgan.web_form.inputs import FormLimits
from phonics_data.contract.web import listen
from phonics_data.errors import InputError, OptionError

log = logging.getLogger("cssgan")
HOST = "127.0.0.1"
"""Only programs on this machine reach the form. It has no passwords."""
NO_REQUESTS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Environment in which Gradio and its libraries send nothing to other servers."""


def check_installed() -> None:
    """Raise `DependencyError` if the extra ``ui`` is not installed. Before that, turn telemetry off."""
    os.environ.update(NO_REQUESTS)
    _use_no_proxy()
    try:
        import gradio  # noqa: F401 # pyright: ignore[reportUnusedImport] - read later, in `serve_form`
    except ImportError as error:
        raise missing_package(error, "serve", "ui") from error


def _use_no_proxy() -> None:
    """Let Gradio reach its own server directly: a proxy (``HTTP_PROXY``) would look for it on the machine of the proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host.strip() for host in os.environ.get(name, "").split(",") if host.strip()]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, HOST, "localhost"]))


def serve_form(generator: LoadedGenerator, *, name: str, port: int = 7860, limits: FormLimits | None = None) -> None:
    """Serve the form on 127.0.0.1 until Ctrl-C, SIGTERM or SIGHUP. Uploads and videos are deleted at the end.

    Args:
        name: of the model, shown as the title of the page.
        port: 0: any free port.

    Raises:
        DependencyError: the extra ``ui`` is not installed.
        OptionError: the port is in use.
    """
    limits = limits or FormLimits()
    check_installed()
    with (
        _listen(port) as listener,
        tempfile.TemporaryDirectory(prefix="cssgan-form-") as temporary,
        stop_signals() as signals,
    ):
        os.environ["GRADIO_TEMP_DIR"] = temporary  # of uploads; read when the components are made
        from cssgan.web_form.app import make_app, make_form
        from phonics_data.contract.web_connections import LimitedServer

        folder = Path(temporary) / "made"
        folder.mkdir()
        form = make_form(generator, name=name, folder=folder, limits=limits)
        port = listener.getsockname()[1]
        server = LimitedServer(make_app(form, folder=folder, port=port, limits=limits), lifespan="on")
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.05)
            log.info("%s: open http://%s:%d/ ; press Ctrl-C to stop", name, HOST, port)
            while not signals and thread.is_alive():
                time.sleep(0.1)
            if not signals:
                raise InputError("the server of the form ended; its messages are above")
        finally:
            server.should_exit = True
            thread.join()
            form.close(verbose=False)


def _listen(port: int) -> socket.socket:
    try:
        return listen(HOST, port)
    except OptionError as error:
        raise OptionError("--port", port, f"a free port of {HOST}, or 0 for any") from error
