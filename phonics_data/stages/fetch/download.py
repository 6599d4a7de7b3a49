"""Download of one video from the web: its page, media streams and captions. The only module that uses yt-dlp."""

from __future__ import annotations

import errno
import io
import re
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
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

from phonics_data.captions.parse import CAPTION_SUFFIXES
from phonics_data.contract.files import write_bytes
from phonics_data.errors import InputError
from phonics_data.stages.fetch.caption_tracks import (
    Track,
    choose_track,
    has_translations,
    spoken_language,
)
from phonics_data.stages.fetch.download_result import (
    CaptionsFound,
    DownloadedCaptions,
    DownloadResult,
    plausible_seconds,
)
from phonics_data.stages.fetch.failures import DownloadError, HttpFailure, classify_failure
from phonics_data.stages.fetch.info_json import strip_info
from phonics_data.stages.fetch.ledger import is_local_url
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.fetch.partial_files import PartialFiles
from phonics_data.stages.fetch.progress import FetchProgress
from phonics_data.stages.fetch.rate_limiter import FetchCancelledError, RateLimiter
from phonics_data.stages.fetch.redaction import Redactor
from phonics_data.stages.fetch.run_log import RunLog
from phonics_data.storage.workspace import write_json
from phonics_data.types import SourceVideo

VERSION = f"yt-dlp {yt_dlp.version.__version__}"
MAX_REQUESTS_WITHOUT_BYTES = 100
"""Limit against endless retries of yt-dlp on empty responses; a page of YouTube takes about ten requests."""

_OWN_ERRORS = (DownloadError, FetchCancelledError)


