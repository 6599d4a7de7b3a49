"""The form itself, with Gradio (extra ``ui``). `cssgan.web_form.serve` starts it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cssgan.inference.export import LoadedGenerator
from cssgan.web_form.inputs import CARD_COLOURS, MAX_WORD_CHARACTERS, FormInputs, FormLimits, draw_card, make_video
from phonics_data.contract.web import THIS_MACHINE
from phonics_data.errors import PhonicsDataError

log = logging.getLogger("cssgan")
KEEP_SECONDS = 3600
"""Uploads and videos older than this are deleted."""
SERVERS_OWN = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'"
)
"""Content-Security-Policy: with it a browser loads nothing from other servers."""
_TEXT = """# {name}

A start picture, the sound of a phrase and its letter give a video of {size}x{size} pixels that follows the sound. {objects}The model knows
pictures, voices and letters like those of its training set only. The sound may last up to {max_seconds:g} s. Everything stays on this
machine."""
_OBJECTS = "An object, if you give one, comes in at its place in the phrase. "


def _accept_sent_files_only(component: Any) -> None:
    """Refuse an address in place of a file, where Gradio would download it.

    Methods of the object are replaced, because Gradio writes a file beside the module of every class derived from its own.
    """
    move = component.async_move_resource_to_block_cache

    async def move_sent_file(path: Any) -> Any:
        if is_http_url_like(str(path)):
            raise gr.Error(
                "got an address, allowed: a file; send the file itself", duration=None, print_exception=False
            )
        return await move(path)

    component.async_move_resource_to_block_cache = move_sent_file


def _give_sent_file(component: Any) -> None:
    """Give the function the file as it was sent, and refuse every other file of this machine.

    Gradio would open a picture first, with errors of its own, and does not check the path of a picture that comes without ``meta``.
    """

    def path_of(payload: Any) -> str | None:
        if payload is None or payload.path is None:
            return None
        if not _is_sent_file(payload.path):
            raise gr.Error(
                "got a path that is not of a sent file, allowed: a file; send the file itself",
                duration=None,
                print_exception=False,
            )
        return payload.path

    component.preprocess = path_of


def _is_sent_file(path: str) -> bool:
    """Whether `path` is a regular file in Gradio's folder for uploads, also after links are followed."""
    try:
        real = Path(os.path.realpath(path))
    except ValueError:  # a zero byte
        return False
    return real.is_relative_to(os.path.realpath(get_upload_folder())) and real.is_file()


