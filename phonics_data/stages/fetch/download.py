"""A video on the web: its page, its picture and sound, its captions. The only caller of yt-dlp."""

from __future__ import annotations

import errno
import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, cast

import deno
import imageio_ffmpeg
import yt_dlp
import yt_dlp.networking
import yt_dlp.networking.exceptions
import yt_dlp.utils
import yt_dlp.version

from phonics_data.errors import InputError
from phonics_data.stages.fetch.caption_tracks import (
    CAPTION_SUFFIXES,
    Track,
    choose_track,
    has_translations,
    spoken_language,
    track_kind,
)
from phonics_data.stages.fetch.download_result import CaptionsFound, DownloadedCaptions, DownloadResult
from phonics_data.stages.fetch.failures import Answer, DownloadError, cause_of
from phonics_data.stages.fetch.info_json import strip_info
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.partial_files import PartialFiles
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.rate_limiter import RateLimiter, RunEndingError
from phonics_data.stages.fetch.redaction import Redactor
from phonics_data.stages.fetch.run_log import RunLog
from phonics_data.storage.workspace import write_bytes, write_json
from phonics_data.types import SourceVideo

VERSION = f"yt-dlp {yt_dlp.version.__version__}"
MAX_REQUESTS_WITHOUT_BYTES = 100
"""A server that answers and gives nothing is asked for ever by yt-dlp; a page of YouTube takes about ten requests."""

_Ours = (DownloadError, RunEndingError)


