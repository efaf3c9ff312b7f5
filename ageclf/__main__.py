"""`python -m ageclf …`: the command line of the Makefile."""

import argparse
import signal
import sys
from pathlib import Path

import ageclf

try:
    from ageclf.display import model_card
    from ageclf.workflow import execute, pages
except ModuleNotFoundError as error:
    sys.exit(f"error: {sys.executable} has no {error.name}; use make, or `source .venv/bin/activate` after it")
except KeyboardInterrupt:  # the imports take seconds
    sys.exit(130)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ageclf", description=ageclf.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("report", help="execute the notebooks of a run and make its pages")
    command.add_argument("--run", help="name of a file in runs/; default: sample without a data set, else best")
    command.add_argument("--data", help="file or folder of faces, or sample; default: what the run file says")
    command = commands.add_parser("sweep", help="execute all points of a batch, and compare them")
    command.add_argument("--run", required=True, help="name of a file in runs/ with a grid")
    command.add_argument("--data", help="file or folder of faces, or sample; default: what the run file says")
    command.add_argument("--profile", help="folder of a Snakemake profile, to run on a cluster: profiles/slurm")
    command.add_argument("--keep-networks", action="store_true", help="keep network.keras in each point's folder")
    command = commands.add_parser("sweep-plan", help="list the points of a batch and say roughly how long they take")
    command.add_argument("--run", required=True, help="name of a file in runs/ with a grid")
    command.add_argument("--data", help="as for sweep")
    command = commands.add_parser("pages", help="make the pages of a run and the index again, executing nothing")
    command.add_argument("run", help="name of a folder in reports/")
    command = commands.add_parser("clean-training", help="remove the state and the checkpoint of a run's training")
    command.add_argument("--run", required=True, help="name of the run; lab is that of a notebook run by hand")
    command = commands.add_parser("export", help="write a run's network as a TensorFlow SavedModel, under checkpoint/")
    command.add_argument("--run", required=True, help="name of the run, or of a shipped checkpoint: ckpt-…")
    command = commands.add_parser("predict", help="tell the age groups of the faces in photos")
    command.add_argument("photos", nargs="+", metavar="PHOTO", help="a picture, or a folder of pictures")
    command.add_argument("--run", default="best", help="name of the run whose checkpoint answers, else the shipped one")
    command.add_argument("--checkpoint", default="auto", help="a .keras or old .h5 file instead")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    commands.add_parser("model-card", help="write the numbers of docs/best/metrics.json into MODEL_CARD.md")
    commands.add_parser("clean-reports", help="remove what runs wrote under reports/")
    arguments = parser.parse_args()
    try:
        if arguments.command == "report":
            return finish(*execute.make_report(arguments.run, arguments.data))
        if arguments.command == "sweep":
            if arguments.profile:  # jobs elsewhere print nothing here
                print(f"What goes on: {ageclf.ROOT / 'reports' / arguments.run / 'snakemake.log'}", flush=True)
            return finish(
                *execute.make_sweep(arguments.run, arguments.data, arguments.profile, arguments.keep_networks)
            )
        if arguments.command == "sweep-plan":
            print(*execute.plan_sweep(arguments.run, arguments.data), sep="\n")
        elif arguments.command == "pages":
            pages.write_pages(ageclf.ROOT / "reports" / arguments.run)
            pages.write_index(ageclf.ROOT / "reports")
        elif arguments.command == "clean-training":
            print("removed:", *execute.clean_training(arguments.run), sep="\n  ")
        elif arguments.command == "export":
            print(f"The SavedModel is in {export(arguments.run)}")
        elif arguments.command == "predict":
            return predict(arguments)
        elif arguments.command == "model-card":
            model_card.write_numbers()
        else:
            execute.clean_reports()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what is done is kept, and the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def finish(folder: Path, failures: list[dict[str, str]]) -> int:
    for failure in failures:
        print("error: {notebook} failed in cell {cell}: {error}".format(**failure), file=sys.stderr)
        print(f"       as far as it got: {folder / failure['file']}", file=sys.stderr)
    print(f"The report of {folder.name} is in {folder}; start at {folder.parent / 'index.html'}")
    return 1 if failures else 0


def export(name: str) -> Path:
    folder = ageclf.ROOT / "checkpoint"
    found = {path.stem: path for path in sorted(folder.glob("[!.]*")) if path.suffix in (".keras", ".h5")}
    if name not in found:
        known = ", ".join(found) or "nothing yet: run 04_training first"
        raise FileNotFoundError(f"no checkpoint of a run {name!r}; make export RUN=name takes {known}")
    from ageclf.network.checkpoints import export_saved_model

    export_saved_model(found[name], folder / f"{name}-savedmodel")
    return folder / f"{name}-savedmodel"


def predict(arguments: argparse.Namespace) -> int:
    from ageclf.faces import photos
    from ageclf.network import checkpoints, prediction

    named = arguments.checkpoint if arguments.checkpoint == "auto" else Path(arguments.checkpoint).absolute()
    path = checkpoints.find_checkpoint(named, arguments.run)
    model, known = checkpoints.load_checkpoint(path)
    if prediction.of_drawn_faces(known):
        print(f"warning: {path.name} was trained on drawn faces; what it says of photos means nothing", file=sys.stderr)
    table, problems = prediction.tell(photos.list_photos(arguments.photos), model, known)
    print(prediction.as_json(table, problems, path, known) if arguments.json else prediction.as_text(table))
    for problem in problems.itertuples():
        print(f"{problem.photo}: {problem.reason}", file=sys.stderr)
    return 1 if len(problems) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end like any program when `head` has read enough
    sys.exit(main())
