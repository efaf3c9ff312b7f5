# Which notebook needs what. `make report` and `make sweep` write reports/<run>/run.json and start Snakemake there;
# by hand: snakemake --snakefile Snakefile --directory reports/<run> --cores all --nolock

from pathlib import Path

import yaml


configfile: "run.json"


CHECKOUT = Path(workflow.basedir)

# The modules whose edit makes a notebook out of date. Training leaves out `plots`: a nicer curve is not worth an hour
# of training again.
FACES = "csv_table reading sample unpacking utkface"
NETWORK = "backend groups hdf5 old_hdf5 weights"
SLICES = "measures slices"
MEASURES = f"{SLICES} calibration evaluation splitting"
MODEL = "model targets"
TRAINING = f"{MODEL} averaging progress training"
LEAK = f"leak {TRAINING}"
MODULES = {
    "00_data_quality": f"{FACES} {NETWORK} {MEASURES} {LEAK} evaluation_plots images plots quality tables",
    "01_black_edges": f"{FACES} {NETWORK} images {MODEL} plots",
    "02_brightness": f"{FACES} {NETWORK} images {MODEL} plots splitting",
    "03_augmentation": f"{FACES} {NETWORK} {MODEL} panels plots",
    "04_training": f"{FACES} {NETWORK} {TRAINING} calibration images measures quality splitting",
    "05_evaluation": f"{FACES} {NETWORK} {MEASURES} {MODEL} baselines evaluation_plots images plots tables",
    "06_prediction": f"{FACES} {NETWORK} {MEASURES} {MODEL} images panels photo_plots photos plots",
    "07_calibration": f"{FACES} {MEASURES} evaluation_plots groups images plots tables",
    "08_slices": f"{FACES} {NETWORK} {MEASURES} {MODEL} evaluation_plots gradcam images plots tables",
    "09_robustness": f"{FACES} {NETWORK} {MEASURES} {MODEL} evaluation_plots images plots robustness tables",
    "10_groups": f"{FACES} {MEASURES} evaluation_plots groupings groups images plots tables",
    "11_comparison": f"{FACES} {MEASURES} comparison comparison_plots groups images paired plots report tables",
}
AFTER = {
    "05_evaluation": ["04_training.ipynb"],
    "06_prediction": ["04_training.ipynb"],
    "07_calibration": ["05_evaluation.ipynb"],
    "08_slices": ["05_evaluation.ipynb"],
    "09_robustness": ["05_evaluation.ipynb"],
    "10_groups": ["05_evaluation.ipynb"],
}
for notebook in set(config["notebooks"]) - MODULES.keys():
    raise WorkflowError(f"{notebook} has no line in MODULES of the Snakefile: name the modules that it uses there")
FURTHER_OUTPUTS = {"05_evaluation": ["metrics.json", "predictions.parquet"]}

# A run is executed in its own folder, each point of a batch in a folder below it.
PARAMETERS = {"": config["parameters"]}
PARAMETERS |= {f"{point}/": content["parameters"] for point, content in config.get("points", {}).items()}
FOLDERS = [folder for folder in PARAMETERS if folder] or [""]
# The network of a point goes when nothing needs it any more. When something needs it again, it is trained again.
BATCH = "points" in config
WITH_NETWORK = {notebook for given in PARAMETERS.values() for notebook in given if "checkpoint" in given[notebook]}
NETWORK_OF_POINT = ["network.keras", "network.json"] if BATCH else []
# For that reason a nicer table or figure is no reason to measure a point again.
SHOWN = {"evaluation_plots", "panels", "plots", "tables"} if BATCH else set()
# The comparison waits for no point that failed: it is executed when all others are done, and reads what is there.
FAILED = [str(path) for folder in FOLDERS for path in Path(folder, "failed").glob("*.ipynb")]
MEASURED = [
    f"{folder}{output}"
    for folder in FOLDERS
    for output in FURTHER_OUTPUTS["05_evaluation"]
    if Path(folder, output).exists() and not Path(folder, "failed").exists()
]


wildcard_constraints:
    folder="([^/]+/)?",


def other_results(runs):
    """Results of other runs that a notebook shows: made anew, they make it out of date; it says itself which lack."""
    return [file for run in runs for file in Path("..", run).glob("metrics.json")]


def trains(notebook):
    return notebook == "04_training" or bool(config["parameters"].get(notebook, {}).get("leak_epochs"))


rule all:
    input:
        [f"{folder}{notebook}.ipynb" for folder in FOLDERS for notebook in config["notebooks"]],


# papermill writes to failed/, and only a notebook that ran to its end moves to the run's folder: what is left in
# failed/ is as far as a notebook got. That file is no `log:` (Snakemake would leave an empty one behind), and neither
# checkpoints nor training state are outputs (Snakemake deletes the outputs of a rule before it runs).
for notebook, modules in MODULES.items():

    rule:
        name:
            notebook
        input:
            source=CHECKOUT / "notebooks" / f"{notebook}.ipynb",
            modules=[
                CHECKOUT / "ageclf" / f"{module}.py"
                for module in modules.split()
                if notebook not in WITH_NETWORK or module not in SHOWN
            ],
            after=[f"{{folder}}{path}" for path in AFTER.get(notebook, [])],
            network=[f"{{folder}}{path}" for path in NETWORK_OF_POINT if notebook in WITH_NETWORK],
            compared=[*MEASURED, *FAILED] if notebook == "11_comparison" else [],
            others=other_results(config["parameters"].get(notebook, {}).get("other_runs", [])),
        output:
            notebook=f"{{folder}}{notebook}.ipynb",
            further=[f"{{folder}}{path}" for path in FURTHER_OUTPUTS.get(notebook, [])],
            network=[temp(f"{{folder}}{path}") for path in NETWORK_OF_POINT if notebook == "04_training"],
        params:
            parameters=lambda wildcards, notebook=notebook: yaml.safe_dump(
                PARAMETERS[wildcards.folder][notebook], default_flow_style=True, width=10**6
            ),
            data=config["data"]["sha256"],
        priority: 1 if notebook == "05_evaluation" else 0  # a point is measured before the next one is trained
        threads: config["threads"] if trains(notebook) or notebook == "05_evaluation" else 1
        retries: 1  # kernels that start together sometimes race for a port
        shell:
            """
            export IPYTHONDIR="$PWD/.snakemake/ipython/{wildcards.folder}{rule}"
            export TF_NUM_INTRAOP_THREADS=${{TF_NUM_INTRAOP_THREADS:-{threads}}}
            export TF_NUM_INTEROP_THREADS=${{TF_NUM_INTEROP_THREADS:-{threads}}}
            export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{threads}}}
            mkdir -p "$IPYTHONDIR" {wildcards.folder}failed
            echo "{wildcards.folder}{rule} started"
            papermill {input.source:q} {wildcards.folder}failed/{rule}.ipynb \
                --parameters_yaml {params.parameters:q} --no-progress-bar ||
                {{ echo "{wildcards.folder}{rule} failed after $SECONDS s"; exit 1; }}
            for output in {output.network}; do
                mv "${{AGECLF_ROOT:-{CHECKOUT}}}/checkpoint/{config[run]}/$(dirname "$output").${{output##*.}}" "$output"
            done
            mv {wildcards.folder}failed/{rule}.ipynb {output.notebook}
            echo "{wildcards.folder}{rule} done in $SECONDS s"
            """