class Downloader:
    """yt-dlp with the settings of this project. Not thread-safe: one instance for each thread; `close` it at the end.

    Args:
        log: receives all messages of yt-dlp.
        rate_limiter: when it is cancelled, a running download ends at its next block of bytes.

    Raises:
        InputError: the cookies cannot be read.
    """

    def __init__(
        self, options: FetchOptions, *, log: RunLog | None, rate_limiter: RateLimiter, progress: FetchProgress
    ) -> None:
        self._max_height = options.max_height
        self._logger = _YtDlpLogger(log)
        self._rate_limiter = rate_limiter
        self._progress = progress
        self._video_id = ""
        self._partial_files: PartialFiles | None = None
        self._refused_captions: set[str] = set()
        """Ids of the videos for which the server required a PO token."""
        self._num_requests = 0
        self._is_joining = False
        parameters = _yt_dlp_parameters(options, self._logger) | {
            "progress_hooks": [self._on_progress],
            "postprocessor_hooks": [self._on_postprocessor],
        }
        try:
            self._ydl = _YoutubeDL(cast("Any", parameters))
            self._ydl.before_request = self._before_request
            self._redactor = Redactor(cookie_values(self._ydl))
        except yt_dlp.utils.YoutubeDLError as error:
            raise InputError(f"--cookies: cannot be used ({error}); export them again from the browser") from error
        self._logger.redactor = self._redactor

    def close(self) -> None:
        self._ydl.close()

    def page_info(self, url: str) -> dict[str, Any]:
        """yt-dlp's info dict of the page at `url`; no media is downloaded.

        Raises:
            DownloadError: the page has no video.
        """
        self._logger.begin("")
        self._num_requests = 0
        try:
            return self._extract(url)
        except (yt_dlp.utils.YoutubeDLError, OSError) as error:
            raise self._translated_error(error, on_page=True) from error
        finally:
            self._ydl.close_responses()

    def download(self, video: SourceVideo, folder: Path) -> DownloadResult:
        """Download `video` with its captions and info.json into `folder`; continues a partial download there.

        Raises:
            DownloadError: the video cannot be downloaded, or not now.
            FetchCancelledError: the run was cancelled.
        """
        self._logger.begin(video.video_id)
        self._num_requests, self._is_joining = 0, False
        self._video_id, self._partial_files = video.video_id, PartialFiles(folder)
        self._ydl.params["outtmpl"] = {"default": str(folder / video.video_id).replace("%", "%%") + ".%(ext)s"}
        language = video.language.split("/")[0]
        # yt-dlp reads the expression when it is created.
        formats = _formats(self._max_height, language if re.fullmatch("[a-z]{2,3}", language) else "")
        self._ydl.params["format"] = formats
        self._ydl.format_selector = cast("Any", self._ydl).build_format_selector(formats)
        on_page = True
        try:
            info = self._extract(video.url)
            on_page = False
            # Captions are downloaded separately, so that their failure does not fail the video.
            without_captions = {**info, "subtitles": {}, "automatic_captions": {}, "requested_subtitles": None}
            downloaded = cast(
                "dict[str, Any]", self._ydl.process_ie_result(cast("Any", without_captions), download=True)
            )
            media = Path(downloaded["requested_downloads"][0]["filepath"])
            self._partial_files.update(media, is_complete=True)
            found, captions, warnings = self._download_captions(video, info, folder)
        except _OWN_ERRORS:
            raise
        except (yt_dlp.utils.YoutubeDLError, OSError) as error:
            raise self._translated_error(error, on_page=on_page) from error
        except IndexError as error:
            if not self._is_joining:
                raise
            # yt-dlp reads the last line of an ffmpeg that has failed; one that was killed can have printed none.
            raise DownloadError("transient", "ffmpeg was killed while it joined the streams") from error
        finally:
            self._ydl.close_responses()
            self._partial_files.update_all()
            self._partial_files = None
        write_json(folder / f"{video.video_id}.info.json", strip_info(downloaded, captions=info))
        return DownloadResult(
            media=media,
            captions=captions,
            captions_found=found,
            title=str(info.get("title") or ""),
            language=spoken_language(info.get("language") or downloaded.get("language"), _tracks(info)),
            format_id=str(downloaded.get("format_id") or ""),
            duration_seconds=plausible_seconds(info.get("duration")),
            fetcher_version=VERSION,
            warnings=tuple(warnings),
        )

    def _extract(self, url: str) -> dict[str, Any]:
        info = cast("dict[str, Any]", self._ydl.extract_info(url, download=False))
        entries = info.get("entries")
        if entries is not None:
            num_videos = len(list(entries))
            raise DownloadError("permanent", f"the page has {num_videos} videos; give each its own row and address")
        if info.get("is_live"):
            raise DownloadError("permanent", "is live now; fetch it after the broadcast")
        return info

    def _download_captions(
        self, video: SourceVideo, info: Mapping[str, Any], folder: Path
    ) -> tuple[CaptionsFound, DownloadedCaptions | None, list[str]]:
        """Download the track that `choose_track` selects; returns what was found, the file, and warnings."""
        language = video.language.split("/")[0]
        tracks = list(_tracks(info))
        chosen = choose_track(tracks, language)
        if self._logger.has_warning("po token was not provided"):
            # Remembered, since yt-dlp gives this warning only at the first try of a video.
            self._refused_captions.add(video.video_id)
        if chosen is None:
            if video.video_id in self._refused_captions:
                return "refused", None, ["captions were refused without a PO token; the video may have captions"]
            return ("translated_only" if has_translations(tracks, language) else "none"), None, []
        # All formats of a track have the same words: if the best format fails, the next one is tried.
        formats = sorted(
            (
                track
                for track in tracks
                if (track.code, track.is_auto) == (chosen.code, chosen.is_auto) and track.suffix in CAPTION_SUFFIXES
            ),
            key=lambda track: CAPTION_SUFFIXES.index(track.suffix),
        )
        warnings: list[str] = []
        for track in formats[:2]:
            path = folder / f"{video.video_id}.{track.code}{track.suffix}"
            try:
                with self._ydl.urlopen(track.url) as response:
                    data = response.read()
            except (yt_dlp.networking.exceptions.RequestError, OSError) as error:
                warnings.append(self._redactor.redact(f"captions {track.code}{track.suffix} failed: {error}"))
                continue
            if not data.strip():
                warnings.append(f"captions {track.code}{track.suffix} are empty")
                continue
            write_bytes(path, data)
            captions = DownloadedCaptions(track=track.code, kind=track.kind, path=path)
            return ("auto" if track.is_auto else "manual"), captions, []
        return "failed", None, warnings

    def _before_request(self) -> None:
        self._rate_limiter.raise_if_cancelled()
        self._num_requests += 1
        if self._num_requests > MAX_REQUESTS_WITHOUT_BYTES:
            raise DownloadError("transient", f"{self._num_requests} requests without a new byte")

    def _on_progress(self, event: dict[str, Any]) -> None:
        self._rate_limiter.raise_if_cancelled()
        self._num_requests = 0
        path = event.get("tmpfilename") or event.get("filename")
        if path and self._partial_files is not None:
            is_complete = event.get("status") == "finished"
            self._partial_files.update(Path(event["filename"] if is_complete else path), is_complete=is_complete)
        self._progress.bytes_received(
            self._video_id,
            int(event.get("downloaded_bytes") or 0),
            event.get("total_bytes") or event.get("total_bytes_estimate"),
            event.get("speed"),
        )

    def _on_postprocessor(self, event: dict[str, Any]) -> None:
        self._is_joining = event.get("status") != "finished"
        path = (event.get("info_dict") or {}).get("filepath")
        if event.get("status") == "finished" and path and self._partial_files is not None:
            self._partial_files.update(Path(path), is_complete=True)

    def _translated_error(self, error: Exception, *, on_page: bool) -> Exception:
        """The error of this project that corresponds to an error of yt-dlp."""
        message = _error_message(error)
        if "no space left on device" in message.lower():
            return OSError(errno.ENOSPC, "No space left on device", self._video_id or None)
        for inner in _error_chain(error):
            if isinstance(inner, _OWN_ERRORS):
                return inner
        response = _http_failure(error)
        cause = classify_failure(message, self._logger.warnings, response, on_page=on_page)
        return DownloadError(cause, self._redactor.redact(message), retry_after_seconds=response.retry_after_seconds)


