"""Folders of runs, written here as `make report` leaves them."""

import json

import nbformat
from nbformat import v4

RUN = {
    "schema": 2,
    "run": "small",
    "data": {"name": "faces.csv.gz", "sha256": "0123456789abcdef" * 4, "synthetic": False, "rows": 20},
    "parameters": {"04_training": {}, "05_evaluation": {}},
    "commit": "abc1234-dirty",
    "versions": {"python": "3.12.1", "numpy": "2.4.6"},
    "started": "2026-01-02T10:00:00+00:00",
    "configurations": {},
}
MEASURE = {"value": 0.6488, "low": 0.6293, "high": 0.6668}
METRICS = {
    "schema": 2,
    "part": "test",
    "edges": [6, 19, 31, 46, 66],
    "n": 3021,
    "measures": {"accuracy": MEASURE},
    "baselines": {"most_frequent": {"group": "19-30", "accuracy": {"value": 0.3333, "low": 0.3, "high": 0.4}}},
}


def executed(path, cells, start="2026-01-02T10:00:05+00:00", duration=85.2, **parameters):
    """Write a notebook with the metadata that papermill gives one that it executed."""
    times = {"start_time": start, "end_time": "2026-01-02T10:01:30+00:00", "duration": duration}
    notebook = v4.new_notebook(cells=cells, metadata={"papermill": {"parameters": parameters, **times}})
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def write_run(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({**RUN, "run": folder.name, **changes}))
