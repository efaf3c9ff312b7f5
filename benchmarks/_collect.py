"""Run all benchmarks, or those named, and write their tables into a Markdown file: `make bench`.

python benchmarks/_collect.py FILE [--data CSV] [--only SCRIPT …]
"""

import argparse
import ast
import os
import platform
import subprocess
import sys
from pathlib import Path

import joblib

import ageclf

HERE = Path(__file__).parent


def describe_machine() -> str:
    """Return a sentence on processor, memory, versions and commit. Linux only."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    code = ageclf.code()
    versions = ", ".join(f"{name} {version}" for name, version in code["versions"].items())
    return f"{joblib.cpu_count()} cores of {name}, {memory:.0f} GiB; {versions}; commit {code['commit']}."


def section(script: Path, data: str | None) -> str:
    """Run a script, with the data set if its docstring says that it takes one; return heading, explanation, tables."""
    explained = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    heading, _, text = explained.partition("\n")
    given = [data] if data and "[CSV]" in explained else []
    done = subprocess.run([sys.executable, script, *given], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise ValueError(f"{script.name} ended with an error, see above; nothing was written")
    parts = [f"## {heading.rstrip('.')}", text.strip("\n"), done.stdout.strip()]
    return "\n\n".join(part for part in parts if part).replace("\n\n\n", "\n\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", nargs="+", type=Path, metavar="SCRIPT", help="default: all")
    parser.add_argument("--data", help="CSV file of faces; without it, the benchmarks draw faces")
    chosen = parser.parse_args()
    scripts = chosen.only or sorted(HERE.glob("[a-z]*.py"))
    parts = [
        "# Benchmarks",
        f"`make bench` wrote this file: ratios are to a baseline in the same run. {describe_machine()}",
    ]
    try:
        for script in scripts:
            parts.append(section(script, chosen.data))
            print(f"\n{parts[-1]}", flush=True)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    ageclf.write_text(chosen.file, "\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
