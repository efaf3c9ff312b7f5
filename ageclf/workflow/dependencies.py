"""What a notebook depends on, read from its own imports: modules of the package, and notebooks that come before it."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

# The three that the order of things hangs on: they write a checkpoint, the predictions, and the comparison of a sweep.
TRAINING, EVALUATION, COMPARISON = "04_training", "05_evaluation", "11_comparison"


def notebooks(checkout: Path) -> dict[str, Path]:
    """Return the numbered notebooks of a checkout by name, in order.

    JupyterLab's own names, Untitled.ipynb and 01_black_edges-Copy1.ipynb, are not of the project.
    """
    paths = sorted((checkout / "notebooks").glob("*.ipynb"))
    return {path.stem: path for path in paths if re.fullmatch(r"\d\d_\w+", path.stem)}


def modules(checkout: Path, notebook: str, leave_out: str = "") -> list[Path]:
    """Return the modules of the package that a notebook imports, directly or through others.

    An edit of one makes the notebook out of date. Modules in the folder `leave_out` do not count, nor what only they
    import.
    """
    found: set[Path] = set()
    new = _imported(checkout, _source(checkout, notebook))
    while new := {path for path in new - found if path.parent.name != leave_out}:
        found |= new
        new = {one for path in new for one in _imported(checkout, path.read_text(encoding="utf-8"))}
    return sorted(found)


def after(checkout: Path, notebook: str) -> list[str]:
    """Return the notebook whose results a notebook reads, in a list; an empty one when it reads none."""
    names = {name.rpartition(".")[2] for name in _names(_source(checkout, notebook))}
    return [EVALUATION] if "read_results" in names else [TRAINING] if "find_checkpoint" in names else []


def _source(checkout: Path, notebook: str) -> str:
    content = json.loads(notebooks(checkout)[notebook].read_text(encoding="utf-8"))
    return "\n".join("".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code")


def _imported(checkout: Path, source: str) -> set[Path]:
    paths = (checkout / f"{name.replace('.', '/')}.py" for name in _names(source))
    return {path for path in paths if path.exists()}


def _names(source: str) -> Iterator[str]:
    """Yield the dotted name of everything that a source imports from the package: modules, and what is in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ageclf":
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
