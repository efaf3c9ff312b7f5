"""What runs on Linux is to run on macOS: nothing names what that lacks, and it runs without."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from tiny_checkout import ageclf_command, make_checkout, started, write_run

CHECKOUT = Path(__file__).parents[1]
MAKEFILE, SNAKEFILE = ((CHECKOUT / name).read_text(encoding="utf-8") for name in ("Makefile", "Snakefile"))
NEWER_MAKE = {  # than GNU make 3.81, which macOS has, by the news of its versions
    r"^\.(ONESHELL|SHELLFLAGS|EXTRA_PREREQS|NOTINTERMEDIATE|WAIT)\b": ".ONESHELL:",
    r"\$\((file|guile|let|intcmp) ": "$(file >list,$(names))",
    r"^\S+ *(!=|:::?=) ": "FILES != ls",
    r"^(undefine|private|load|define \w+ *[:?+]*=)": "undefine FILES",
    r"&:": "a b &: c",
}
NEWER_BASH = {  # than bash 3.2
    r"\b(declare|local) -\w*[Ang]": "declare -A runs",
    r"\b(mapfile|readarray|coproc)\b": "mapfile -t lines",
    r"\$\{\w+(@|,|\^)": '"${name@Q}"',
    r"&>>|\|&|;;&|;&": "make |& cat",
    r"\$EPOCH|\$\{?BASHPID|printf [^|;]*%\(": "echo $EPOCHSECONDS",
    r"\b(globstar|lastpipe|inherit_errexit)\b|wait -n": "shopt -s globstar",
}
GNU_ONLY = {  # of programs that POSIX describes: it gives none of them a long option
    r"\b(basename|cat|chmod|cp|cut|date|dirname|expand|find|grep|head|ln|ls|mkdir|mv|rm|sed|sort|tail|touch|tr|wc|xargs)"
    r" [^|;&\n]*(?<= )--\w": "expand --tabs 16",
    r"\b(readlink|realpath) -\w*[efm]|\b(seq|tac|nproc|timeout|setsid|sha256sum|md5sum|stdbuf|shuf)\b": "nproc",
    r"\bsed (-\w*[irz]|[^|;&\n]*\\[tn+|?swb])": r"sed 's/:/\t/'",
    r"\bgrep -\w*P|\bdate -\w*[dI]|\b(cp|mv|ln) -\w*[tT]|\bfind [^|;&\n]*-printf|\bsort -\w*V": "cp -t a b",
    r"\bmktemp(?! (-d )?\S*X)|\bstat -c|\bdu -\w*b|\bhead -n *-": "mktemp -p .",
}


def newer_or_gnu(text: str) -> list[str]:
    """Return what a Makefile, or a part of a shell script, has that macOS's make, bash or programs do not know."""
    patterns = NEWER_MAKE | NEWER_BASH | GNU_ONLY
    return [found[0] for pattern in patterns for found in re.finditer(pattern, text, re.MULTILINE)]


def shell(snakefile: str) -> str:
    """Return the shell commands of a Snakefile, as bash gets them."""
    return re.sub(r"(\{|\})\1", r"\1", "\n".join(re.findall(r'shell:\s+"""(.+?)"""', snakefile, re.DOTALL)))


def test_make_and_the_rules_need_nothing_newer_or_other_than_macos_has():
    assert "papermill" in shell(SNAKEFILE)
    assert newer_or_gnu(MAKEFILE) + newer_or_gnu(shell(SNAKEFILE)) == []


@pytest.mark.parametrize("line", [*NEWER_MAKE.values(), *NEWER_BASH.values(), *GNU_ONLY.values()])
def test_what_macos_does_not_know_is_seen(line):
    assert newer_or_gnu(f"{MAKEFILE}\n{line}\n") != []


@pytest.fixture(scope="module")
def linux_only(tmp_path_factory):
    """What mypy, which knows the standard library of each platform, says of macOS and not of Linux: by file."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("ageclf", "benchmarks", "docs"):
        for path in (CHECKOUT / name).rglob("*.py"):
            copy = folder / path.relative_to(CHECKOUT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for path in (CHECKOUT / "notebooks").glob("*.ipynb"):
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        (folder / f"_{path.stem}.py").write_text("\n".join(cells), encoding="utf-8")
    (folder / "foreign.py").write_text("import os\n\nprint(os.sched_getaffinity(0))\n")
    said = {}
    for platform in ("linux", "darwin"):
        command = [sys.executable, "-m", "mypy", "--platform", platform, "--check-untyped-defs"]
        command += ["--ignore-missing-imports", "--no-site-packages", "--explicit-package-bases", "--no-error-summary"]
        done = subprocess.run([*command, "."], cwd=folder, capture_output=True, text=True)
        assert not done.stderr
        said[platform] = set(done.stdout.splitlines())
    only = said["darwin"] - said["linux"]
    return {
        name: [line for line in only if line.startswith(f"{name}:")] for name in (one.split(":")[0] for one in only)
    }


def test_the_standard_library_of_macos_has_what_is_called_or_a_benchmark_says_that_it_is_for_linux(linux_only):
    (foreign,) = linux_only.pop("foreign.py")
    assert '"sched_getaffinity"' in foreign
    for name, said in linux_only.items():
        assert name.startswith("benchmarks/"), said
        assert "Linux only" in (CHECKOUT / name).read_text(encoding="utf-8"), said


def test_no_file_of_the_linux_kernel_is_read_but_by_a_benchmark_that_says_so():
    paths = [path for name in ("ageclf", "benchmarks", "docs") for path in (CHECKOUT / name).rglob("*.py")]
    paths += [CHECKOUT / "Makefile", CHECKOUT / "Snakefile", *(CHECKOUT / "notebooks").glob("*.ipynb")]
    read = [path for path in paths if re.search(r"/(proc|sys|dev/shm)\b/?", path.read_text(encoding="utf-8"))]
    assert {path.parent.name for path in read} == {"benchmarks"}
    assert all("Linux only" in path.read_text(encoding="utf-8") for path in read)


def test_a_report_is_made_where_python_knows_no_affinity(tmp_path, monkeypatch):
    """In every process: that of the command, Snakemake, papermill and the kernels."""
    taken = (
        "import os\n\nfor name in [name for name in vars(os) if name.startswith('sched_')]:\n    delattr(os, name)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(taken)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    asked = [sys.executable, "-c", "import os; print(hasattr(os, 'sched_getaffinity'))"]
    assert subprocess.run(asked, capture_output=True, text=True).stdout == "False\n"
    checkout = make_checkout(tmp_path / "checkout")
    write_run(checkout, "sample", {"notebooks": ["02_brightness"], "common": {"data": "sample"}})
    done = ageclf_command(checkout, "report")
    assert (done.returncode, started(done)) == (0, {"02_brightness"}), done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can be taken away on Linux alone")
def test_a_run_has_the_cores_that_were_left_to_it():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from ageclf.workflow import execute; print(execute.CORES)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"
