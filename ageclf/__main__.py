"""`python -m ageclf …`: the command line of the Makefile."""

import argparse
import signal
import sys
from pathlib import Path

import ageclf

try:
    from ageclf.workflow import execute
except ModuleNotFoundError as error:
    sys.exit(f"error: {sys.executable} has no {error.name}; use make, or `source .venv/bin/activate` after it")
except KeyboardInterrupt:
    sys.exit(130)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ageclf", description=ageclf.__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="execute the notebooks of a run and make its pages")
    report.add_argument("--run", help="name of a file in runs/; default: sample without a data set, else best")
    report.set_defaults(profile=None, keep_networks=False)
    sweep = commands.add_parser("sweep", help="execute all configurations of a sweep, and compare them")
    sweep.add_argument("--profile", help="folder of a Snakemake profile, to run on a cluster: profiles/slurm")
    sweep.add_argument("--keep-networks", action="store_true", help="keep each configuration's network in its folder")
    plan = commands.add_parser("sweep-plan", help="list the configurations of a sweep, done or to do, with their times")
    for command in (sweep, plan):
        command.add_argument("--run", default="", help="name of a file in runs/ with a grid")
    for command in (report, sweep, plan):
        command.add_argument("--data", help="file or folder of faces, or sample; default: that of the run file")
    command = commands.add_parser("clean-training", help="remove the state and the checkpoint of a run's training")
    command.add_argument("--run", required=True, help="name of the run; lab is that of a notebook run by hand")
    command = commands.add_parser("export", help="write a run's network for other programs, under checkpoint/")
    command.add_argument("--run", required=True, help="name of the run, or of a shipped checkpoint: ckpt-…")
    command.add_argument("--format", default="savedmodel", help=f"one of {', '.join(ageclf.EXPORTS)}")
    command = commands.add_parser("predict", help="predict the age groups of the faces in photos")
    command.add_argument("photos", nargs="+", metavar="PHOTO", help="a picture, or a folder of pictures")
    command.add_argument("--run", default="best", help="name of the run whose checkpoint predicts, or the shipped one")
    command.add_argument("--checkpoint", default="auto", help="a .keras or old .h5 file instead")
    command.add_argument("--cropped", action="store_true", help="the pictures are faces already, cropped as UTKFace's")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.add_argument("--save", metavar="FOLDER", help="write each photo there, with its boxes, points and answers")
    commands.add_parser("clean-reports", help="remove what runs wrote under reports/")
    arguments = parser.parse_args()
    try:
        if arguments.command in ("report", "sweep"):
            return report_or_sweep(arguments)
        if arguments.command == "predict":
            return predict(arguments)
        if arguments.command == "sweep-plan":
            print(*map(ageclf.printable, execute.plan_sweep(arguments.run, arguments.data)), sep="\n")
        elif arguments.command == "clean-training":
            print("removed:", *execute.clean_training(arguments.run), sep="\n  ")
        elif arguments.command == "export":
            print(f"The network is in {export(arguments.run, arguments.format)}; docs/export.md shows how to use it")
        else:
            execute.clean_reports()
    except (ValueError, OSError) as error:
        print(ageclf.printable(f"error: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what is done is kept, and the same command resumes from there", file=sys.stderr)
        return 130
    return 0


def report_or_sweep(arguments: argparse.Namespace) -> int:
    options = arguments.command == "sweep", arguments.profile, arguments.keep_networks
    folder, failures = execute.make_report(arguments.run, arguments.data, *options)
    for failure in failures:
        print(ageclf.printable("error: {notebook} failed in cell {cell}: {error}".format(**failure)), file=sys.stderr)
        print(ageclf.printable(f"       as far as it got: {folder / failure['file']}"), file=sys.stderr)
    print(ageclf.printable(f"The report of {folder.name} is in {folder}; start at {folder.parent / 'index.html'}"))
    return 1 if failures else 0


def export(name: str, form: str) -> Path:
    if form not in ageclf.EXPORTS:
        raise ValueError(f"no format {form!r}; make export FORMAT=name takes {', '.join(ageclf.EXPORTS)}")
    folder = ageclf.ROOT / "checkpoint"
    found = {path.stem: path for path in sorted(folder.glob("[!.]*")) if path.suffix in ageclf.NETWORKS}
    if name not in found:
        names = ", ".join(found) or "nothing yet: run 04_training first"
        raise FileNotFoundError(f"no checkpoint of a run {name!r}; make export RUN=name takes {names}")
    from ageclf.network.export import export_network

    return export_network(found[name], form)


def predict(arguments: argparse.Namespace) -> int:
    from ageclf.display import tables

    options = arguments.run, arguments.checkpoint, arguments.cropped, arguments.save
    faces, problems, network = ageclf.predict(arguments.photos, *options)
    path = network["path"]
    print(tables.network_text(path, network), file=sys.stderr)
    sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal writes every name
    table = tables.photos_frame(faces).to_string(index=False) if len(faces) else "no faces"
    print(tables.photos_json(faces, problems, path, network) if arguments.json else table)
    for problem in problems.itertuples():
        print(f"{problem.photo}: {problem.reason}", file=sys.stderr)
    return 1 if len(problems) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end like any program when `head` has read enough
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores one of them
            signal.signal(number, signal.default_int_handler)  # as Ctrl-C
    sys.exit(main())
