"""A fake Google Cloud on this machine: Speech v1 and v2, operations, and a bucket, with TLS and authentication.

The client under test is unmodified. It finds the certificate by GRPC_DEFAULT_SSL_ROOTS_FILE_PATH and a key file by
GOOGLE_APPLICATION_CREDENTIALS. Requests are validated as specified in Google's documentation.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import grpc
import numpy as np
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud import speech_v1, speech_v2
from google.longrunning import operations_pb2
from numpy.typing import NDArray
from scipy import fft

from phonics_data.types import Word

Samples = NDArray[np.float32]
RecognizeFunction = Callable[[Samples], Sequence[Word]]
"""16 kHz audio -> words, with times relative to its start."""

PROJECT = "phonics-test"


class RequestError(Exception):
    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Song:
    """A `RecognizeFunction` for one known song: it locates the given part of the song and returns the words in it.

    An incomplete word gives its remaining part with the text ``half<word>``.
    """

    audio_N: Samples
    words: Sequence[Word]

    def __call__(self, part_N: Samples) -> Sequence[Word]:
        offset = self._offset(part_N)
        if offset is None:
            return []
        start, end = offset / 16_000, (offset + part_N.size) / 16_000
        found: list[Word] = []
        for word in self.words:
            low, high = max(word.start_seconds, start), min(word.end_seconds, end)
            if high - low > 0.02:
                whole = high - low > (word.end_seconds - word.start_seconds) * 0.95
                found.append(
                    Word(
                        text=word.text if whole else f"half{word.text}",
                        start_seconds=low - start,
                        end_seconds=high - start,
                        confidence=0.9,
                    )
                )
        return found

    def _offset(self, part_N: Samples) -> int | None:
        """First sample of the part within the song, by cross-correlation of its loudest 0.5 s; None without a match."""
        first = 8000 * int(np.argmax([np.abs(part_N[low : low + 8000]).sum() for low in range(0, part_N.size, 8000)]))
        block = part_N[first : first + 8000]
        match = fft.irfft(self._spectrum * np.conj(fft.rfft(block, self._size)), self._size)
        place = int(np.argmax(match[: self.audio_N.size]))
        original = self.audio_N[place : place + block.size]
        norm = float(np.linalg.norm(original) * np.linalg.norm(block))
        is_match = norm > 0 and float(original @ block[: original.size]) / norm > 0.8
        return place - first if is_match else None

    @cached_property
    def _size(self) -> int:
        return fft.next_fast_len(self.audio_N.size + 8000)

    @cached_property
    def _spectrum(self) -> NDArray[np.complex64]:
        return fft.rfft(self.audio_N, self._size)


@dataclass
class Cloud:
    """State of the servers.

    Args:
        recognize: recognizes audio.
        faults: replacements of the next responses, one each: a status code with its message, ``slow`` (1 s late), or
            None for a normal response.
        polls: number of polls before an operation is finished.
    """

    recognize: RecognizeFunction = field(default=lambda _: [])
    faults: list[tuple[grpc.StatusCode, str] | str | None] = field(default_factory=list)
    polls: int = 2
    requests: list[Any] = field(default_factory=list)
    """All recognition requests, including rejected ones."""
    objects: dict[str, bytes] = field(default_factory=dict)
    """``gs://...`` -> content."""
    deleted: list[str] = field(default_factory=list)
    buckets: set[str] = field(default_factory=lambda: {"songs"})
    operations: dict[str, tuple[list[int], bytes | tuple[int, str], str]] = field(default_factory=dict)
    """Name -> [remaining polls], response or error, type of the response."""
    word_times: bool = True
    deny_deletion: bool = False
    """Whether deletions in the buckets are not permitted."""
    num_polls: int = 0
    sign_in: tuple[int, dict[str, Any]] = (200, {})
    """HTTP status and response of the sign-in for user accounts."""
    endpoint: str = ""
    proxy: str = ""
    """HTTPS proxy that connects every host name to the sign-in server."""
    storage: str = ""
    key_file: Path = Path()
    public_key: bytes = b""

    def reset(self) -> None:
        self.recognize, self.polls, self.word_times, self.deny_deletion, self.num_polls = (
            (lambda _: []),
            2,
            True,
            False,
            0,
        )
        self.sign_in = (200, {})
        for collection in (self.faults, self.requests, self.objects, self.deleted, self.operations):
            collection.clear()

    def requested_seconds(self) -> float:
        """Seconds of audio in all requests."""
        return sum(len(pcm) for pcm in (_content(request) for request in self.requests)) / 32_000


