"""Where the seconds of a run on the sample go: all notebooks with papermill, one after the other.

The unit beside the seconds is what no notebook can avoid: a kernel that starts and imports TensorFlow.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def execute(source: Path, output: Path, root: Path, *parameters: str) -> float:
    """Execute a notebook in a root of its own and return the seconds that it took."""
    command = [sys.executable, "-m", "papermill", source, output, *parameters, "--no-progress-bar"]
    started = time.perf_counter()
    subprocess.run(command, env={**os.environ, "AGECLF_ROOT": str(root)}, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def unit(root: Path) -> float:
    """Return the seconds of a notebook that imports TensorFlow and does nothing else."""
    source = root / "unit.ipynb"
    cell = nbformat.v4.new_code_cell("import tensorflow")
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), source)
    return execute(source, root / "unit-out.ipynb", root)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plain = unit(root)
        print(f"A kernel that imports TensorFlow: {plain:.1f} s\n")
        print("| notebook | seconds | of that unit | imports | slowest other cell |\n|---|---|---|---|---|")
        total = 0.0
        for source in sorted(NOTEBOOKS.glob("*.ipynb")):
            seconds = execute(source, root / source.name, root, "-p", "data", "sample")
            total += seconds
            cells = [cell for cell in nbformat.read(root / source.name, as_version=4).cells if cell.cell_type == "code"]
            durations = {cell.id: cell.metadata.papermill.duration for cell in cells}
            imports = next(cell.id for cell in cells if cell.source.startswith(("import ", "from ")))
            slowest = max((name for name in durations if name != imports), key=durations.get)
            print(
                f"| {source.stem} | {seconds:.1f} | {seconds / plain:.1f} | {durations[imports]:.1f}"
                f" | {slowest}: {durations[slowest]:.1f} |"
            )
        print(f"| all | {total:.1f} | {total / plain:.1f} | | |")


if __name__ == "__main__":
    main()