def page_infos(urls: Iterable[str], options: FetchOptions) -> Generator[tuple[str, dict[str, Any] | DownloadError]]:
    """(address, yt-dlp's info dict of its page) for each address, or (address, error); no media is downloaded."""
    rate_limiter = RateLimiter(options.sleep_seconds, options.seed)
    downloader = Downloader(options, log=None, rate_limiter=rate_limiter, progress=FetchProgress())
    try:
        for url in urls:
            if not is_local_url(url):
                rate_limiter.wait(rate_limiter.reserve_start())
            try:
                result = downloader.page_info(url)
            except DownloadError as error:
                result = error
            yield url, result
    finally:
        downloader.close()


class _YoutubeDL(yt_dlp.YoutubeDL):
    """Adds a hook before each request, and closes the responses that yt-dlp leaves open."""

    before_request: Callable[[], None] | None = None

    def __init__(self, parameters: Any) -> None:
        self._responses: list[Any] = []
        super().__init__(parameters)

    def urlopen(self, req: Any) -> Any:
        if self.before_request is not None:
            self.before_request()
        self._responses = [response for response in self._responses if not response.closed]
        try:
            response = super().urlopen(req)
        except yt_dlp.networking.exceptions.HTTPError as error:
            self._responses.append(error.response)
            raise
        self._responses.append(response)
        return response

    def close_responses(self) -> None:
        """Close the sockets of failed and interrupted requests, which yt-dlp leaves to the garbage collector."""
        while self._responses:
            self._responses.pop().close()


def cookie_values(ydl: Any) -> list[str]:
    return [cookie.value for cookie in ydl.cookiejar if cookie.value]


def _yt_dlp_parameters(options: FetchOptions, logger: _YtDlpLogger) -> dict[str, Any]:
    height = options.max_height
    deno_path = _find_deno()
    parameters: dict[str, Any] = {
        "format": _formats(height, ""),
        # The original language first (a dub can have the cheaper codec); then the largest height within the limit, without high
        # dynamic range; of equal ones the codecs that are cheapest to decode.
        "format_sort": ["lang", "res", "fps:30", "hdr:SDR", "vcodec:h264", "acodec:aac"],
        "ffmpeg_location": ffmpeg_path(),
        # YouTube requires a JavaScript runtime; the one installed by pip is usually not on PATH.
        "js_runtimes": {"deno": {"path": deno_path} if deno_path else {}, "node": {}},
        "logger": logger,
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
        # The YouTube extractor reports refused captions only if captions are requested.
        "writesubtitles": True,
        "retry_sleep_functions": dict.fromkeys(("http", "fragment", "file_access"), _retry_sleep_seconds),
    }
    if options.limit_rate:
        parameters["ratelimit"] = options.limit_rate
    if options.proxy:
        parameters["proxy"] = options.proxy
    if options.cookies is not None:
        parameters["cookiefile"] = _read_cookies(options.cookies)
    if options.cookies_from_browser:
        name, _, profile = options.cookies_from_browser.partition(":")
        parameters["cookiesfrombrowser"] = (name.lower(), profile or None, None, None)
    return parameters