class Downloader:
    """yt-dlp with this project's settings. One for each thread that fetches; `close` it in the end.

    Args:
        log: gets all that yt-dlp says.
        pace: tells when the run ends, which breaks off a download within a block of bytes.

    Raises:
        InputError: the cookies cannot be read.
    """

    def __init__(
        self, options: FetchOptions, *, log: RunLog | None, rate_limiter: RateLimiter, watch: FetchProgress
    ) -> None:
        self._said = _Said(log)
        self._rate_limiter = rate_limiter
        self._progress = watch
        self._video_id = ""
        self._parts: PartialFiles | None = None
        self._refused: set[str] = set()
        self._num_requests = 0
        parameters = _parameters(options, self._said) | {
            "progress_hooks": [self._progressed],
            "postprocessor_hooks": [self._postprocessed],
        }
        try:
            self._ydl = _YoutubeDL(cast("Any", parameters))
            self._ydl.before_request = self._before_request
            self._redactor = Redactor(cookie_values(self._ydl))
        except yt_dlp.utils.YoutubeDLError as error:
            raise InputError(f"--cookies: cannot be used ({error}); export them again from the browser") from error
        self._said.redactor = self._redactor

    def close(self) -> None:
        self._ydl.close()

    def describe(self, url: str) -> dict[str, Any]:
        """What the page at `url` says about its video (yt-dlp's info dict); nothing is downloaded.

        Raises:
            DownloadError: the page gives no video.
        """
        self._said.begin("")
        self._num_requests = 0
        try:
            return self._extract(url)
        except (yt_dlp.utils.YoutubeDLError, OSError) as error:
            raise self._fault(error, on_page=True) from error
        finally:
            self._ydl.close_answers()

    def download(self, video: SourceVideo, folder: Path) -> DownloadResult:
        """Bring `video` with its captions and info.json into `folder`; a half download that lies there is continued.

        Raises:
            DownloadError: it cannot be had, or not now.
            RunEndingError: the run ends.
        """
        self._said.begin(video.video_id)
        self._num_requests = 0
        self._video_id, self._parts = video.video_id, PartialFiles(folder)
        self._ydl.params["outtmpl"] = {"default": str(folder / video.video_id).replace("%", "%%") + ".%(ext)s"}
        on_page = True
        try:
            info = self._extract(video.url)
            on_page = False
            # Without its captions, which are fetched below: there a failure does not take the video along.
            bare = {**info, "subtitles": {}, "automatic_captions": {}, "requested_subtitles": None}
            done = cast("dict[str, Any]", self._ydl.process_ie_result(cast("Any", bare), download=True))
            media = Path(done["requested_downloads"][0]["filepath"])
            self._parts.progressed(media, is_whole=True)
            found, captions, warnings = self._captions(video, info, folder)
        except _Ours:
            raise
        except (yt_dlp.utils.YoutubeDLError, OSError) as error:
            raise self._fault(error, on_page=on_page) from error
        finally:
            self._ydl.close_answers()
            self._parts.settle()
            self._parts = None
        write_json(folder / f"{video.video_id}.info.json", strip_info(done, captions=info))
        duration = info.get("duration")
        return DownloadResult(
            media=media,
            captions=captions,
            captions_found=found,
            title=str(info.get("title") or ""),
            language=spoken_language(info.get("language") or done.get("language"), _tracks(info)),
            format_id=str(done.get("format_id") or ""),
            duration_seconds=float(duration) if isinstance(duration, int | float) else None,
            fetcher_version=VERSION,
            warnings=tuple(warnings),
        )

    def _extract(self, url: str) -> dict[str, Any]:
        info = cast("dict[str, Any]", self._ydl.extract_info(url, download=False))
        entries = info.get("entries")
        if entries is not None:
            number = len(list(entries))
            raise DownloadError("lasting", f"holds {number} videos; give each a row and an address of its own")
        if info.get("is_live"):
            raise DownloadError("lasting", "is live now; fetch it when the broadcast is over")
        return info

    def _captions(
        self, video: SourceVideo, info: Mapping[str, Any], folder: Path
    ) -> tuple[CaptionsFound, DownloadedCaptions | None, list[str]]:
        """The one track that the rule chooses."""
        language = video.language.split("/")[0]
        tracks = list(_tracks(info))
        chosen = choose_track(tracks, language)
        if self._said.has("po token was not provided"):
            self._refused.add(video.video_id)  # yt-dlp says it once a video, and not again on the second try
        if chosen is None:
            if video.video_id in self._refused:
                words = "captions were refused for want of a PO token; that does not mean that there are none"
                return "refused", None, [words]
            return ("translated_only" if has_translations(tracks, language) else "none"), None, []
        # Of one track every format is the same words: where the best does not come, the next may.
        same = [track for track in tracks if (track.code, track.is_auto) == (chosen.code, chosen.is_auto)]
        ranked = sorted(
            (track for track in same if track.suffix in CAPTION_SUFFIXES),
            key=lambda track: CAPTION_SUFFIXES.index(track.suffix),
        )
        warnings: list[str] = []
        for track in ranked[:2]:
            path = folder / f"{video.video_id}.{track.code}{track.suffix}"
            try:
                data = self._read(track.url)
            except (yt_dlp.networking.exceptions.RequestError, OSError) as error:
                warnings.append(self._redactor.clean(f"captions {track.code}{track.suffix} did not come: {error}"))
                continue
            if not data.strip():
                warnings.append(f"captions {track.code}{track.suffix} came empty")
                continue
            write_bytes(path, data)
            kind = track_kind(track)
            return (
                ("auto" if track.is_auto else "manual"),
                DownloadedCaptions(track=track.code, kind=kind, path=path),
                [],
            )
        return "failed", None, warnings

    def _read(self, url: str) -> bytes:
        with self._ydl.urlopen(url) as answer:
            return answer.read()

    def _before_request(self) -> None:
        if self._rate_limiter.is_ending:
            raise RunEndingError("the run is ending")
        self._num_requests += 1
        if self._num_requests > MAX_REQUESTS_WITHOUT_BYTES:
            raise DownloadError("passing", f"{self._num_requests} requests without a new byte")

    def _progressed(self, now: dict[str, Any]) -> None:
        if self._rate_limiter.is_ending:
            raise RunEndingError("the run is ending")
        self._num_requests = 0
        path = now.get("tmpfilename") or now.get("filename")
        if path and self._parts is not None:
            is_whole = now.get("status") == "finished"
            self._parts.progressed(Path(now["filename"] if is_whole else path), is_whole=is_whole)
        self._progress.moved(
            self._video_id,
            int(now.get("downloaded_bytes") or 0),
            now.get("total_bytes") or now.get("total_bytes_estimate"),
            now.get("speed"),
        )

    def _postprocessed(self, now: dict[str, Any]) -> None:
        path = (now.get("info_dict") or {}).get("filepath")
        if now.get("status") == "finished" and path and self._parts is not None:
            self._parts.progressed(Path(path), is_whole=True)

    def _fault(self, error: Exception, *, on_page: bool) -> Exception:
        words = _words(error)
        if "no space left on device" in words.lower():
            return OSError(errno.ENOSPC, "No space left on device", self._video_id or None)
        for inner in _chain(error):
            if isinstance(inner, _Ours):
                return inner
        answer = _answer(error)
        cause = cause_of(words, self._said.warnings, answer, on_page=on_page)
        return DownloadError(cause, self._redactor.clean(words), retry_after_seconds=answer.retry_after_seconds)


class _YoutubeDL(yt_dlp.YoutubeDL):
    """Tells before each request, so that an ending run makes no more of them, and can close what was left open."""

    before_request: Callable[[], None] | None = None

    def __init__(self, parameters: Any) -> None:
        self._answers: list[Any] = []
        super().__init__(parameters)

    def urlopen(self, req: Any) -> Any:
        if self.before_request is not None:
            self.before_request()
        self._answers = [answer for answer in self._answers if not answer.closed]
        try:
            answer = super().urlopen(req)
        except yt_dlp.networking.exceptions.HTTPError as error:
            self._answers.append(error.response)
            raise
        self._answers.append(answer)
        return answer

    def close_answers(self) -> None:
        """Failed and broken-off answers are left to the garbage collector by yt-dlp, with their sockets."""
        while self._answers:
            self._answers.pop().close()


def cookie_values(ydl: Any) -> list[str]:
    return [cookie.value for cookie in ydl.cookiejar if cookie.value]