def _content(request: Any) -> bytes:
    return request.audio.content if hasattr(request, "audio") else getattr(request, "content", b"")


# --- Speech --------------------------------------------------------------------------------------------------------


class Speech(grpc.GenericRpcHandler):
    """Both versions of google.cloud.speech, and google.longrunning."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        v1, v2 = speech_v1, speech_v2
        self._methods = {
            "/google.cloud.speech.v1.Speech/Recognize": (v1.RecognizeRequest, self._recognize_v1),
            "/google.cloud.speech.v1.Speech/LongRunningRecognize": (v1.LongRunningRecognizeRequest, self._long_v1),
            "/google.cloud.speech.v2.Speech/Recognize": (v2.RecognizeRequest, self._recognize_v2),
            "/google.cloud.speech.v2.Speech/BatchRecognize": (v2.BatchRecognizeRequest, self._batch_v2),
        }

    def service(self, handler_call_details: Any) -> Any:
        name = handler_call_details.method
        if name == "/google.longrunning.Operations/GetOperation":
            return grpc.unary_unary_rpc_method_handler(
                self._get_operation,
                request_deserializer=operations_pb2.GetOperationRequest.FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
        if name not in self._methods:
            return None
        request_type, method = self._methods[name]

        def answer(data: bytes, context: Any) -> bytes:
            request = request_type.deserialize(data)
            self._cloud.requests.append(request)
            try:
                self._authenticate(context)
                self._apply_fault()
                return method(request)
            except RequestError as rejection:
                context.abort(rejection.code, str(rejection))
                raise

        return grpc.unary_unary_rpc_method_handler(answer)

    def _authenticate(self, context: Any) -> None:
        from google.auth import jwt

        header = dict(context.invocation_metadata()).get("authorization", "")
        try:
            claims = jwt.decode(header.removeprefix("Bearer "), certs=self._cloud.public_key)
        except ValueError as error:
            raise RequestError(grpc.StatusCode.UNAUTHENTICATED, f"Request had invalid credentials: {error}") from error
        if claims["iss"] != f"robot@{PROJECT}.iam.gserviceaccount.com":
            raise RequestError(grpc.StatusCode.PERMISSION_DENIED, "unknown account")

    def _apply_fault(self) -> None:
        fault = self._cloud.faults.pop(0) if self._cloud.faults else None
        if fault == "slow":
            time.sleep(3.0)
        elif isinstance(fault, tuple):
            raise RequestError(*fault)

    def _recognize_v1(self, request: Any) -> bytes:
        self._check_v1(request.config)
        pcm = request.audio.content or self._object(request.audio.uri)
        return speech_v1.RecognizeResponse.serialize(
            speech_v1.RecognizeResponse(results=self._results_v1(request.config, _checked_length(pcm)))
        )

    def _long_v1(self, request: Any) -> bytes:
        self._check_v1(request.config)
        results = self._results_v1(request.config, self._object(request.audio.uri))
        answer = speech_v1.LongRunningRecognizeResponse(results=results)
        return self._operation(
            speech_v1.LongRunningRecognizeResponse.serialize(answer), "v1.LongRunningRecognizeResponse"
        )

    def _recognize_v2(self, request: Any) -> bytes:
        self._check_v2(request.recognizer, request.config)
        return speech_v2.RecognizeResponse.serialize(
            speech_v2.RecognizeResponse(results=self._results_v2(request.config, _checked_length(request.content)))
        )

    def _batch_v2(self, request: Any) -> bytes:
        self._check_v2(request.recognizer, request.config)
        if "inline_response_config" not in request.recognition_output_config:
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "no recognition_output_config")
        files: dict[str, Any] = {}
        for file in request.files:
            try:
                results = self._results_v2(request.config, self._object(file.uri))
                files[file.uri] = {"inline_result": {"transcript": {"results": results}}}
            except RequestError as rejection:
                files[file.uri] = {"error": {"code": rejection.code.value[0], "message": str(rejection)}}
        answer = speech_v2.BatchRecognizeResponse(results=files)
        return self._operation(speech_v2.BatchRecognizeResponse.serialize(answer), "v2.BatchRecognizeResponse")

    # --- validation of requests, as documented by Google -------------------------------------------------------------

    def _check_v1(self, config: Any) -> None:
        if (config.encoding.name, config.sample_rate_hertz) != ("LINEAR16", 16_000):
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "bad encoding or sample rate")
        phrases = [phrase for phrases in config.adaptation.phrase_sets for phrase in phrases.phrases]
        self._check_common(config.language_code, phrases, 5_000)

    def _check_v2(self, recognizer: str, config: Any) -> None:
        if recognizer != f"projects/{PROJECT}/locations/global/recognizers/_":
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Unable to find Recognizer {recognizer}")
        decoding = config.explicit_decoding_config
        if (decoding.encoding.name, decoding.sample_rate_hertz) != ("LINEAR16", 16_000) or not config.model:
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, "bad encoding, sample rate or model")
        sets = [one.inline_phrase_set for one in config.adaptation.phrase_sets]
        self._check_common(config.language_codes[0], [phrase for one in sets for phrase in one.phrases], 1_200)

    def _check_common(self, language: str, phrases: Sequence[Any], max_phrases: int) -> None:
        if "-" not in language:
            raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, f"bad language code {language!r}")
        num_characters = sum(len(phrase.value) for phrase in phrases)
        if (
            len(phrases) > max_phrases
            or num_characters > 100_000
            or any(not 0 < phrase.boost <= 20 for phrase in phrases)
        ):
            raise RequestError(
                grpc.StatusCode.INVALID_ARGUMENT, f"{len(phrases)} phrases, {num_characters} characters, or their boost"
            )

    # --- responses -------------------------------------------------------------------------------------------------

    def _object(self, uri: str) -> bytes:
        if uri not in self._cloud.objects:
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"no object {uri}")
        return self._cloud.objects[uri]

    def _results_v1(self, config: Any, pcm: bytes) -> list[Any]:
        return self._results(config, "time", pcm)

    def _results_v2(self, config: Any, pcm: bytes) -> list[Any]:
        return self._results(config.features, "offset", pcm)

    def _results(self, features: Any, field: str, pcm: bytes) -> list[Any]:
        """Results in the format of v1 (fields ``*_time``) or v2 (fields ``*_offset``)."""
        timed = features.enable_word_time_offsets and self._cloud.word_times
        words = list(self._cloud.recognize(np.frombuffer(pcm, "<i2").astype(np.float32) / 32_767))
        return [
            {
                "alternatives": [
                    {
                        "transcript": " ".join(word.text for word in line),
                        "confidence": 0.8,
                        "words": [
                            {
                                "word": word.text,
                                f"start_{field}": timedelta(seconds=word.start_seconds),
                                f"end_{field}": timedelta(seconds=word.end_seconds),
                                "confidence": word.confidence if features.enable_word_confidence else 0.0,
                            }
                            for word in line
                            if timed
                        ],
                    }
                ],
                f"result_end_{field}": timedelta(seconds=line[-1].end_seconds),
            }
            for line in _lines(words)
        ]

    def _operation(self, answer: bytes, type_name: str) -> bytes:
        name = f"operations/{len(self._cloud.operations) + 1}"
        self._cloud.operations[name] = ([self._cloud.polls], answer, type_name)
        return operations_pb2.Operation(name=name).SerializeToString()

    def _get_operation(self, request: Any, context: Any) -> Any:
        self._cloud.num_polls += 1
        try:
            self._authenticate(context)
            self._apply_fault()
        except RequestError as rejection:
            context.abort(rejection.code, str(rejection))
        if request.name not in self._cloud.operations:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no operation {request.name}")
        left, answer, type_name = self._cloud.operations[request.name]
        left[0] -= 1
        operation = operations_pb2.Operation(name=request.name, done=left[0] < 0)
        if operation.done and isinstance(answer, tuple):
            operation.error.code, operation.error.message = answer
        elif operation.done:
            operation.response.type_url = f"type.googleapis.com/google.cloud.speech.{type_name}"
            operation.response.value = answer
        return operation


def _checked_length(pcm: bytes) -> bytes:
    if len(pcm) > 60 * 32_000 or len(pcm) > 10_000_000:
        raise RequestError(
            grpc.StatusCode.INVALID_ARGUMENT, "Sync input too long. For audio longer than 1 min use LongRunning"
        )
    return pcm


def _lines(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    for first in range(0, len(words), 7):
        yield words[first : first + 7]


# --- the bucket ----------------------------------------------------------------------------------------------------


class _Storage(BaseHTTPRequestHandler):
    """Uploads and deletions of the Cloud Storage JSON API."""

    protocol_version = "HTTP/1.1"
    cloud: Cloud

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        bucket = parts.path.removeprefix("/upload/storage/v1/b/").removesuffix("/o")
        boundary = self.headers["Content-Type"].partition("boundary=")[2].strip("\"'").encode()
        if parse_qs(parts.query)["uploadType"] != ["multipart"] or not boundary:
            return self._respond(400, {"error": {"message": "only multipart uploads are supported"}})
        _, about, data, _ = body.split(b"--" + boundary)
        name = json.loads(about.partition(b"\r\n\r\n")[2])["name"]
        uri = f"gs://{bucket}/{name}"
        if bucket not in self.cloud.buckets:
            return self._respond(404, {"error": {"message": "The specified bucket does not exist."}})
        if uri in self.cloud.objects and parse_qs(parts.query).get("ifGenerationMatch") == ["0"]:
            return self._respond(412, {"error": {"message": "At least one of the pre-conditions did not hold."}})
        self.cloud.objects[uri] = data.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        return self._respond(200, {"name": name, "bucket": bucket, "generation": "1"})

    def do_DELETE(self) -> None:
        bucket, _, name = self.path.partition("?")[0].removeprefix("/storage/v1/b/").partition("/o/")
        uri = f"gs://{bucket}/{unquote(name)}"
        if self.cloud.deny_deletion:
            return self._respond(403, {"error": {"message": "robot does not have storage.objects.delete access"}})
        if self.cloud.objects.pop(uri, None) is None:
            return self._respond(404, {"error": {"message": "No such object"}})
        self.cloud.deleted.append(uri)
        return self._respond(204, None)

    def _respond(self, status: int, body: Any) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


# --- sign-in of user accounts --------------------------------------------------------------------------------------


class _SignIn(BaseHTTPRequestHandler):
    """A proxy that connects every host name to the sign-in server."""

    cloud: Cloud
    tls: ssl.SSLContext

    def log_message(self, *args: Any) -> None:
        pass

    def do_CONNECT(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self.tls.wrap_socket(self.connection, server_side=True) as connection:
            connection.recv(65_536)
            status, answer = self.cloud.sign_in
            body = json.dumps(answer).encode()
            head = f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.recv(65_536)  # until the client has closed the connection
        self.close_connection = True


# --- all servers ---------------------------------------------------------------------------------------------------


@contextmanager
def running(folder: Path) -> Iterator[Cloud]:
    """A cloud on free local ports, with its certificate and a key file in `folder`."""
    cloud = Cloud()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "roots.pem")
    served = authority.issue_cert("localhost")
    cloud.key_file = folder / "key.json"
    cloud.public_key = _write_key(cloud.key_file)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Speech(cloud)])
    credentials = grpc.ssl_server_credentials(
        [(served.private_key_pem.bytes(), b"".join(one.bytes() for one in served.cert_chain_pems))]
    )
    cloud.endpoint = f"localhost:{server.add_secure_port('localhost:0', credentials)}"
    server.start()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("oauth2.googleapis.com").configure_cert(tls)
    storage = _start_server(type("Storage", (_Storage,), {"cloud": cloud}))
    sign_in = _start_server(type("SignIn", (_SignIn,), {"cloud": cloud, "tls": tls}))
    cloud.storage = f"http://127.0.0.1:{storage.server_port}"
    cloud.proxy = f"http://127.0.0.1:{sign_in.server_port}"
    try:
        yield cloud
    finally:
        for one in (storage, sign_in):
            one.shutdown()
            one.server_close()
        server.stop(None).wait()


def _start_server(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _write_key(path: Path) -> bytes:
    """Write the key file of a service account; returns the public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    email = f"robot@{PROJECT}.iam.gserviceaccount.com"
    account = {
        "type": "service_account", "project_id": PROJECT, "private_key_id": "1", "private_key": secret,
        "client_email": email, "client_id": "1", "token_uri": "http://127.0.0.1:9/no-token-is-needed",
    }  # fmt: skip
    path.write_text(json.dumps(account))
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
