"""Run pieces of code in processes of their own, in turns, and print their time and peak memory side by side."""

import json
import statistics
import subprocess
import sys

CHILD = """
import json, time
from pathlib import Path
{setup}
before = time.perf_counter()
{code}
seconds = time.perf_counter() - before
# Linux only. (ru_maxrss would not do: a child starts with the peak of its parent.)
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps([seconds, peak]))
"""


def compare(pieces: dict[str, tuple[str, str]], repetitions: int = 3) -> None:
    """Print a Markdown table for pieces {name: (untimed setup, timed code)}; ratios are to the last of them."""
    runs = {name: [] for name in pieces}
    for _ in range(repetitions):
        for name, (setup, code) in pieces.items():
            child = [sys.executable, "-c", CHILD.format(setup=setup, code=code)]
            runs[name].append(json.loads(subprocess.run(child, check=True, capture_output=True).stdout))
    baseline = [statistics.median(column) for column in zip(*runs[name], strict=True)]
    print("| | seconds, median (min–max) | of the baseline | peak MiB | of the baseline |\n|---|---|---|---|---|")
    for name, measured in runs.items():
        seconds, peaks = zip(*measured, strict=True)
        time, peak = statistics.median(seconds), statistics.median(peaks)
        print(
            f"| {name} | {time:.2f} ({min(seconds):.2f}–{max(seconds):.2f}) | {time / baseline[0]:.2f} "
            f"| {peak:.0f} | {peak / baseline[1]:.2f} |"
        )
