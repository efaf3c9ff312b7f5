# Which notebook needs what. `make report` writes reports/<run>/run.json and starts Snakemake in that folder;
# by hand: snakemake --snakefile Snakefile --directory reports/<run> --cores all --nolock

from pathlib import Path

import yaml


configfile: "run.json"


CHECKOUT = Path(workflow.basedir)

# The modules whose edit makes a notebook out of date. Training leaves out `plots`: a nicer curve is not worth an hour
# of training again.
FACES = "csv_table reading sample unpacking utkface"
NETWORK = "backend groups old_hdf5 weights"
SLICES = "measures slices"
MEASURES = f"{SLICES} calibration evaluation splitting"
LEAK = "leak model progress training"
MODULES = {
    "00_data_quality": f"{FACES} {NETWORK} {MEASURES} {LEAK} evaluation_plots images plots quality tables",
    "01_black_edges": f"{FACES} {NETWORK} images model plots",
    "02_brightness": f"{FACES} {NETWORK} images model plots splitting",
    "03_augmentation": f"{FACES} {NETWORK} model plots",
    "04_training": f"{FACES} {NETWORK} calibration images measures model progress quality splitting training",
    "05_evaluation": f"{FACES} {NETWORK} {MEASURES} baselines evaluation_plots images plots tables",
    "06_prediction": f"{FACES} {NETWORK} {MEASURES} images plots",
    "07_calibration": f"{FACES} {MEASURES} evaluation_plots groups images plots tables",
    "08_slices": f"{FACES} {NETWORK} {MEASURES} evaluation_plots gradcam images plots tables",
    "09_robustness": f"{FACES} {NETWORK} {MEASURES} evaluation_plots images plots robustness tables",
    "10_groups": f"{FACES} {MEASURES} evaluation_plots groupings groups images plots tables",
}
AFTER = {
    "05_evaluation": ["04_training.ipynb"],
    "06_prediction": ["04_training.ipynb"],
    "07_calibration": ["05_evaluation.ipynb"],
    "08_slices": ["05_evaluation.ipynb"],
    "09_robustness": ["05_evaluation.ipynb"],
    "10_groups": ["05_evaluation.ipynb"],
}
FURTHER_OUTPUTS = {"05_evaluation": ["metrics.json", "predictions.parquet"]}


rule all:
    input:
        [f"{notebook}.ipynb" for notebook in MODULES],


# papermill writes to failed/, and only a notebook that ran to its end moves to the run's folder: what is left in
# failed/ is as far as a notebook got. That file is no `log:` (Snakemake would leave an empty one behind), and neither
# checkpoints nor training state are outputs (Snakemake deletes the outputs of a rule before it runs).
for notebook, modules in MODULES.items():

    rule:
        name:
            notebook
        input:
            source=CHECKOUT / "notebooks" / f"{notebook}.ipynb",
            modules=[CHECKOUT / "ageclf" / f"{module}.py" for module in modules.split()],
            after=AFTER.get(notebook, []),
        output:
            notebook=f"{notebook}.ipynb",
            further=FURTHER_OUTPUTS.get(notebook, []),
        params:
            parameters=yaml.safe_dump(config["parameters"][notebook], default_flow_style=True, width=10**6),
            data=config["data"]["sha256"],
        threads: workflow.cores if notebook == "04_training" or config["parameters"][notebook].get("leak_epochs") else 1
        retries: 1  # kernels that start together sometimes race for a port
        shell:
            """
            export IPYTHONDIR="$PWD/.snakemake/ipython/{rule}"
            mkdir -p "$IPYTHONDIR" failed
            echo "{rule} started"
            papermill {input.source:q} failed/{rule}.ipynb --parameters_yaml {params.parameters:q} --no-progress-bar ||
                {{ echo "{rule} failed after $SECONDS s"; exit 1; }}
            mv failed/{rule}.ipynb {output.notebook}
            echo "{rule} done in $SECONDS s"
            """
