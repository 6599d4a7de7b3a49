"""A local server that imitates YouTube for yt-dlp's real extractor: pages, player responses, captions, media, faults.

`FakeYouTube` is the server. `route_to_fake_youtube` redirects yt-dlp's requests for youtube.com and googlevideo.com.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yt_dlp.networking.common
from yt_dlp.networking import Request
from yt_dlp.networking._urllib import UrllibRH
from yt_dlp.networking.common import register_preference, register_rh
from yt_dlp.networking.exceptions import UnsupportedRequest

HOSTS = re.compile(r"(www\.|m\.)?youtube\.com|youtubei\.googleapis\.com|rr1---sn-local\.googlevideo\.com")
SIGNATURE = "AOq0QJ8wRAIgSECRETSIGNATURE"
BOT_CHECK = {"status": "LOGIN_REQUIRED", "reason": "Sign in to confirm you’re not a bot"}
ITAGS = {
    "133": ('video/mp4; codecs="avc1.4d4015"', {"width": 426, "height": 240, "fps": 25, "qualityLabel": "240p"}),
    "135": ('video/mp4; codecs="avc1.4d401f"', {"width": 854, "height": 480, "fps": 25, "qualityLabel": "480p"}),
    "140": ('audio/mp4; codecs="mp4a.40.2"', {"audioQuality": "AUDIO_QUALITY_MEDIUM", "audioSampleRate": "16000"}),
    "251": ('audio/webm; codecs="opus"', {"audioQuality": "AUDIO_QUALITY_MEDIUM", "audioSampleRate": "48000"}),
    "18": (
        'video/mp4; codecs="avc1.42001E, mp4a.40.2"',
        {"width": 640, "height": 360, "fps": 25, "qualityLabel": "360p", "audioSampleRate": "16000"},
    ),
}


@dataclass
class FakeCaptions:
    lang: str
    text: str = '{"events": [{"tStartMs": 0, "dDurationMs": 900, "segs": [{"utf8": "A"}]}]}'
    is_auto: bool = False
    requires_token: bool = False


@dataclass
class Song:
    """One video. Each request consumes one fault, in order; a last fault ``"..."`` repeats the one before.

    Faults:

    - ``503``: an HTTP status; ``429 3``: with Retry-After.
    - ``reset .5``, ``truncate .5``: ends after this part of the bytes; a truncated response looks complete.
    - ``stingy .5``: this part of the requested bytes, without a length.
    - ``slow .5``: takes so many seconds.
    - ``no ranges``: ignores Range headers.
    - ``no rest``: answers requests for the rest of a file with no bytes.
    - ``html``: a web page in place of the file.
    - ``bot``: a page with a bot check.
    - ``ok``: no fault.
    """

    video_id: str
    media: dict[str, bytes]
    seconds: float = 2.0
    title: str = "Alphabet song"
    audio_tracks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """itag -> YouTube's description of the language of its sound."""
    captions: list[FakeCaptions] = field(default_factory=list)
    playability: dict[str, Any] = field(default_factory=lambda: {"status": "OK"})
    page_faults: list[str] = field(default_factory=list)
    media_faults: list[str] = field(default_factory=list)
    caption_faults: list[str] = field(default_factory=list)
    shows_bot_check: bool = False
    """The last page contained a bot check."""

    @property
    def url(self) -> str:
        return f"https://www.youtube.com/watch?v={self.video_id}"


@dataclass
class ServedRequest:
    """One response: the kind of request, and which bytes of the file were sent."""

    kind: str
    video_id: str
    itag: str = ""
    status: int = 200
    first_byte: int = 0
    num_bytes: int = 0
    total_bytes: int = 0
    when: float = 0.0


