"""Tables that people read: of measures with their 95 % intervals, and of anything else. Shares are in per cent,
differences of shares in percentage points.
"""

import json
from html import escape
from pathlib import Path

import pandas as pd
from IPython.display import HTML

import ageclf
from ageclf.metrics.evaluation import SHARES

LABELS = {"ordinal_mae": "ordinal MAE (groups)", "mae_years": "MAE (years)", "brier_score": "Brier score"}


def table(frame: pd.DataFrame, caption: str, digits: int = 1) -> HTML:
    """Lay out a frame for a notebook: every table has this look. Without rows it is one line that says so.

    Whole numbers have thousands separators, other numbers some digits; what is missing is a dash. An index is shown
    unless it only counts, and its name stands in the header, not in a line below it. No part of the HTML is random:
    a cell that is executed again gives the same.
    """
    if frame.empty:
        return HTML(f"<p>{escape(caption)}: none.</p>")
    shown = frame.map(lambda x: x if isinstance(x, str) else plain(x, 0 if pd.api.types.is_integer(x) else digits))
    named = shown.rename_axis(index=None, columns=lambda name: name or frame.index.name)
    html = named.to_html(border=0, index=not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None)
    return HTML(html.replace(">", f"><caption>{escape(caption)}</caption>", 1))


def label(name: str, unit: bool = False) -> str:
    """Write the name of a measure, baseline or group of columns as people do, on request with (%) behind a share."""
    return LABELS.get(name, name.replace("_", " ").replace("f1", "F1")) + (" (%)" if unit and name in SHARES else "")


def plain(value: float | None, digits: int | None = None) -> str:
    """Write a share in per cent, as `70.5`, or another number with some digits; a dash for None and NaN."""
    if value is None or pd.isna(value):
        return "–"
    return (f"{100 * value:.1f}" if digits is None else f"{value:,.{digits}f}").replace("-", "−")


def with_interval(row: dict | None, digits: int | None = None, prefix: str = "", unit: str = "%") -> str:
    """Write a share as `70.5 % (68.9–72.1)`, another measure as `0.52 (0.48–0.56)`, one that is undefined as a dash.

    `row` holds its value, low and high under keys with the prefix, as `bootstrap.interval` gives them. The unit of a
    difference of shares is `points`.
    """
    value, low, high = (plain((row or {}).get(f"{prefix}{key}"), digits) for key in ("value", "low", "high"))
    bounds = f"{low} to {high}" if "−" in low + high else f"{low}–{high}"
    return value if value == "–" else f"{value}{f' {unit}' if digits is None else ''} ({bounds})"


def digits_of(measure: str, otherwise: int | None) -> int | None:
    """Return the `digits` that a measure is written with: None for a share."""
    return None if measure in SHARES else otherwise


def measures_frame(results: dict) -> pd.DataFrame:
    """Lay out the measures of `metrics.json` beside those of the baselines."""
    return intervals_frame({"network": results["measures"], **results["baselines"]}, 2).rename(columns=label)


def per_group_frame(results: dict) -> pd.DataFrame:
    """Lay out precision, recall and F1 of each group."""
    rows = pd.DataFrame(results["per_group"]).set_index("group").rename(columns={"n": "faces"})
    return rows[["faces"]].join(rows[["precision", "recall", "f1"]].map(with_interval)).rename(columns=label)


def intervals_frame(measured: dict[str, dict], digits: int | None = None) -> pd.DataFrame:
    """Lay out measures by name that several things have, as `calibration.calibration` or a function of `groupings`
    returns them: a row for each measure of the first thing, and a column for each thing."""
    written = {}
    for name in next(iter(measured.values())):
        look = {"digits": digits_of(name, digits), "unit": "points" if name == "gain" else "%"}
        written[label(name)] = [with_interval(row.get(name), **look) for row in measured.values()]
    return pd.DataFrame(written, index=list(measured)).T


