"""Run pieces of code in turns, in processes of their own where that matters, and print what they took as tables.

Linux only: its /proc tells what a process took, and it drops a file from its page cache when it is asked to.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

CHILD = """
import json, time
from pathlib import Path
{setup}
before = time.perf_counter()
{code}
seconds = time.perf_counter() - before
# (ru_maxrss would not do: a child starts with the peak of its parent.)
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps([seconds, peak]))
"""


def measure(setup: str, code: str) -> tuple[float, float]:
    """Run code in a process of its own, beside this file; return its seconds, without the setup's, and its peak MiB."""
    child = [sys.executable, "-c", CHILD.format(setup=setup, code=code)]
    done = subprocess.run(child, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parent)
    return tuple(json.loads(done.stdout))


def alone(function: Callable, *arguments):
    """Call a function of a module in a fresh process and return what it returns."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def seconds(function: Callable, *arguments) -> float:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def in_turns(pieces: dict[str, Callable], repetitions: int) -> dict[str, list]:
    """Call each piece once, then each once more, and so on; return what each returned every time."""
    runs = {name: [] for name in pieces}
    for _ in range(repetitions):
        for name, piece in pieces.items():
            runs[name].append(piece())
    return runs


def compare(pieces: dict[str, tuple[str, str]], repetitions: int = 3) -> None:
    """Print a table for pieces {name: (untimed setup, timed code)}; ratios are to the last of them."""
    runs = in_turns({name: partial(measure, *piece) for name, piece in pieces.items()}, repetitions)
    columns = {name: list(zip(*measured, strict=True)) for name, measured in runs.items()}
    time_of, peak_of = ({name: statistics.median(columns[name][i]) for name in columns} for i in (0, 1))
    last = list(pieces)[-1]
    print_table(
        ["", "seconds, median (min–max)", "of the baseline", "peak MiB", "of the baseline"],
        [
            [
                name,
                spread(columns[name][0]),
                f"{time_of[name] / time_of[last]:.2f}",
                f"{peak_of[name]:.0f}",
                f"{peak_of[name] / peak_of[last]:.2f}",
            ]
            for name in pieces
        ],
    )


def spread(values: Sequence[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def print_table(header: list[str], rows: list[list]) -> None:
    """Print a Markdown table, and an empty line before and after it."""
    lines = [header, ["---"] * len(header), *rows]
    print("", *(f"| {' | '.join(map(str, line))} |" for line in lines), "", sep="\n", flush=True)


def evict(path: Path) -> None:
    """Ask Linux to drop a file from its page cache; `evicted` tells whether it does."""
    with path.open("rb") as file:
        os.fsync(file.fileno())  # pages that are not on the disk yet stay
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def evicted(path: Path) -> bool:
    """Evict a file, read it, and return whether it came from the disk, by the kernel's own count."""
    counts = []
    evict(path)
    try:
        for _ in range(2):
            counts.append(int(Path("/proc/self/io").read_text().split("\nread_bytes:")[1].split()[0]))
            with path.open("rb") as file:
                while file.read(2**20):
                    pass
    except OSError:  # the count is not for everybody to see
        return False
    return counts[-1] - counts[0] > 0.9 * path.stat().st_size