class FakeYouTube:
    """Serves `songs` on 127.0.0.1 while the ``with`` block runs; `served` has all responses."""

    def __init__(self, *songs: Song) -> None:
        self.songs = {song.video_id: song for song in songs}
        self.served: list[ServedRequest] = []
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> FakeYouTube:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def record(self, served: ServedRequest) -> ServedRequest:
        served.when = time.monotonic()
        with self.lock:
            self.served.append(served)
        return served

    def requests(self, kind: str, video_id: str | None = None) -> list[ServedRequest]:
        with self.lock:
            return [one for one in self.served if one.kind == kind and video_id in (None, one.video_id)]

    def next_fault(self, song: Song, kind: str) -> str:
        faults: list[str] = getattr(song, f"{kind}_faults")
        with self.lock:
            if not faults:
                return "ok"
            if len(faults) == 2 and faults[1] == "...":
                return faults[0]
            return faults.pop(0)

    def player_response(self, song: Song) -> dict[str, Any]:
        """The response of YouTube's player API."""
        playability = BOT_CHECK if song.shows_bot_check else song.playability
        if playability["status"] != "OK":
            return {"playabilityStatus": playability, "videoDetails": {"videoId": song.video_id}}
        formats = [
            {
                "itag": int(itag),
                "mimeType": ITAGS[itag][0],
                "bitrate": 50_000,
                "contentLength": str(len(data)),
                "approxDurationMs": str(round(song.seconds * 1000)),
                "url": "https://rr1---sn-local.googlevideo.com/videoplayback?"
                + urllib.parse.urlencode({"id": song.video_id, "itag": itag, "expire": "1999999999", "sig": SIGNATURE}),
                "quality": "small",
                **ITAGS[itag][1],
                **({"audioTrack": song.audio_tracks[itag]} if itag in song.audio_tracks else {}),
            }
            for itag, data in song.media.items()
        ]
        tracks = [
            {
                "baseUrl": "https://www.youtube.com/api/timedtext?"
                + urllib.parse.urlencode(
                    {"v": song.video_id, "lang": one.lang, **({"kind": "asr"} if one.is_auto else {})}
                    | ({"exp": "xpe"} if one.requires_token else {})
                    | {"signature": SIGNATURE}
                ),
                "name": {"simpleText": one.lang},
                "vssId": f"a.{one.lang}" if one.is_auto else f".{one.lang}",
                "languageCode": one.lang,
                "isTranslatable": True,
                **({"kind": "asr"} if one.is_auto else {}),
            }
            for one in song.captions
        ]
        return {
            "playabilityStatus": playability,
            "streamingData": {
                "expiresInSeconds": "21540",
                "formats": [one for one in formats if one["itag"] == 18],
                "adaptiveFormats": [one for one in formats if one["itag"] != 18],
            },
            "videoDetails": {
                "videoId": song.video_id,
                "title": song.title,
                "lengthSeconds": str(round(song.seconds)),
                "channelId": "UC0000000000000000000000",
                "author": "Songs",
                "viewCount": "10",
                "shortDescription": "",
                "isLiveContent": False,
            },
            "captions": {
                "playerCaptionsTracklistRenderer": {
                    "captionTracks": tracks,
                    "translationLanguages": [
                        {"languageCode": code, "languageName": {"simpleText": code}} for code in ("en", "de", "pt")
                    ],
                }
            },
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    site: FakeYouTube

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    @property
    def site(self) -> FakeYouTube:
        return self.server.site  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = {name: values[-1] for name, values in urllib.parse.parse_qs(parts.query).items()}
        song = self.site.songs.get(query.get("v") or query.get("id") or "")
        if parts.path == "/watch":
            self._page(song, query.get("v", ""))
        elif parts.path == "/api/timedtext" and song is not None:
            self._timedtext(song, query)
        elif parts.path == "/videoplayback" and song is not None:
            self._media(song, query.get("itag", ""))
        else:
            self._send(200 if parts.path == "/iframe_api" else 404, b"")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        song = self.site.songs.get(body.get("videoId", ""))
        if self.path.startswith("/youtubei/v1/player"):
            response = self.site.player_response(song) if song else _gone(body.get("videoId", ""))
            self._send(200, json.dumps(response).encode(), "application/json")
        else:
            self._send(200, b'{"contents": {"twoColumnWatchNextResults": {}}}', "application/json")

    def _page(self, song: Song | None, video_id: str) -> None:
        fault = self.site.next_fault(song, "page") if song else "ok"
        if song:
            song.shows_bot_check = fault == "bot"
        if fault not in ("ok", "bot") and self._failed(fault, ServedRequest(kind="page", video_id=video_id)):
            return
        response = self.site.player_response(song) if song else _gone(video_id)
        self.site.record(ServedRequest(kind="bot check" if fault == "bot" else "page", video_id=video_id))
        text = (
            "<html><head><title>page</title></head><body>"
            f"<script>ytcfg.set({json.dumps({'INNERTUBE_CONTEXT': {'client': {'clientName': 'WEB'}}})});</script>"
            f"<script>var ytInitialPlayerResponse = {json.dumps(response)};</script>"
            '<script>var ytInitialData = {"contents": {"twoColumnWatchNextResults": {}}};</script></body></html>'
        )
        self._send(200, text.encode(), "text/html; charset=utf-8")

    def _timedtext(self, song: Song, query: dict[str, str]) -> None:
        served = ServedRequest(kind="captions", video_id=song.video_id, itag=query.get("lang", ""))
        fault = self.site.next_fault(song, "caption")
        if fault != "ok" and self._failed(fault, served):
            return
        is_auto = query.get("kind") == "asr"
        for one in song.captions:
            if (one.lang, one.is_auto) == (query.get("lang"), is_auto) and "tlang" not in query:
                text = one.text if query.get("fmt") == "json3" else "WEBVTT\n\n00:00.000 --> 00:01.000\nA\n"
                self.site.record(served)
                self._send(200, text.encode())
                return
        served.status = 404
        self.site.record(served)
        self._send(404, b"")

    def _media(self, song: Song, itag: str) -> None:
        data = song.media[itag]
        served = ServedRequest(kind="media", video_id=song.video_id, itag=itag, total_bytes=len(data))
        name, _, argument = self.site.next_fault(song, "media").partition(" ")
        if name not in ("ok", "slow", "truncate", "stingy", "reset", "no") and self._failed(
            f"{name} {argument}", served
        ):
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if (name, argument) == ("no", "rest"):
            name, argument = ("stingy", "0") if wanted and int(wanted[1]) > 0 else ("ok", "")
        if name in ("no", "truncate"):
            wanted = None
        first = int(wanted[1]) if wanted else 0
        if first >= len(data):
            served.status = 416
            self.site.record(served)
            self._send(416, b"", extra={"Content-Range": f"bytes */{len(data)}"})
            return
        body = data[first:]
        served.status, served.first_byte = (206 if wanted else 200), first
        share = float(argument) if name in ("truncate", "stingy", "reset") else 1.0
        self.send_response(served.status)
        if served.status == 206:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        if name in ("truncate", "stingy"):
            self.send_header("Connection", "close")  # no Content-Length: the client cannot detect missing bytes
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = int(len(body) * share)
        self.site.record(served)
        step = max(1, cut // 20) if name == "slow" else 1 << 16
        for start in range(0, cut, step):
            chunk = body[start : min(start + step, cut)]
            self.wfile.write(chunk)
            served.num_bytes += len(chunk)
            if name == "slow":
                time.sleep(float(argument) / 20)
        if name == "reset":
            self._reset()

    def _failed(self, fault: str, served: ServedRequest) -> bool:
        """Respond with `fault`; returns whether the response is finished."""
        name, _, argument = fault.strip().partition(" ")
        if name == "reset":
            served.status = 0
            self.site.record(served)
            self._reset()
        elif name == "html":
            self.site.record(served)
            self._send(200, b"<html><body>Please try again.</body></html>" * 50, "text/html")
        elif name.isdigit():
            served.status = int(name)
            self.site.record(served)
            self._send(int(name), b"", extra={"Retry-After": argument} if argument else {})
        else:
            raise AssertionError(f"no such fault: {fault}")
        return True

    def _reset(self) -> None:
        # With this option, close() sends RST and not FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _send(
        self, status: int, body: bytes, content_type: str = "text/plain", extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _gone(video_id: str) -> dict[str, Any]:
    return {
        "playabilityStatus": {"status": "ERROR", "reason": "Video unavailable"},
        "videoDetails": {"videoId": video_id},
    }


@contextmanager
def route_to_fake_youtube(port: int) -> Generator[None]:
    """While the block runs, yt-dlp sends its requests for YouTube to 127.0.0.1:`port`."""

    class FakeYouTubeRH(UrllibRH):
        _SUPPORTED_URL_SCHEMES = ("https",)

        def _validate(self, request: Request) -> None:
            if not HOSTS.fullmatch(urllib.parse.urlsplit(request.url).hostname or ""):
                raise UnsupportedRequest("not YouTube")
            super()._validate(request)

        def _check_extensions(self, extensions: dict[str, Any]) -> None:
            extensions.pop("impersonate", None)
            super()._check_extensions(extensions)

        def _send(self, request: Request) -> Any:
            local = request.copy()
            parts = urllib.parse.urlsplit(request.url)
            local.url = urllib.parse.urlunsplit(parts._replace(scheme="http", netloc=f"127.0.0.1:{port}"))
            return super()._send(local)

    def prefer_local(handler: Any, request: Request) -> int:
        return 1000

    register_rh(FakeYouTubeRH)
    preference = register_preference(FakeYouTubeRH)(prefer_local)
    before = set(yt_dlp.networking.common._RH_PREFERENCES)
    try:
        yield
    finally:
        del preference
        yt_dlp.networking.common._REQUEST_HANDLERS.pop(FakeYouTubeRH.RH_KEY)
        local_preferences = {one for one in before if getattr(one, "__wrapped__", None) is prefer_local}
        yt_dlp.networking.common._RH_PREFERENCES.difference_update(local_preferences)
