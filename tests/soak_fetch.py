"""A bad week with YouTube in a few minutes: 200 videos, a fifth of them with faults, and a fetch that is killed again and again.

``make soak-fetch``, or ``python -m tests.soak_fetch [--videos N] [--kills N] [--seed N] [--workers N]``. The server is a
`Tube` in this process; the fetch is a process of its own, which runs yt-dlp's YouTube extractor. Exit code 1 when
something that was promised did not hold.
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

from phonics_data.stages.fetch.ledger import fetched_entries
from phonics_data.storage.workspace import Workspace
from tests.phonics_data.stages.fetch.fake_youtube import SIGNATURE, CaptionsOnTube, Song, Tube
from tests.phonics_data.stages.fetch.fake_youtube_client import ROOT, STOPPED, command
from tests.phonics_data.stages.fetch.small_videos import clip_bytes

FAULTS: list[tuple[str, dict[str, list[str]], str]] = [
    # name, faults of a song, status that it must come to
    ("503 for a while", {"media_faults": ["503", "503", "503"]}, "ok"),
    ("500 on the page", {"page_faults": ["500", "500"]}, "ok"),
    ("reset in the middle", {"media_faults": ["reset .5", "reset .3"]}, "ok"),
    ("cut short, once", {"media_faults": ["truncate .6"]}, "ok"),
    ("web page for video, once", {"media_faults": ["html"]}, "ok"),
    ("address expired, once", {"media_faults": ["410"]}, "ok"),
    ("403, once", {"media_faults": ["403"]}, "ok"),
    ("429 with Retry-After", {"media_faults": ["429 0.2"], "page_faults": ["429 0.2"]}, "ok"),
    ("slow", {"media_faults": ["slow 1.5"]}, "ok"),
    ("no ranges", {"media_faults": ["reset .8", "no ranges"]}, "ok"),
    ("captions refused", {"caption_faults": ["429", "..."]}, "ok"),
    ("bot check", {"page_faults": ["bot"]}, "ok"),
    ("corrupt part", {}, "ok"),
    ("503 for ever", {"media_faults": ["503", "..."]}, "failed"),
    ("404 for ever", {"media_faults": ["404", "..."]}, "failed"),
    ("403 for ever", {"media_faults": ["403", "..."]}, "blocked"),
    ("cut short for ever", {"media_faults": ["truncate .6", "..."]}, "invalid"),
    ("web page for ever", {"media_faults": ["html", "..."]}, "invalid"),
    ("private", {}, "gone"),
    ("removed", {}, "gone"),
]


@dataclass
class Soak:
    """The state of one soak."""

    tube: Tube
    work: Path
    manifest: Path
    rng: random.Random
    workers: int
    expected: dict[str, str]
    """Status by video id."""
    kind: dict[str, str]
    num_kills: int = 0
    num_stops: int = 0
    num_runs: int = 0
    whole: set[str] = field(default_factory=set[str])
    """Videos that lay whole in the workspace when some run ended."""
    faults: list[str] = field(default_factory=list[str])

    def run(self, kill_after: float | None) -> int | None:
        """One run of the fetch; its exit code, None when it was killed."""
        self.num_runs += 1
        asked_before = len(self.tube.sent)
        process = subprocess.Popen(
            command(self.tube.port, "patient", self.manifest, self.work, self.workers),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            # Loading takes as long as fetching some videos: the axe falls a random time after the first request.
            while kill_after and process.poll() is None and len(self.tube.sent) == asked_before:
                time.sleep(0.01)
            _, said = process.communicate(timeout=kill_after or 240)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.num_kills += 1
            self._look(asked_before, is_killed=True)
            return None
        if process.returncode not in (0, STOPPED):
            self.faults.append(f"run {self.num_runs} ended with {process.returncode}: {said[-500:]}")
        self.num_stops += process.returncode == STOPPED
        self._look(asked_before, is_killed=False)
        return process.returncode

    def _look(self, asked_before: int, *, is_killed: bool) -> None:
        """What the server saw of the run, and what lies in the workspace after it."""
        asked = self.tube.sent[asked_before:]
        for one in asked:
            if one.kind == "media" and one.video_id in self.whole:
                self.faults.append(f"{one.video_id} was whole and its media was asked for again")
        walls = [index for index, one in enumerate(asked) if one.kind == "bot check"]
        if walls and self.workers == 1:
            after = [one for one in asked[walls[0] + 1 :] if one.kind in ("page", "media", "bot check")]
            if after:
                self.faults.append(f"after a bot check {len(after)} more requests went out, for {after[0].video_id}")
        for folder in (self.work / "media", self.work / "media" / ".partial"):
            for path in folder.glob("*/*.mp4"):
                song = self.tube.songs[path.parent.name]
                if path.name == f"{song.video_id}.mp4" and path.read_bytes() == song.media.get("18"):
                    self.whole.add(song.video_id)

    def plant_corrupt_parts(self) -> None:
        """Half downloads that are wrong in one byte, which no look at the finished file would notice."""
        if not (self.work / "workspace.json").exists():
            return
        for part in (self.work / "media" / ".partial").glob("*/*.part"):
            if self.rng.random() < 0.5 and part.stat().st_size > 10:
                data = bytearray(part.read_bytes())
                data[self.rng.randrange(len(data))] ^= 0xFF
                part.write_bytes(data)
        for video_id, kind in self.kind.items():
            if kind == "corrupt part" and video_id not in self.whole:
                folder = self.work / "media" / ".partial" / video_id
                if folder.is_dir() or self.num_runs < 3:
                    folder.mkdir(parents=True, exist_ok=True)
                    media = self.tube.songs[video_id].media["18"]
                    half = bytearray(media[: len(media) // 2])
                    half[self.rng.randrange(len(half) // 2, len(half))] ^= 0xFF
                    (folder / f"{video_id}.mp4.part").write_bytes(half)


def make_songs(num_videos: int, rng: random.Random) -> tuple[list[Song], dict[str, str], dict[str, str]]:
    """Songs in random order, a fifth of them with faults; the status that each must come to; its kind of fault."""
    num_faulty = num_videos // 5
    kinds = [FAULTS[index % len(FAULTS)] for index in range(num_faulty)]
    songs: list[Song] = []
    expected: dict[str, str] = {}
    kind_of: dict[str, str] = {}
    for index in range(num_videos):
        name = f"song{index:07d}"
        song = Song(name, {"18": clip_bytes(1.0, seed=index, height=36)}, seconds=1.0)
        kind_of[name], expected[name] = "none", "ok"
        if index < num_faulty:
            kind_of[name], faults, expected[name] = kinds[index]
            for field_name, values in faults.items():
                setattr(song, field_name, list(values))
            if expected[name] == "gone":
                reason = "Private video" if kind_of[name] == "private" else "Video unavailable"
                song.playability = {"status": "ERROR", "reason": reason}
        elif index % 10 == 0:  # two streams that ffmpeg joins
            song.media = {
                "133": clip_bytes(1.0, sound=False, seed=index, height=36),
                "140": clip_bytes(1.0, picture=False, seed=index),
            }
        captions = [[], [("en", True)], [("en", False), ("en", True)], [("de", False), ("en", True)], [("pt", True)]]
        song.captions = [CaptionsOnTube(lang, is_auto=is_auto) for lang, is_auto in captions[index % 5]]
        if kind_of[name] == "captions refused":
            song.captions = [CaptionsOnTube("en", is_auto=True)]
        songs.append(song)
    rng.shuffle(songs)
    return songs, expected, kind_of


def packets_digest(*sources: Path) -> dict[str, str]:
    """SHA-256 over the compressed packets of each stream: what joining two files must leave as it was."""
    found: dict[str, hashlib._Hash] = {}
    for source in sources:
        with av.open(str(source)) as container:
            for packet in container.demux():
                found.setdefault(packet.stream.type, hashlib.sha256()).update(bytes(packet))
    return {kind: digest.hexdigest() for kind, digest in found.items()}


def check_end(soak: Soak, scratch: Path) -> Counter[str]:
    """Everything that must hold at the end, against what the server could give; how the videos ended."""
    entries = fetched_entries(Workspace(soak.work))
    ended: Counter[str] = Counter()
    for song in soak.tube.songs.values():
        entry = entries.get(song.video_id)
        status = entry.status if entry else "missing"
        ended[status] += 1
        wanted = soak.expected[song.video_id]
        if status != wanted:
            soak.faults.append(f"{song.video_id} ({soak.kind[song.video_id]}): is {status}, must be {wanted}")
        if entry is None or entry.video is None:
            continue
        path = soak.work / entry.video.path
        if hashlib.sha256(path.read_bytes()).hexdigest() != entry.video.sha256:
            soak.faults.append(f"{song.video_id}: the ledger's sha256 is not the file's")
        if "18" in song.media:
            if path.read_bytes() != song.media["18"]:
                soak.faults.append(f"{song.video_id}: called ok, but not what the server has")
        else:
            files = [scratch / "picture.mp4", scratch / "sound.mp4"]
            for file, itag in zip(files, ("133", "140"), strict=True):
                file.write_bytes(song.media[itag])
            if packets_digest(path) != packets_digest(*files):
                soak.faults.append(f"{song.video_id}: joined, but not out of what the server has")
        track = entry.video.captions.track if entry.video.captions else None
        codes = {(one.lang, one.is_auto) for one in song.captions}
        right = "en" if ("en", False) in codes else "en-orig" if ("en", True) in codes else None
        if soak.kind[song.video_id] == "captions refused":
            right = None
        if track != right:
            soak.faults.append(f"{song.video_id}: captions {track}, must be {right}")
    for path in soak.work.rglob("*"):
        if path.is_file() and SIGNATURE.encode() in path.read_bytes():
            soak.faults.append(f"{path}: holds a signed address")
    return ended


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    started = time.monotonic()
    rng = random.Random(chosen.seed)
    songs, expected, kind = make_songs(chosen.videos, rng)
    num_bot_checks = sum(one == "bot check" for one in kind.values())
    with tempfile.TemporaryDirectory(prefix="soak-fetch-") as temporary, Tube(*songs) as tube:
        folder = Path(temporary)
        manifest = folder / "songs.csv"
        manifest.write_text("video_id,url\n" + "".join(f"{song.video_id},{song.url}\n" for song in songs))
        soak = Soak(tube, folder / "work", manifest, rng, chosen.workers, expected, kind)
        while soak.num_kills < chosen.kills and soak.num_runs < 4 * chosen.kills and not soak.faults:
            soak.plant_corrupt_parts()
            soak.run(kill_after=rng.uniform(0.2, 3.0))
        ending = soak.run(None)
        while ending == STOPPED and soak.num_runs < 5 * chosen.kills:
            ending = soak.run(None)
        if ending != 0:
            soak.faults.append(f"the last run ended with {ending}")
        ended = check_end(soak, folder)
        figures = {
            "videos": len(songs),
            "with faults": sum(one != "none" for one in kind.values()),
            "kinds of faults": len(set(kind.values())) - 1,
            "runs": soak.num_runs,
            "killed": soak.num_kills,
            "stopped by the queue": soak.num_stops,
            "bot checks set up": num_bot_checks,
            "bot checks met": len(tube.asked("bot check")),
            "media requests": len(tube.asked("media")),
            "ended": dict(sorted(ended.items())),
            "promises broken": len(soak.faults),
            "seconds": round(time.monotonic() - started),
            "workers": chosen.workers,
            "seed": chosen.seed,
        }
    if soak.num_kills < chosen.kills:
        soak.faults.append(f"only {soak.num_kills} of {chosen.kills} kills fell: every video was done too soon")
    for fault in soak.faults:
        print("BROKEN", fault)
    print(json.dumps(figures, indent=1))
    return 1 if soak.faults else 0


if __name__ == "__main__":
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    sys.exit(main())
