"""Label sets: class name <-> class index, in the same order for dataset, trainer and metrics."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from phonics_data.errors import DatasetError

MAX_CLASSES = 10_000


@dataclass(frozen=True, slots=True)
class LabelSet:
    """An ordered set of class names.

    Args:
        name: ``letters``, ``vidtimit``, or the name of a user's own set.
        names: class names; the position is the class index and the index of the 1 in the one-hot vector.
    """

    name: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise DatasetError(f"label set {self.name!r}: got no class names, allowed: one or more")
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise DatasetError(f"label set {self.name!r}: class names must differ, got twice: {', '.join(twice)}")

    @classmethod
    def from_json(cls, fields: object) -> LabelSet:
        """The label set of a file: an object with ``name`` and ``names``.

        Raises:
            ValueError: another value. DatasetError: no names, or a name twice.
        """
        values = cast("Mapping[str, object]", fields) if isinstance(fields, Mapping) else {}
        name, names = values.get("name"), values.get("names")
        listed = cast("list[object]", names) if isinstance(names, list) else []
        if not isinstance(name, str) or not all(isinstance(one, str) for one in listed) or len(listed) > MAX_CLASSES:
            raise ValueError(f"label_set: allowed: a name, and a list of at most {MAX_CLASSES:,} names of classes")
        return cls(name, tuple(cast("list[str]", listed)))

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Class index of `name`, 0..len-1. Raises `DatasetError` for an unknown name, listing the known ones."""
        try:
            return self.names.index(name)
        except ValueError:
            raise DatasetError(
                f"label {name!r} is not in label set {self.name!r}; allowed: {', '.join(self.names)}"
            ) from None


LETTERS = LabelSet("letters", tuple(string.ascii_uppercase))
"""The 26 classes of the Phonics dataset."""

VIDTIMIT = LabelSet(
    "vidtimit",
    tuple(
        "fadg0 faks0 fcft0 fcmh0 fcmr0 fcrh0 fdac1 fdms0 fdrd1 fedw0 felc0 fgjd0 fjas0 fjem0 fjre0 fjwb0 fkms0 fpkt0 "
        "fram1 mabw0 mbdg0 mbjk0 mccs0 mcem0 mdab0 mdbb0 mdld0 mgwt0 mjar0 mjsw0 mmdb1 mmdm2 mpdf0 mpgl0 mrcz0 mreb0 "
        "mrgg0 mrjo0 msjs1 mstk0 mtas1 mtmr0 mwbt0".split()
    ),
)
"""The 43 speakers of VidTIMIT."""

KNOWN: dict[str, LabelSet] = {labels.name: labels for labels in (LETTERS, VIDTIMIT)}


def label_set(name: str, names_found: Iterable[str]) -> LabelSet:
    """The label set `name` of a dataset whose samples have the labels `names_found`.

    * `KNOWN` sets are complete: a dataset without any Q still has 26 classes.
    * Other sets consist of the names found, sorted.

    Raises:
        DatasetError: a known set lacks a name that was found.
    """
    found = sorted(set(names_found))
    known = KNOWN.get(name)
    if known is None:
        return LabelSet(name, tuple(found))
    for label in found:
        known.index(label)
    return known
