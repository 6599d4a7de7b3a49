"""Send a finished dataset: what differs by size and hash, the description last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phonics_data.contract.address import is_address
from phonics_data.dataset.layout import DESCRIPTION, MANIFEST, SHARD_NAME
from phonics_data.dataset.remote import TABLES
from phonics_data.errors import DatasetError, InputError, OptionError, RemoteError, UsageError
from phonics_data.executors.items import OnProgress
from phonics_data.push.content import Content, SentFile, tables_only, whole_dataset
from phonics_data.push.targets import Target, target
from phonics_data.report.verify import verify

Action = Literal["send", "same", "delete"]
NOTICE = "The makers of the source videos hold the rights in video and audio. Redistribution of clips needs their permission."
"""The notice of the dataset's card that ``--i-have-the-rights`` confirms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PushOptions:
    """Args:
    has_rights: send the shards too; the user confirms `NOTICE`.
    manifest: the manifest that the dataset was built from. Without the shards it is needed, so that others can rebuild them.
    private: a new repository of the Hub is private.
    """

    has_rights: bool = False
    manifest: str | None = None
    private: bool = False

    def __post_init__(self) -> None:
        if not self.has_rights and self.manifest is None:
            raise UsageError(
                "push: give --manifest, the manifest that the dataset was built from, to send tables and manifest, from which others rebuild "
                f"the clips; or --i-have-the-rights to send the shards. The card says: {NOTICE}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PushStep:
    """What happens to one file at the address."""

    action: Action
    name: str
    num_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PushPlan:
    """What `push` does, in this order; what is deleted was part of an earlier version of the dataset.

    Args:
        notes: what the user should know, one line each.
    """

    address: str
    steps: tuple[PushStep, ...]
    has_shards: bool
    num_clips: int
    notes: tuple[str, ...]

    @property
    def num_bytes_to_send(self) -> int:
        return sum(step.num_bytes for step in self.steps if step.action == "send")


def plan_push(dataset: Path, address: str, options: PushOptions) -> PushPlan:
    """What `push` would do; the dataset is verified, and nothing is sent. Raises as `push`."""
    place = target(address, private=options.private)
    return _plan(_content(dataset, options), place)


def push(dataset: Path, address: str, options: PushOptions, *, on_progress: OnProgress | None = None) -> PushPlan:
    """Verify a dataset and send it to ``s3://bucket/folder`` or ``hf://datasets/user/name``.

    Args:
        on_progress: called with ("push", bytes sent, bytes to send).

    Returns:
        What was done.

    Raises:
        DatasetError: `dataset` is not a finished dataset, or `verify` finds faults; nothing is sent then.
        InputError, ManifestError: see `phonics_data.push.content`; or the address has the shards of an earlier push that are not sent now.
        OptionError: the address has another form.
        RemoteError: the address refused it or cannot be reached; the same call continues.
        DependencyError: the package of the address is not installed.
    """
    place = target(address, private=options.private)
    content = _content(dataset, options)
    plan = _plan(content, place)
    to_send = {step.name: step.num_bytes for step in plan.steps if step.action == "send"}
    delete = [step.name for step in plan.steps if step.action == "delete"]
    if not to_send and not delete:
        return plan
    total, done = plan.num_bytes_to_send, 0

    def on_file(name: str) -> None:
        nonlocal done
        done += to_send[name]
        if on_progress:
            on_progress("push", done, total)

    if on_progress:
        on_progress("push", 0, total)
    place.send([file for file in content.files if file.name in to_send], delete=delete, on_file=on_file)
    names = set(place.names())
    if lost := [file.name for file in content.files if file.name not in names or place.state(file) != "same"]:
        raise RemoteError(
            f"{place.address}: {', '.join(lost[:5])} did not arrive with the same size and hash; is another process writing there? Run the same "
            "command again"
        )
    return plan


def _content(dataset: Path, options: PushOptions) -> Content:
    if is_address(dataset):
        raise OptionError("DATASET", str(dataset), "a dataset folder on this machine")
    if faults := verify(dataset).faults:
        raise DatasetError(
            f"{dataset}: {len(faults)} faults, first: {faults[0]}; nothing was sent; `phonics-data verify {dataset} --repair --work WORK` "
            "repairs them"
        )
    if options.has_rights:
        return whole_dataset(dataset, options.manifest)
    assert options.manifest is not None  # checked by PushOptions
    return tables_only(dataset, options.manifest)


def _plan(content: Content, place: Target) -> PushPlan:
    there, wanted = set(place.names()), {file.name for file in content.files}
    shards = sorted(name for name in there if SHARD_NAME.fullmatch(name))
    if shards and not content.has_shards:
        raise InputError(
            f"{place.address}: has {len(shards)} shards of an earlier push, such as {shards[0]}, and without --i-have-the-rights only tables are "
            "sent; delete them there first, or choose another address"
        )
    steps = [
        PushStep(
            action="same" if file.name in there and place.state(file) == "same" else "send",
            name=file.name,
            num_bytes=file.num_bytes,
        )
        for file in content.files
    ]
    stale = sorted(name for name in there - wanted if name in (*TABLES, MANIFEST) or SHARD_NAME.fullmatch(name))
    if any(step.action == "send" for step in steps) or stale:
        # The description is sent again, last, as the mark of a whole dataset.
        steps[-1] = _sent_again(content.files[-1])
    steps += [PushStep(action="delete", name=name, num_bytes=0) for name in stale]
    return PushPlan(
        address=place.address,
        steps=tuple(steps),
        has_shards=content.has_shards,
        num_clips=content.num_clips,
        notes=content.notes,
    )


def _sent_again(description: SentFile) -> PushStep:
    assert description.name == DESCRIPTION
    return PushStep(action="send", name=DESCRIPTION, num_bytes=description.num_bytes)
