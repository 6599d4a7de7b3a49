"""Parts of a stage's items: several processes, on one machine or many, work on one workspace at the same time.

A part K/N has the items whose id hashes to K. N is a number of the user's and not of a scheduler, so that a part that is
submitted again alone has the same items.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from phonics_data.errors import OptionError

MAX_PARTS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Part `index` of `total`, counted from 1; as text ``3/8``."""

    index: int
    total: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part of the option ``--part``. Raises `OptionError`."""
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        part = cls(index=int(match[1]), total=int(match[2])) if match else cls(index=0, total=0)
        if not 1 <= part.index <= part.total <= MAX_PARTS:
            raise OptionError(
                "--part",
                text,
                f"K/N, two whole numbers with 1 <= K <= N <= {MAX_PARTS}, such as 3/8, the third of eight",
            )
        return part

    def has(self, item_id: str) -> bool:
        """Whether an item belongs to the part: by its id alone, equal on all machines."""
        digest = hashlib.sha256(item_id.encode()).digest()
        return int.from_bytes(digest[:8]) % self.total == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.total}"