def _formats(height: int, language: str) -> str:
    """yt-dlp's format expression.

    A video with sound of its own (``b``) can contain a dub, and yt-dlp then ignores other audio; so separate streams come first.

    Args:
        height: largest height; without such a format, the smallest one is taken.
        language: code of the language that is sung; audio that is marked with it is preferred. Empty: unknown.
    """
    spoken = f"[language^={language}]"
    best = [
        *([f"bv[height<=?{height}]+ba{spoken}", f"b[height<=?{height}]{spoken}"] if language else []),
        f"bv[height<=?{height}]+ba", f"bv*[height<=?{height}]+ba", f"b[height<=?{height}]",
    ]  # fmt: skip
    smallest = [*([f"wv+ba{spoken}", f"w{spoken}"] if language else []), "wv+ba", "wv*+ba", "w"]
    return "/".join([*best, *smallest])


def _retry_sleep_seconds(n: int) -> float:
    """Pause between the retries of yt-dlp inside one try of a video."""
    return min(0.25 * 2**n, 2.0)


def _find_deno() -> str | None:
    try:
        path = deno.find_deno_bin()
    except FileNotFoundError:
        return None
    return path if Path(path).is_file() else None


def _read_cookies(path: Path) -> io.StringIO:
    """A copy of the cookie file in memory, since yt-dlp writes cookies back to its file when it closes.

    The format is checked here, since the error messages of yt-dlp contain the invalid lines.
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


def ffmpeg_path() -> str:
    """The ffmpeg on PATH, else that of imageio-ffmpeg."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


def _tracks(info: Mapping[str, Any]) -> Iterator[Track]:
    for field in ("subtitles", "automatic_captions"):
        for code, formats in (info.get(field) or {}).items():
            # A plain HTML page lists all tracks as `subtitles`; its `-orig` has the same meaning as YouTube's.
            is_auto = field == "automatic_captions" or str(code).endswith("-orig")
            for entry in formats:
                if entry.get("url"):
                    yield Track(code=str(code), suffix=f".{entry.get('ext')}", is_auto=is_auto, url=entry["url"])


class _YtDlpLogger:
    """Writes the messages of yt-dlp to the log and keeps its warnings.

    The warnings are needed to classify a failure, since the error alone often lacks the HTTP status.
    """

    def __init__(self, log: RunLog | None) -> None:
        self._log = log
        self._video_id = ""
        self.redactor = Redactor()
        self.warnings: list[str] = []

    def begin(self, video_id: str) -> None:
        self._video_id = video_id
        self.warnings.clear()

    def has_warning(self, phrase: str) -> bool:
        return any(phrase in line.lower() for line in self.warnings)

    def debug(self, message: str) -> None:
        if self._log is not None:
            self._log.write(self._video_id, self.redactor.redact(message))

    def info(self, message: str) -> None:
        self.debug(message)

    def warning(self, message: str) -> None:
        self.warnings.append(message)
        self.debug(f"WARNING: {message}")

    def error(self, message: str) -> None:
        self.debug(message)


def _error_message(error: BaseException) -> str:
    """The error's text without yt-dlp's prefix, repetitions, and hints about its own options and bug reports."""
    message = " ".join(str(error).split()).removeprefix("ERROR: ")
    for suffix in (
        " (caused by ",
        "; please report this issue",
        ". Use --cookies-from-browser or --cookies for the authentication",
    ):
        message = message.partition(suffix)[0]
    return message


def _error_chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all inner exceptions, outermost first."""
    queue, visited = [error], set[int]()
    while queue:
        current = queue.pop(0)
        if id(current) in visited:
            continue
        visited.add(id(current))
        yield current
        info = getattr(current, "exc_info", None)
        inner = [info[1] if info else None, getattr(current, "cause", None), current.__cause__, current.__context__]
        queue += [exception for exception in inner if isinstance(exception, BaseException)]


def _http_failure(error: BaseException) -> HttpFailure:
    for inner in _error_chain(error):
        if isinstance(inner, yt_dlp.networking.exceptions.HTTPError):
            retry_after = inner.response.headers.get("Retry-After")
            return HttpFailure(http_status=inner.status, retry_after_seconds=_parse_retry_after(retry_after))
    return HttpFailure()


def _parse_retry_after(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())
