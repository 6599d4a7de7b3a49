"""A server on this machine with the part of the Hugging Face Hub's API that its client uses to create, write and read repositories.

Content is kept in memory. Like the Hub, it stores large files (tar, parquet, safetensors) by their SHA-256, answers an upload of known content with
no action, and makes the files of a commit visible at once. It needs a token for writing, and remembers every request.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

TOKEN = "hf_" + "t0kenOfThisTest" * 2
LARGE = (".tar", ".parquet", ".safetensors")


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=lambda: ["0" * 40])


def _is_large(name: str) -> bool:
    return name.endswith(LARGE)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _pointer(content: bytes) -> bytes:
    """The file of git in place of a large one."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{_sha256(content)}\nsize {len(content)}\n".encode()


class FakeHub:
    """Use it as a context manager; `url` is the value of HF_ENDPOINT."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        """``datasets/user/name`` or ``models/user/name``."""
        self.objects: dict[str, bytes] = {}
        """Large files by SHA-256, committed or not."""
        self.requests: list[str] = []
        self.uploads: list[str] = []
        """SHA-256 of each upload that was accepted."""
        self.max_uploads: int | None = None
        """Further uploads are refused, as if the connection to the storage was forbidden."""
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def environment(self, cache: object) -> dict[str, str]:
        """The variables with which the client uses this server. Its second way of uploading (Xet) needs other servers and is off."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(cache),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",  # other tests of the process may have set it
        }

    @contextmanager
    def used(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[None]:
        """Let the client of this process use the server. It reads its variables when it is imported, so they are set in it as well."""
        import huggingface_hub.hf_api

        for name, value in self.environment(cache).items():
            monkeypatch.setenv(name, value)
        template = f"{self.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", self.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", self.url)
        monkeypatch.setattr("phonics_data.contract.tar_reader.RETRY_SECONDS", ())
        huggingface_hub.HfFileSystem.clear_instance_cache()
        yield
        huggingface_hub.HfFileSystem.clear_instance_cache()


class _Handler(http.server.BaseHTTPRequestHandler):
    server_hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def do_PUT(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, body: bytes) -> None:
        hub, path = self.server_hub, urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        hub.requests.append(f"{self.command} {path}")
        is_writing = self.command in ("POST", "PUT") and "/paths-info/" not in path and not path.startswith("/upload/")
        if is_writing and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid credentials in Authorization header"})
            return
        for pattern, method in (
            (r"/api/repos/create", self._create),
            (r"/api/validate-yaml", self._validate),
            (r"/api/(?P<kind>datasets|models)/(?P<name>[^/]+/[^/]+)/preupload/[^/]+", self._preupload),
            (r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
            (r"/upload/(?P<sha256>\w+)", self._upload),
            (r"/api/(?P<kind>datasets|models)/(?P<name>[^/]+/[^/]+)/commit/[^/]+", self._commit),
            (r"/api/(?P<kind>datasets|models)/(?P<name>[^/]+/[^/]+)/tree/[^/]+", self._tree),
            (r"/api/(?P<kind>datasets|models)/(?P<name>[^/]+/[^/]+)/paths-info/[^/]+", self._paths_info),
            (r"/api/(?P<kind>datasets|models)/(?P<name>[^/]+/[^/]+)(/revision/[^/]+)?", self._info),
            (r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/[^/]+/(?P<file>.+)", self._resolve),
        ):
            if match := re.fullmatch(pattern, path):
                method(body, **match.groupdict())
                return
        self._send(404, {"error": f"no such page: {path}"})

    def _send(self, status: int, value: object, **headers: str) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        if not isinstance(value, bytes):
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _repository(self, kind: str | None, name: str) -> Repository | None:
        key = f"{(kind or 'models').rstrip('/')}/{name}"
        found = self.server_hub.repositories.get(key)
        if found is None:
            self._send(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        return found

    def _create(self, body: bytes) -> None:
        asked = json.loads(body)
        owner = asked.get("organization") or "me"
        key = f"{asked.get('type', 'model')}s/{owner}/{asked['name']}"
        if key in self.server_hub.repositories:
            self._send(
                409,
                {
                    "error": "You already created this repo",
                    "url": f"{self.server_hub.url}/{key.removeprefix('models/')}",
                },
            )
            return
        self.server_hub.repositories[key] = Repository(
            private=asked.get("visibility") == "private" or bool(asked.get("private"))
        )
        self._send(200, {"url": f"{self.server_hub.url}/{key.removeprefix('models/')}"})

    def _validate(self, body: bytes) -> None:
        import yaml

        text = json.loads(body)["content"]
        head = text.split("---")[1] if text.startswith("---") else ""
        errors = [] if isinstance(yaml.safe_load(head), dict) else [{"message": "no metadata in the card"}]
        self._send(400 if errors else 200, {"errors": errors, "warnings": []})

    def _preupload(self, body: bytes, kind: str, name: str) -> None:
        if (repository := self._repository(kind, name)) is None:
            return
        files: list[dict[str, Any]] = []
        for file in json.loads(body)["files"]:
            known = repository.files.get(file["path"])
            oid = None if known is None else _sha256(known) if _is_large(file["path"]) else _git_oid(known)
            mode = "lfs" if _is_large(file["path"]) else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._send(200, {"files": files})

    def _batch(self, body: bytes, kind: str | None, name: str) -> None:
        if self._repository(kind, name) is None:
            return
        objects: list[dict[str, Any]] = []
        for one in json.loads(body)["objects"]:
            entry = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.server_hub.objects:
                entry["actions"] = {"upload": {"href": f"{self.server_hub.url}/upload/{one['oid']}?signature=secret"}}
            objects.append(entry)
        self._send(200, {"transfer": "basic", "objects": objects})

    def _upload(self, body: bytes, sha256: str) -> None:
        hub = self.server_hub
        if hub.max_uploads is not None and len(hub.uploads) >= hub.max_uploads:
            self._send(403, {"error": "no more uploads"})
            return
        assert _sha256(body) == sha256
        hub.objects[sha256] = body
        hub.uploads.append(sha256)
        self._send(200, b"")

    def _commit(self, body: bytes, kind: str, name: str) -> None:
        if (repository := self._repository(kind, name)) is None:
            return
        files = dict(repository.files)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server_hub.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        repository.files = files
        repository.commits.append(hashlib.sha1(body, usedforsecurity=False).hexdigest())
        self._send(
            200,
            {
                "commitUrl": f"{self.server_hub.url}/{name}/commit/{repository.commits[-1]}",
                "commitOid": repository.commits[-1],
            },
        )

    def _entry(self, repository: Repository, file: str) -> dict[str, Any]:
        content = repository.files[file]
        entry: dict[str, Any] = {"type": "file", "path": file, "size": len(content), "oid": _git_oid(content)}
        if _is_large(file):
            pointer = _pointer(content)
            entry |= {"oid": _git_oid(pointer)}
            entry["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": len(pointer)}
        return entry

    def _tree(self, body: bytes, kind: str, name: str) -> None:
        if repository := self._repository(kind, name):
            self._send(200, [self._entry(repository, file) for file in sorted(repository.files)])

    def _paths_info(self, body: bytes, kind: str, name: str) -> None:
        if repository := self._repository(kind, name):
            if self.headers.get("Content-Type", "").startswith("application/json"):
                paths = cast("list[str]", json.loads(body)["paths"])
            else:
                paths = urllib.parse.parse_qs(body.decode())["paths"]
            self._send(200, [self._entry(repository, file) for file in paths if file in repository.files])

    def _info(self, body: bytes, kind: str, name: str) -> None:
        if repository := self._repository(kind, name):
            siblings = [{"rfilename": file} for file in sorted(repository.files)]
            info = {
                "id": name,
                "sha": repository.commits[-1],
                "private": repository.private,
                "siblings": siblings,
                "tags": [],
            }
            self._send(200, {**info, "downloads": 0, "likes": 0, "disabled": False, "gated": False})

    def _resolve(self, body: bytes, kind: str | None, name: str, file: str) -> None:
        if (repository := self._repository(kind, name)) is None:
            return
        content = repository.files.get(file)
        if content is None:
            self._send(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
            return
        etag = _sha256(content) if _is_large(file) else _git_oid(content)
        headers = {"ETag": f'"{etag}"', "X_Repo_Commit": repository.commits[-1], "Accept_Ranges": "bytes"}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if match is None:
            self._send(200, content, **headers)
            return
        first, last = int(match[1]), min(int(match[2] or len(content) - 1), len(content) - 1)
        headers["Content_Range"] = f"bytes {first}-{last}/{len(content)}"
        self._send(206, content[first : last + 1], **headers)