def _parameters(options: FetchOptions, said: _Said) -> dict[str, Any]:
    height = options.max_height
    runtime = deno.find_deno_bin() if _has_deno() else None
    parameters: dict[str, Any] = {
        "format": f"bv*[height<=?{height}]+ba/b[height<=?{height}]/wv*+ba/w",
        # Within that height the tallest; of equals the codecs that cost least to decode.
        "format_sort": ["res", "fps:30", "vcodec:h264", "acodec:aac"],
        "ffmpeg_location": ffmpeg_path(),
        # YouTube's players want a JavaScript runtime; the one that pip brought is not on PATH in most shells.
        "js_runtimes": {"deno": {"path": runtime} if runtime else {}, "node": {}},
        "logger": said,
        "verbose": True,
        "color": {"stdout": "no_color", "stderr": "no_color"},
        "noprogress": True,
        "noplaylist": True,
        "continuedl": True,
        "updatetime": False,
        "cachedir": False,
        "socket_timeout": 20,
        "retries": 2,
        "fragment_retries": 2,
        "extractor_retries": 1,
        # Only to somebody who wants captions YouTube's extractor tells that some were refused.
        "writesubtitles": True,
        "retry_sleep_functions": {"http": _pause, "fragment": _pause, "file_access": _pause},
    }
    if options.limit_rate:
        parameters["ratelimit"] = options.limit_rate
    if options.proxy:
        parameters["proxy"] = options.proxy
    if options.cookies is not None:
        parameters["cookiefile"] = _cookies(options.cookies)
    if options.cookies_from_browser:
        parameters["cookiesfrombrowser"] = _browser(options.cookies_from_browser)
    return parameters


def _pause(n: int) -> float:
    """Seconds between the quick tries that yt-dlp makes within one of ours."""
    return min(0.25 * 2**n, 2.0)


def _has_deno() -> bool:
    try:
        return Path(deno.find_deno_bin()).is_file()
    except FileNotFoundError:
        return False


def _cookies(path: Path) -> io.StringIO:
    """A copy in memory: yt-dlp writes cookies back when it closes, and the file is the user's.

    It is checked here, since yt-dlp would show the lines that it does not understand.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--cookies {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    for number, line in enumerate(text.splitlines(), start=1):
        is_comment = line.startswith("#") and not line.startswith("#HttpOnly_")
        if line.strip() and not is_comment and len(line.split("\t")) != 7:
            raise InputError(
                f"--cookies {path}: line {number} is no cookie in Netscape format (7 fields with tabs between); "
                "export them again from the browser"
            )
    if not text.startswith(("# Netscape HTTP Cookie File", "# HTTP Cookie File")):
        text = f"# Netscape HTTP Cookie File\n{text}"
    return io.StringIO(text)


def _browser(text: str) -> tuple[str, str | None, None, None]:
    name, _, profile = text.partition(":")
    return name.lower(), profile or None, None, None


def ffmpeg_path() -> str:
    """The ffmpeg of this machine, else the one that imageio-ffmpeg brings."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


def _tracks(info: Mapping[str, Any]) -> Iterator[Track]:
    for field in ("subtitles", "automatic_captions"):
        for code, formats in (info.get(field) or {}).items():
            # A page of plain HTML knows one kind of track only; its `-orig` means the same as YouTube's.
            is_auto = field == "automatic_captions" or str(code).endswith("-orig")
            for one in formats:
                if one.get("url"):
                    yield Track(code=str(code), suffix=f".{one.get('ext')}", is_auto=is_auto, url=one["url"])


class _Said:
    """What yt-dlp says: all of it to the log, its warnings kept, since the error alone often hides the server's answer."""

    def __init__(self, log: RunLog | None) -> None:
        self._log = log
        self._video_id = ""
        self.redactor = Redactor()
        self.warnings: list[str] = []

    def begin(self, video_id: str) -> None:
        self._video_id = video_id
        self.warnings.clear()

    def has(self, words: str) -> bool:
        return any(words in line.lower() for line in self.warnings)

    def debug(self, message: str) -> None:
        if self._log is not None:
            self._log.write(self._video_id, self.redactor.clean(message))

    def info(self, message: str) -> None:
        self.debug(message)

    def warning(self, message: str) -> None:
        self.warnings.append(message)
        self.debug(f"WARNING: {message}")

    def error(self, message: str) -> None:
        self.debug(message)


def _words(error: BaseException) -> str:
    """The error's text without yt-dlp's prefix and what it says twice, or about its own options and bug reports."""
    words = " ".join(str(error).split()).removeprefix("ERROR: ")
    for plea in (
        " (caused by ",
        "; please report this issue",
        ". Use --cookies-from-browser or --cookies for the authentication",
    ):
        words = words.partition(plea)[0]
    return words


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it hides, outermost first."""
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        info = getattr(one, "exc_info", None)
        hidden = [info[1] if info else None, getattr(one, "cause", None), one.__cause__, one.__context__]
        todo += [inner for inner in hidden if isinstance(inner, BaseException)]


def _answer(error: BaseException) -> Answer:
    for inner in _chain(error):
        if isinstance(inner, yt_dlp.networking.exceptions.HTTPError):
            return Answer(
                http_status=inner.status, retry_after_seconds=_seconds(inner.response.headers.get("Retry-After"))
            )
    return Answer()


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header: a number, or a date."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
