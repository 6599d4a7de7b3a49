"""Packages that only some recognizers need."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from phonics_data.errors import DependencyError


@dataclass(frozen=True, kw_only=True, slots=True)
class OptionalPackage:
    """A package from one of this project's extras.

    Args:
        module: name to import, e.g. ``faster_whisper``.
        package: name to install, e.g. ``faster-whisper``.
        extra: the extra that contains it.
        option: the command line option that needs it.
    """

    module: str
    package: str
    extra: str
    option: str

    def is_installed(self) -> bool:
        """Whether the package is installed; does not import it."""
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:  # the parent package of a dotted name is missing
            return False

    def require(self) -> None:
        """Raises:
        DependencyError: the package is not installed; the message contains the command that installs it.
        """
        if not self.is_installed():
            raise DependencyError(
                f"{self.option} needs the package {self.package}, which is not installed; "
                f"run: pip install 'phonics-cssgan[{self.extra}]'"
            )
