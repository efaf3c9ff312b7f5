# Which notebook needs what. `make report` and `make sweep` write reports/<run>/run.json and start Snakemake there;
# by hand: snakemake --snakefile Snakefile --directory reports/<run> --cores all --nolock

import sys
from pathlib import Path

import yaml

import ageclf
from ageclf.workflow.dependencies import COMPARISON, EVALUATION, TRAINING, after, modules, notebooks


configfile: "run.json"


CHECKOUT = Path(workflow.basedir)

FURTHER_OUTPUTS = {EVALUATION: ["metrics.json", "predictions.parquet"]}

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
# failed/ is as far as a notebook got. That file is no `log:` (Snakemake would leave an empty one behind), and neither
# checkpoints nor training state are outputs (Snakemake deletes the outputs of a rule before it runs).
for notebook, source in notebooks(CHECKOUT).items():

    rule:
        name:
            notebook
        input:
            source=source,
            # A nicer figure is no reason to train again: neither in 04, nor for what needs a network that is gone.
            modules=modules(CHECKOUT, notebook, leave_out="display" if notebook in {TRAINING, *WITH_NETWORK} else ""),
            after=[f"{{folder}}{name}.ipynb" for name in after(CHECKOUT, notebook)],
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
            export IPYTHONDIR="$PWD/.snakemake/ipython/{wildcards.folder}{rule}"
            export TF_NUM_INTRAOP_THREADS=${{TF_NUM_INTRAOP_THREADS:-{threads}}}
            export TF_NUM_INTEROP_THREADS=${{TF_NUM_INTEROP_THREADS:-{threads}}}
            export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{threads}}}
            mkdir -p "$IPYTHONDIR" {wildcards.folder}failed
            echo "{wildcards.folder}{rule} started"
            {sys.executable:q} -P -m papermill {input.source:q} {wildcards.folder}failed/{rule}.ipynb \
                --parameters_yaml {params.parameters:q} --no-progress-bar ||
                {{ echo "{wildcards.folder}{rule} failed after $SECONDS s"; exit 1; }}
            for output in {output.network}; do
                mv "${{AGECLF_ROOT:-{CHECKOUT}}}/checkpoint/{config[run]}/$(dirname "$output").${{output##*.}}" "$output"
            done
            mv {wildcards.folder}failed/{rule}.ipynb {output.notebook}
            echo "{wildcards.folder}{rule} done in $SECONDS s"
            """
