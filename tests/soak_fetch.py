"""Soak test of `fetch`: 200 videos, a fifth of them with faults, and a fetch process that is killed repeatedly.

``make soak-fetch``, or ``python -m tests.soak_fetch [--videos N] [--kills N] [--seed N] [--workers N]``. The server is a
`FakeYouTube` in this process; the fetch runs in a separate process with yt-dlp's YouTube extractor. Exit code 1 if a
check fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import av

from phonics_data.stages.fetch.ledger import fetch_entries
from phonics_data.storage.workspace import Workspace
from tests.phonics_data.stages.fetch.fake_youtube import SIGNATURE, FakeCaptions, FakeYouTube, Song
from tests.phonics_data.stages.fetch.fake_youtube_client import ROOT, STOPPED, command
from tests.phonics_data.stages.fetch.small_videos import clip_bytes

FAULTS: list[tuple[str, dict[str, list[str]], str]] = [
    # name, faults of a song, its expected status
    ("503 three times", {"media_faults": ["503", "503", "503"]}, "ok"),
    ("500 on the page", {"page_faults": ["500", "500"]}, "ok"),
    ("connection reset", {"media_faults": ["reset .5", "reset .3"]}, "ok"),
    ("truncated once", {"media_faults": ["truncate .6"]}, "ok"),
    ("web page for video once", {"media_faults": ["html"]}, "ok"),
    ("address expired once", {"media_faults": ["410"]}, "ok"),
    ("403 once", {"media_faults": ["403"]}, "ok"),
    ("429 with Retry-After", {"media_faults": ["429 0.2"], "page_faults": ["429 0.2"]}, "ok"),
    ("slow", {"media_faults": ["slow 1.5"]}, "ok"),
    ("no ranges", {"media_faults": ["reset .8", "no ranges"]}, "ok"),
    ("captions refused", {"caption_faults": ["429", "..."]}, "ok"),
    ("bot check", {"page_faults": ["bot"]}, "ok"),
    ("corrupt part", {}, "ok"),
    ("503 always", {"media_faults": ["503", "..."]}, "failed"),
    ("404 always", {"media_faults": ["404", "..."]}, "failed"),
    ("403 always", {"media_faults": ["403", "..."]}, "blocked"),
    ("truncated always", {"media_faults": ["truncate .6", "..."]}, "invalid"),
    ("web page always", {"media_faults": ["html", "..."]}, "invalid"),
    ("private", {}, "gone"),
    ("removed", {}, "gone"),
]


@dataclass
class SoakTest:
    """The state of one soak test."""

    server: FakeYouTube
    work: Path
    manifest: Path
    rng: random.Random
    workers: int
    expected: dict[str, str]
    """Status by video id."""
    fault_of: dict[str, str]
    """Name of the fault by video id."""
    num_kills: int = 0
    num_stops: int = 0
    num_runs: int = 0
    complete: set[str] = field(default_factory=set[str])
    """Videos that were complete in the workspace at the end of a run."""
    failures: list[str] = field(default_factory=list[str])

    def run(self, kill_after: float | None) -> int | None:
        """One run of the fetch; its exit code, None when it was killed."""
        self.num_runs += 1
        num_served_before = len(self.server.served)
        process = subprocess.Popen(
            command(self.server.port, "quick", self.manifest, self.work, self.workers),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            # Importing takes as long as fetching some videos: the time until the kill counts from the first request.
            while kill_after and process.poll() is None and len(self.server.served) == num_served_before:
                time.sleep(0.01)
            _, stderr = process.communicate(timeout=kill_after or 240)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.num_kills += 1
            self._check_run(num_served_before)
            return None
        if process.returncode not in (0, STOPPED):
            self.failures.append(f"run {self.num_runs} ended with {process.returncode}: {stderr[-500:]}")
        self.num_stops += process.returncode == STOPPED
        self._check_run(num_served_before)
        return process.returncode

    def _check_run(self, num_served_before: int) -> None:
        """Check the requests of the run, and record the complete videos in the workspace."""
        requests = self.server.served[num_served_before:]
        for request in requests:
            if request.kind == "media" and request.video_id in self.complete:
                self.failures.append(f"{request.video_id} was complete and its media was requested again")
        bot_checks = [index for index, request in enumerate(requests) if request.kind == "bot check"]
        if bot_checks and self.workers == 1:
            after = [
                request for request in requests[bot_checks[0] + 1 :] if request.kind in ("page", "media", "bot check")
            ]
            if after:
                self.failures.append(f"after a bot check {len(after)} more requests were sent, for {after[0].video_id}")
        for folder in (self.work / "media", self.work / "media" / ".partial"):
            for path in folder.glob("*/*.mp4"):
                song = self.server.songs[path.parent.name]
                if path.name == f"{song.video_id}.mp4" and path.read_bytes() == song.media.get("18"):
                    self.complete.add(song.video_id)

    def plant_corrupt_parts(self) -> None:
        """Flip one byte in partial downloads, an error that decoding would not detect."""
        if not (self.work / "workspace.json").exists():
            return
        for part in (self.work / "media" / ".partial").glob("*/*.part"):
            if self.rng.random() < 0.5 and part.stat().st_size > 10:
                data = bytearray(part.read_bytes())
                data[self.rng.randrange(len(data))] ^= 0xFF
                part.write_bytes(data)
        for video_id, fault in self.fault_of.items():
            if fault == "corrupt part" and video_id not in self.complete:
                folder = self.work / "media" / ".partial" / video_id
                if folder.is_dir() or self.num_runs < 3:
                    folder.mkdir(parents=True, exist_ok=True)
                    media = self.server.songs[video_id].media["18"]
                    half = bytearray(media[: len(media) // 2])
                    half[self.rng.randrange(len(half) // 2, len(half))] ^= 0xFF
                    (folder / f"{video_id}.mp4.part").write_bytes(half)


def make_songs(num_videos: int, rng: random.Random) -> tuple[list[Song], dict[str, str], dict[str, str]]:
    """Songs in random order, a fifth of them with faults; video id -> expected status; video id -> name of its fault."""
    num_faulty = num_videos // 5
    chosen_faults = [FAULTS[index % len(FAULTS)] for index in range(num_faulty)]
    songs: list[Song] = []
    expected: dict[str, str] = {}
    fault_of: dict[str, str] = {}
    for index in range(num_videos):
        name = f"song{index:07d}"
        song = Song(name, {"18": clip_bytes(1.0, seed=index, height=36)}, seconds=1.0)
        fault_of[name], expected[name] = "none", "ok"
        if index < num_faulty:
            fault_of[name], faults, expected[name] = chosen_faults[index]
            for field_name, values in faults.items():
                setattr(song, field_name, list(values))
            if expected[name] == "gone":
                reason = "Private video" if fault_of[name] == "private" else "Video unavailable"
                song.playability = {"status": "ERROR", "reason": reason}
        elif index % 10 == 0:  # two streams, joined by ffmpeg
            song.media = {
                "133": clip_bytes(1.0, sound=False, seed=index, height=36),
                "140": clip_bytes(1.0, picture=False, seed=index),
            }
        captions = [[], [("en", True)], [("en", False), ("en", True)], [("de", False), ("en", True)], [("pt", True)]]
        song.captions = [FakeCaptions(lang, is_auto=is_auto) for lang, is_auto in captions[index % 5]]
        if fault_of[name] == "captions refused":
            song.captions = [FakeCaptions("en", is_auto=True)]
        songs.append(song)
    rng.shuffle(songs)
    return songs, expected, fault_of


def packets_digest(*sources: Path) -> dict[str, str]:
    """Stream type -> SHA-256 over its compressed packets, which joining two files must not change."""
    found: dict[str, hashlib._Hash] = {}
    for source in sources:
        with av.open(str(source)) as container:
            for packet in container.demux():
                found.setdefault(packet.stream.type, hashlib.sha256()).update(bytes(packet))
    return {kind: digest.hexdigest() for kind, digest in found.items()}


def check_workspace(soak: SoakTest, temporary_folder: Path) -> Counter[str]:
    """Compare the workspace with the content of the server; returns the number of videos by status."""
    entries = fetch_entries(Workspace(soak.work))
    num_by_status: Counter[str] = Counter()
    for song in soak.server.songs.values():
        entry = entries.get(song.video_id)
        status = entry.status if entry else "missing"
        num_by_status[status] += 1
        wanted = soak.expected[song.video_id]
        if status != wanted:
            soak.failures.append(f"{song.video_id} ({soak.fault_of[song.video_id]}): is {status}, must be {wanted}")
        if entry is None or entry.video is None:
            continue
        path = soak.work / entry.video.path
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry.video.sha256:
            soak.failures.append(f"{song.video_id}: the ledger's sha256 is not the file's")
        if "18" in song.media:
            if path.read_bytes() != song.media["18"]:
                soak.failures.append(f"{song.video_id}: status ok, but its bytes differ from the server's")
        else:
            files = [temporary_folder / "video.mp4", temporary_folder / "audio.mp4"]
            for file, itag in zip(files, ("133", "140"), strict=True):
                file.write_bytes(song.media[itag])
            if packets_digest(path) != packets_digest(*files):
                soak.failures.append(f"{song.video_id}: joined, but its packets differ from the server's")
        track = entry.video.captions.track if entry.video.captions else None
        codes = {(one.lang, one.is_auto) for one in song.captions}
        right = "en" if ("en", False) in codes else "en-orig" if ("en", True) in codes else None
        if soak.fault_of[song.video_id] == "captions refused":
            right = None
        if track != right:
            soak.failures.append(f"{song.video_id}: captions {track}, must be {right}")
    for path in soak.work.rglob("*"):
        if path.is_file() and SIGNATURE.encode() in path.read_bytes():
            soak.failures.append(f"{path}: contains a signed address")
    return num_by_status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    rng = random.Random(options.seed)
    songs, expected, fault_of = make_songs(options.videos, rng)
    num_bot_checks = sum(one == "bot check" for one in fault_of.values())
    with tempfile.TemporaryDirectory(prefix="soak-fetch-") as temporary, FakeYouTube(*songs) as server:
        folder = Path(temporary)
        manifest = folder / "songs.csv"
        manifest.write_text("video_id,url\n" + "".join(f"{song.video_id},{song.url}\n" for song in songs))
        soak = SoakTest(server, folder / "work", manifest, rng, options.workers, expected, fault_of)
        while soak.num_kills < options.kills and soak.num_runs < 4 * options.kills and not soak.failures:
            soak.plant_corrupt_parts()
            soak.run(kill_after=rng.uniform(0.2, 3.0))
        exit_code = soak.run(None)
        while exit_code == STOPPED and soak.num_runs < 5 * options.kills:
            exit_code = soak.run(None)
        if exit_code != 0:
            soak.failures.append(f"the last run ended with {exit_code}")
        num_by_status = check_workspace(soak, folder)
        figures = {
            "videos": len(songs),
            "with faults": sum(one != "none" for one in fault_of.values()),
            "kinds of faults": len(set(fault_of.values())) - 1,
            "runs": soak.num_runs,
            "killed": soak.num_kills,
            "stopped by the queue": soak.num_stops,
            "bot checks configured": num_bot_checks,
            "bot checks served": len(server.requests("bot check")),
            "media requests": len(server.requests("media")),
            "ended": dict(sorted(num_by_status.items())),
            "failed checks": len(soak.failures),
            "seconds": round(time.monotonic() - started),
            "workers": options.workers,
            "seed": options.seed,
        }
    if soak.num_kills < options.kills:
        soak.failures.append(
            f"only {soak.num_kills} of {options.kills} kills happened: all videos were fetched too early"
        )
    for failure in soak.failures:
        print("FAILED", failure)
    print(json.dumps(figures, indent=1))
    return 1 if soak.failures else 0


if __name__ == "__main__":
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    sys.exit(main())
