"""A project with tiny notebooks, the real package and the real Snakefile, for tests of what runs them."""

import ast
import contextlib
import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
import time

import nbformat
import yaml
from nbformat import v4
from sample_runs import SINGLE_THREAD

from ageclf.workflow import dependencies, execute

PARAMETERS = 'data: str = "auto"  # faces\nrun: str = "lab"  # name\nseed: int = 0  # order'
AT_WORK = {  # of the notebooks that do something: further parameters, and what it is
    "01_black_edges": ('on_bad_rows: str = "raise"  # or "drop"', ""),
    "02_brightness": (
        "groups: list = [6]  # edges\nshare: float = 0.5  # of the faces\nbad: bool = False  # raises an error",
        "assert not bad",
    ),
    "04_training": (
        "split_seed: int = 0  # parts\nepochs: int = 2  # of training\nema_momentum: float = 0.0  # of the average\n"
        "bad: bool = False  # raises an error",
        "import os\nimport ageclf\nassert not bad\npath = ageclf.resolve(f'checkpoint/{run}.keras')\n"
        "path.parent.mkdir(parents=True, exist_ok=True)\npath.touch()\n"
        "path.with_suffix('.json').write_text(os.environ['TF_NUM_INTRAOP_THREADS'])",
    ),
    "05_evaluation": (
        'part: str = "val"  # of the faces\ncheckpoint: str = "auto"  # a file',
        "import ageclf\nfolder = ageclf.resolve(f'reports/{run}')\n"
        "assert checkpoint == 'auto' or ageclf.resolve(checkpoint).exists()\n"
        "(folder / 'metrics.json').write_text('null')\n(folder / 'predictions.parquet').touch()",
    ),
    "06_prediction": ("interactive: bool = True  # sliders", ""),
}
NOTEBOOKS = list(dependencies.notebooks(execute.CHECKOUT))


def make_checkout(folder):
    """Write a project with tiny notebooks, the real package and the real Snakefile; return its folder."""
    root = execute.CHECKOUT
    shutil.copytree(root / "ageclf", folder / "ageclf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "Snakefile", folder)
    (folder / "runs").mkdir()
    (folder / "notebooks").mkdir()
    shutil.copy(root / "notebooks" / "parameters.yaml", folder / "notebooks")
    for name, path in dependencies.notebooks(root).items():
        parameters, code = AT_WORK.get(name, ("", ""))
        first = v4.new_code_cell(f"{PARAMETERS}\n{parameters}", metadata={"tags": ["parameters"]}, id="settings")
        work = v4.new_code_cell(f"{same_imports(path)}\n{code}", id="work")
        notebook = v4.new_notebook(cells=[v4.new_markdown_cell(f"# {name}", id="title"), first, work])
        notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
        nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
    write_run(folder, "sample", {"common": {"data": "sample"}})
    return folder


def same_imports(path):
    """Return what a real notebook imports from the package, so that a tiny one depends on the same; not executed."""
    code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    lines = [ast.unparse(node) for node in nodes if node.module.startswith("ageclf")]
    return "\n    ".join(["if False:", *lines])


def write_run(checkout, name, sections):
    (checkout / "runs" / f"{name}.yaml").write_text(yaml.safe_dump(sections, sort_keys=False))


def ageclf_command(checkout, *arguments):
    """Run `python -m ageclf` in a checkout, with that checkout's package."""
    command = [sys.executable, "-m", "ageclf", *arguments]
    return subprocess.run(command, cwd=checkout, env=environment(), capture_output=True, text=True)


def environment():
    """Return the environment of somebody who has set nothing: what is run has the machine's cores to share out."""
    chosen = {"AGECLF_ROOT", "AGECLF_DATA", *SINGLE_THREAD}
    return {key: value for key, value in os.environ.items() if key not in chosen}


def on_terminal(command, stream, **options):
    """Run a command whose `stdout` or `stderr`, the `stream`, is a terminal: exit status, and what was shown there."""
    reader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(command, **{stream: terminal}, **options)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while True:
            shown += os.read(reader, 4096)
    os.close(reader)
    return process.wait(), shown.decode()


def started(process):
    """Return what was executed: names of notebooks, in a sweep `configuration/notebook`."""
    return set(re.findall(r"^(\S+) started$", process.stdout, re.MULTILINE))


def out_of_date(folder):
    """Return what Snakemake would execute now, as `started` does."""
    return set(re.findall(r"^ +output: (\S+)\.ipynb", dry_run(folder.parents[1], folder), re.MULTILINE))


def dry_run(checkout, folder):
    command = [sys.executable, "-m", "snakemake", "--snakefile", checkout / "Snakefile", "--directory", folder]
    command += ["--dry-run", "--nolock", "--cores", "1"]
    done = subprocess.run(command, cwd=checkout, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