class ContentSecurityPolicy:
    """Adds `SERVERS_OWN` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", SERVERS_OWN.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, with_header if scope["type"] == "http" else send)


MIDDLEWARE = [
    Middleware(ContentSecurityPolicy),
    Middleware(TrustedHostMiddleware, allowed_hosts=THIS_MACHINE, www_redirect=False),
]


def make_form(generator: LoadedGenerator, *, name: str, folder: Path, limits: FormLimits) -> gr.Blocks:
    """The page. Its API has the endpoints ``/generate`` and ``/draw_card``.

    Args:
        name: of the model, shown as the title.
        folder: existing folder for pictures and videos, below Gradio's own folder for uploads.
    """
    names, model = list(generator.label_set.names), generator.config.model

    def new_path(file_name: str) -> Path:
        _delete_old(folder)
        path = folder / uuid.uuid4().hex / file_name
        path.parent.mkdir()
        return path

    def draw(label: str | None, colours: str) -> str:
        try:
            return str(draw_card(label or "", colours, new_path("card.png")))
        except PhonicsDataError as error:
            raise _shown(error) from error

    def generate(
        picture: str | None,
        sound: str | None,
        label: str | None,
        seed: float | None,
        object_picture: str | None = None,
        object_word: str | None = None,
    ) -> tuple[str, str]:
        started = time.monotonic()
        inputs = FormInputs(
            picture=Path(picture) if picture else None,
            sound=Path(sound) if sound else None,
            label=label,
            seed=int(seed or 0),
            object_picture=Path(object_picture) if object_picture else None,
            object_word=object_word or "",
        )
        try:
            video = make_video(generator, inputs, new_path(f"{label}.mp4"), limits)
        except PhonicsDataError as error:
            raise _shown(error) from error
        seconds = time.monotonic() - started
        rate = float(video.frame_rate)
        return str(video.path), f"{video.num_frames} frames at {rate:g} frames/s, generated in {seconds:.1f} s"

    # Gradio adds its methods for events at run time.
    form: Any = gr.Blocks(title=name, analytics_enabled=False, delete_cache=(KEEP_SECONDS, KEEP_SECONDS))
    with form:
        gr.Markdown(
            _TEXT.format(
                name=name,
                size=generator.config.data.size,
                max_seconds=limits.max_seconds,
                objects=_OBJECTS if model.object_condition else "",
            )
        )
        with gr.Row():
            with gr.Column():
                label: Any = gr.Dropdown(names, value=names[0], label="Letter", filterable=True)
                # Conditions of the model in the order of the arguments of `generate`.
                picture: Any = gr.Image(
                    label="Picture (its central square is used)",
                    type="filepath",
                    sources=["upload", "clipboard"],
                    height=280,
                    buttons=[],
                )
                with gr.Row():
                    colours: Any = gr.Dropdown(list(CARD_COLOURS), value="yellow", label="Colour of the card")
                    draw_button: Any = gr.Button("Draw a card with the letter")
                object_picture: Any = gr.Image(
                    label="Object that comes in (optional; a background of one colour is left out)",
                    type="filepath",
                    image_mode="RGBA",
                    sources=["upload", "clipboard"],
                    height=160,
                    buttons=[],
                    visible=model.object_condition,
                )
                object_word: Any = gr.Textbox(
                    label="Word of the object (optional)",
                    max_lines=1,
                    max_length=MAX_WORD_CHARACTERS,
                    visible=model.word_dim > 0,
                )
                sound: Any = gr.Audio(label="Sound", type="filepath", sources=["upload", "microphone"], buttons=[])
                seed: Any = gr.Number(
                    0,
                    label="Seed of the noise",
                    precision=0,
                    minimum=0,
                    maximum=2**31 - 1,
                    visible=model.z_dim > 0,
                )
                button: Any = gr.Button("Generate", variant="primary")
            with gr.Column():
                video: Any = gr.Video(label="Video", autoplay=True, loop=False, buttons=["download"])
                facts: Any = gr.Markdown()
        for component in (picture, object_picture, sound):
            _accept_sent_files_only(component)
            _give_sent_file(component)
        draw_button.click(draw, [label, colours], picture, api_name="draw_card", concurrency_limit=1)
        button.click(
            generate,
            [picture, sound, label, seed, object_picture, object_word],
            [video, facts],
            api_name="generate",
            concurrency_limit=1,
        )
    return form.queue(max_size=16, default_concurrency_limit=1)


def make_app(form: gr.Blocks, *, folder: Path, port: int, limits: FormLimits) -> FastAPI:
    """The form as an ASGI application.

    Args:
        folder: as of `make_form`.
        port: at which it is served on this machine.
    """
    app = FastAPI(middleware=MIDDLEWARE, docs_url=None, redoc_url=None, openapi_url=None)
    # Gradio's own `launch` sets it: without it, the paths of files that come in are not checked.
    form.has_launched = True
    return gr.mount_gradio_app(
        app,
        form,
        path="/",
        server_name=THIS_MACHINE[0],
        server_port=port,
        show_error=True,
        max_file_size=limits.max_megabytes * 1_000_000,
        allowed_paths=[str(folder)],
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        footer_links=[],
        app_kwargs={"docs_url": None, "redoc_url": None},
    )


def _shown(error: PhonicsDataError) -> gr.Error:
    """The error as a message on the page; it is no bug, so the server prints no traceback."""
    return gr.Error(str(error), duration=None, print_exception=False)


def _delete_old(folder: Path) -> None:
    """Delete pictures and videos that are no longer needed."""
    for old in folder.iterdir():
        with contextlib.suppress(OSError):  # another request deleted it meanwhile
            if time.time() - old.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