def slices_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Lay out a `slices.slice_frame`: accuracy, and gap to all other faces."""
    table = {"faces": frame["n"], "accuracy": intervals(frame), "gap to all others": intervals(frame, "gap_")}
    table["ranked"] = frame["ranked"].map({True: "yes", False: "too few"})
    return pd.DataFrame(table).set_axis(frame["slice"])


def intervals(frame: pd.DataFrame, prefix: str = "") -> list[str]:
    """Write accuracy, or a difference from it that has a prefix, with its interval, a row each."""
    return [with_interval(row, prefix=prefix, unit="points" if prefix else "%") for row in frame.to_dict("records")]


def states_frame(configurations: list[dict]) -> pd.DataFrame:
    """Lay out the state of each configuration of a `comparison.Sweep`: a row a setting, a column a seed."""
    columns = ["state" if row["seed"] is None else f"seed {row['seed']}" for row in configurations]
    frame = pd.DataFrame(configurations).assign(column=columns)
    states = frame.pivot_table("state", "setting", "column", aggfunc="first", sort=False)
    return states.fillna("–").rename_axis(columns=None)


def configurations_frame(compared: dict) -> pd.DataFrame:
    """Lay out the configurations of `comparison.compare` that have measures: first the one compared by."""
    measure, rows = compared["measure"], [row for row in compared["configurations"] if row["measures"]]
    table = {"setting": [row["setting"] for row in rows], "seed": [row["seed"] or "–" for row in rows]}
    table[label(measure)] = [with_interval(row["measures"][measure], digits_of(measure, 2)) for row in rows]
    for name in (*(name for name in SHARES if name != measure), "log_loss", "calibration_error"):
        table[label(name, unit=True)] = [plain(row["measures"][name]["value"], digits_of(name, 3)) for row in rows]
    table["epoch kept"] = [f"{row['best_epoch']} of {row['epochs']}" if row["epochs"] else "–" for row in rows]
    return pd.DataFrame(table).set_index("setting").rename_axis(None)


def settings_frame(compared: dict) -> pd.DataFrame:
    """Lay out the settings of `comparison.compare`: mean and standard deviation over seeds."""
    measure, rows = compared["measure"], compared["settings"]
    spreads = [" ± ".join(plain(row[key], digits_of(measure, 3)) for key in ("mean", "sd")) for row in rows]
    table = {f"{label(measure, unit=True)}, mean ± sd": spreads, "seeds": [len(row["seeds"]) for row in rows]}
    return pd.DataFrame(table, index=[row["setting"] for row in rows])


def differences_frame(compared: dict) -> pd.DataFrame:
    """Lay out the differences of `comparison.compare`, with p-values; shares are in percentage points."""
    measure, rows = compared["measure"], compared["differences"]
    pairs = [", ".join(map("{} : {}".format, row["gained"], row["lost"])) or "–" for row in rows]
    table = {
        "difference": [with_interval(row, digits_of(measure, 2), unit="points") for row in rows],
        "sd over seeds": [plain(row["sd"], digits_of(measure, 3)) for row in rows],
        "seeds": [len(row["seeds"]) for row in rows],
        "right only here : in baseline": pairs,
        "p by seed": [", ".join(map(_p_value, row["p_by_seed"])) or "–" for row in rows],
        "p": [_p_value(row["p"]) for row in rows],
        "p (Holm)": [_p_value(row["p_holm"]) for row in rows],
    }
    return pd.DataFrame(table, index=[row["setting"] for row in rows])


def _p_value(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def network_text(path: Path, metadata: dict, synthetic: bool = False) -> str:
    """Name a checkpoint, its run and its data; and say so where the faces at hand, `synthetic` or not, are others."""
    data, other = metadata.get("data") or {}, ("synthetic", "real")[synthetic]
    text = f"network {path.name}, run {metadata.get('run')}, trained on {data.get('name', 'unknown data')}"
    apart = f"\nwarning: it was trained on {other} faces, and these are not {other}: its predictions mean nothing"
    return ageclf.printable(text) + apart * (data.get("synthetic", synthetic) != synthetic)


def photos_frame(predictions: pd.DataFrame) -> pd.DataFrame:
    """Lay out `calibration.predictions_of_photos`; turn and doubts only where there are any."""
    shown = predictions[["photo", "face", "group"]].assign(confidence=predictions["confidence"].map("{:.0%}".format))
    flags = {True: "yes", False: "not sure", None: "threshold not known"}
    shown["above threshold"] = predictions["above_threshold"].map(flags)
    shown["second guess"] = predictions["second"]
    told = [column for column in ("turn", "doubts") if predictions[column].any()]
    return shown.join(predictions[told])


def photos_json(predictions: pd.DataFrame, problems: pd.DataFrame, checkpoint: str | Path, metadata: dict) -> str:
    """Write `calibration.predictions_of_photos`, and the problems of `photos.read_faces`, as JSON for programs."""
    probabilities = predictions.filter(regex=r"^p_\d+$").round(6).set_axis(metadata["groups"], axis=1)
    faces = predictions[["photo", "face", "group", "above_threshold", "points", "turn", "doubts"]].assign(
        box=predictions[["x", "y", "width", "height"]].to_numpy().tolist(),
        confidence=predictions["confidence"].round(6),
        probabilities=probabilities.to_dict("records"),
    )
    content = {
        "schema": ageclf.SCHEMA,
        "checkpoint": Path(checkpoint).name,
        "synthetic": bool((metadata.get("data") or {}).get("synthetic")),  # an old file does not say
        "threshold": metadata.get("threshold"),
        "faces": faces.to_dict("records"),
        "problems": problems.to_dict("records"),
    }
    return json.dumps(content, indent=1)  # ASCII, which any pipe takes
