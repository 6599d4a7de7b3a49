"""The notebook of examples/ runs from its first cell to its last, and shows what its text says."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import av
import pytest

from tests.test_install import DISTRIBUTIONS, declared

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "tour.ipynb"
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra dev)")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra dev)")
pytest.importorskip("ipykernel", reason="ipykernel is not installed (extra dev)")


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def execute(notebook: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "CSSGAN_CACHE"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTEBOOK.parents[1]), os.environ.get("PYTHONPATH", "")]))
    client = nbclient.NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"NUM_SONGS": 1, "NUM_STEPS": 2}, id="shortened"),
        pytest.param({}, id="as it is", marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("default")  # of the client's own dependencies
def test_the_notebook_runs(parameters: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = read()
    (first,) = [cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", ())]
    for name, value in parameters.items():
        first.source, count = re.subn(rf"^{name} = \d+", f"{name} = {value}", first.source, flags=re.MULTILINE)
        assert count == 1
    execute(notebook, tmp_path, monkeypatch)

    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    shown = Counter(kind for output in outputs for kind in output.get("data", {}))
    assert shown["image/png"] >= 2  # contact sheet and timeline
    html = "".join(output["data"].get("text/html", "") for output in outputs if "data" in output)
    assert html.count("data:video/mp4;base64,") == 3  # a song, the real clip, the generated one
    assert html.count("data:audio/wav;base64,") == 1
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    songs = {"NUM_SONGS": 2, **parameters}["NUM_SONGS"] + 1
    assert f"fetch: kept {songs} of {songs}, rejected {{}}" in printed
    frames = re.search(r'"[A-Z] is for \w+": (\d+) frames at', printed)
    assert frames is not None
    with av.open(str(tmp_path / "tour" / "generated" / "generated.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == int(frames[1])


def test_the_notebook_is_stored_without_outputs() -> None:
    for cell in code_cells(read()):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_the_notebook_imports_what_its_first_cell_installs() -> None:
    notebook = read()
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', notebook.cells[0].source)
    modules: set[str] = set()
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    others = modules - sys.stdlib_module_names - {"phonics_data", "cssgan", "IPython"}
    assert {DISTRIBUTIONS.get(module, module) for module in others} <= declared() | declared(*extras.split(","))
