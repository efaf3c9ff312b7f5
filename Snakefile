# Which notebook needs what. `make report` and `make sweep` write reports/<run>/run.json and start Snakemake there;
# by hand: snakemake --snakefile Snakefile --directory reports/<run> --cores all --nolock

import contextlib
import sys
from pathlib import Path

import yaml

import ageclf
from ageclf.workflow.dependencies import COMPARISON, EVALUATION, TRAINING, after, modules, notebooks


configfile: "run.json"


# The checkout under a name without characters that Snakemake, papermill or bash would read as something else.
CHECKOUT = Path(".snakemake/checkout")
if CHECKOUT.resolve() != Path(workflow.basedir).resolve():
    CHECKOUT.parent.mkdir(exist_ok=True)
    CHECKOUT.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):  # jobs of a cluster start together
        CHECKOUT.symlink_to(workflow.basedir)

FURTHER_OUTPUTS = {EVALUATION: ["metrics.json", "predictions.parquet"]}

REPORTED = {EVALUATION, *config["notebooks"]}

# A run is executed in its own folder, each configuration of a sweep in a folder below it.
SWEEP = config["configurations"]
FOLDERS = [f"{name}/" for name in SWEEP] or [""]
PARAMETERS = {"": config["parameters"]} | {f"{name}/": SWEEP[name]["parameters"] for name in SWEEP}
# The network of a configuration goes when nothing needs it any more. If something does again, it is trained again.
NETWORK = [f"network{ending}" for ending in (ageclf.NETWORK, ageclf.PROVENANCE) if SWEEP]
WITH_NETWORK = {key for one in SWEEP.values() for key, given in one["parameters"].items() if "checkpoint" in given}
# The comparison waits for no configuration that failed: it is executed last, and reads what is there.
FAILED = [str(path) for folder in FOLDERS for path in Path(folder, "failed").glob("*.ipynb")]
MEASURED = [
    f"{folder}{output}"
    for folder in FOLDERS
    for output in FURTHER_OUTPUTS[EVALUATION]
    if Path(folder, output).exists() and not Path(folder, "failed").exists()
]


wildcard_constraints:
    folder="([^/]+/)?",


def other_results(runs):
    """Results of other runs that a notebook shows: made anew, they make it out of date; it names missing ones."""
    return [file for run in runs for file in Path("..", run).glob("metrics.json")]


rule all:
    input:
        [f"{folder}{notebook}.ipynb" for folder in FOLDERS for notebook in config["notebooks"]],


# papermill writes to failed/, and only a notebook that ran to its end moves to the run's folder: what is left in
# failed/ is as far as a notebook got, and what its programs said, with their exit status in the last line unless they
# were killed all at once. Neither file is a `log:` (Snakemake would leave an empty one behind), and neither checkpoints
# nor training state are outputs (Snakemake deletes the outputs of a rule before it runs).
for notebook, source in notebooks(CHECKOUT).items():

    rule:
        name:
            notebook
        input:
            source=source,
            # A nicer figure is no reason to train again: neither in 04, nor for what needs a network that is gone.
            modules=modules(CHECKOUT, notebook, leave_out="display" if notebook in {TRAINING, *WITH_NETWORK} else ""),
            # A run that leaves the training out evaluates the network that is there: its own, or the shipped one.
            after=[f"{{folder}}{name}.ipynb" for name in after(CHECKOUT, notebook) if name in REPORTED],
            network=[f"{{folder}}{path}" for path in NETWORK if notebook in WITH_NETWORK],
            compared=[*MEASURED, *FAILED] if notebook == COMPARISON else [],
            others=other_results(config["parameters"].get(notebook, {}).get("other_runs", [])),
        output:
            notebook=f"{{folder}}{notebook}.ipynb",
            further=[f"{{folder}}{path}" for path in FURTHER_OUTPUTS.get(notebook, [])],
            network=[temp(f"{{folder}}{path}") for path in NETWORK if notebook == TRAINING],
        params:
            parameters=lambda wildcards, notebook=notebook: yaml.safe_dump(
                PARAMETERS[wildcards.folder][notebook], default_flow_style=True, width=10**6
            ),
            data=config["data"]["sha256"],
        priority: 1 if notebook == EVALUATION else 0  # a configuration is measured before the next one is trained
        threads: config["threads"] if notebook in (TRAINING, EVALUATION) else 1
        retries: 1  # kernels that start together sometimes race for a port
        shell:
            """
            name={wildcards.folder:q}{rule:q}
            failed={wildcards.folder:q}failed/{rule:q}
            export IPYTHONDIR="$PWD/.snakemake/ipython/$name"
            export TF_NUM_INTRAOP_THREADS=${{TF_NUM_INTRAOP_THREADS:-{threads}}}
            export TF_NUM_INTEROP_THREADS=${{TF_NUM_INTEROP_THREADS:-{threads}}}
            export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{threads}}}
            mkdir -p "$IPYTHONDIR" "$(dirname "$failed")"
            echo "$name started"
            exec 3>&2 2> "$failed.log"
            finish() {{
                cat "$failed.log" >&3
                if [ "$1" = 0 ]; then
                    rm "$failed.log"
                    echo "$name done in $SECONDS s"
                else
                    echo "exit status $1" >> "$failed.log"
                    echo "$name failed after $SECONDS s"
                fi
            }}
            trap 'finish $?' EXIT
            cp {input.source:q} "$failed.ipynb"  # to be found where papermill writes none
            {sys.executable:q} -P -m papermill {input.source:q} "$failed.ipynb" \
                --parameters_yaml {params.parameters:q} --no-progress-bar
            for output in {output.network:q}; do
                network="${{AGECLF_ROOT:-.snakemake/checkout}}/checkpoint/"{config[run]:q}
                mv "$network/$(dirname "$output").${{output##*.}}" "$output"
            done
            mv "$failed.ipynb" {output.notebook:q}
            """
