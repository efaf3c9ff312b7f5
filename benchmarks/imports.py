"""What an import costs: modules of the package, against a bare interpreter and `import tensorflow`, in turn."""

import statistics
import subprocess
import sys
import time

STATEMENTS = {
    "nothing": "pass",
    "ageclf": "import ageclf",
    "ageclf.faces.reading": "import ageclf.faces.reading",
    "ageclf.plots": "import ageclf.plots",
    "ageclf.runs": "import ageclf.runs",
    "ageclf.model": "import ageclf.model",
    "tensorflow": "import tensorflow",
}
REPETITIONS = 5


def seconds(statement: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    times = {name: [] for name in STATEMENTS}
    for _ in range(REPETITIONS):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    bare, heavy = (statistics.median(times[name]) for name in ("nothing", "tensorflow"))
    print("| import | seconds above a bare interpreter | spread | share of `import tensorflow` |\n|---|---|---|---|")
    for name, measured in times.items():
        above = statistics.median(measured) - bare
        spread = f"{min(measured) - bare:.2f}–{max(measured) - bare:.2f}"
        print(f"| {name} | {above:.2f} | {spread} | {above / (heavy - bare):.0%} |")


if __name__ == "__main__":
    main()
