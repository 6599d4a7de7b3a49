"""Packages of the extra ``demo``: voice, pictures and fonts of rendered songs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from phonics_data.errors import DependencyError


def import_demo_package(module: str, package: str) -> ModuleType:
    """Import `module` of the distribution `package`.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise DependencyError(f"{package} is not installed: pip install 'phonics-cssgan[demo]'") from None


def demo_package_folder(module: str, package: str) -> Path:
    """The folder of an installed package; errors as in `import_demo_package`."""
    return Path(str(import_demo_package(module, package).__file__)).parent
