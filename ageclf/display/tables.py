"""Measures as tables that people read."""

import pandas as pd

from ageclf.metrics.evaluation import SHARES


def measures_frame(results: dict) -> pd.DataFrame:
    """Lay out the measures of `metrics.json` beside those of the baselines, with intervals; shares in per cent."""
    rows = {"network": results["measures"], **results["baselines"]}
    table = {
        name: [(percent if measure in SHARES else number)(row.get(measure)) for measure in results["measures"]]
        for name, row in rows.items()
    }
    return pd.DataFrame(table, index=[measure.replace("_", " ") for measure in results["measures"]])


def per_group_frame(results: dict) -> pd.DataFrame:
    """Lay out precision, recall and F1 of each group, in per cent with intervals."""
    rows = [
        {
            "group": row["group"],
            "faces": row["n"],
            **{name: percent(row[name]) for name in ("precision", "recall", "f1")},
        }
        for row in results["per_group"]
    ]
    return pd.DataFrame(rows).set_index("group")


def calibration_frame(measured: dict[str, dict]) -> pd.DataFrame:
    """Lay out the measures of `calibration.calibration` by name, with intervals."""
    table = {name: [number(value, 3) for value in row.values()] for name, row in measured.items()}
    return pd.DataFrame(table, index=[measure.replace("_", " ") for measure in next(iter(measured.values()))])


def slices_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Lay out a `slices.slice_frame`: accuracy and gap to all other faces in per cent, with intervals."""
    gaps = frame[["gap", "gap_low", "gap_high"]].set_axis(["value", "low", "high"], axis=1)
    table = {
        "faces": frame["n"],
        "accuracy": [percent(row) for row in frame.to_dict("records")],
        "gap to all others": [percent(row) for row in gaps.to_dict("records")],
        "ranked": frame["ranked"].map({True: "yes", False: "too few"}),
    }
    return pd.DataFrame(table).set_axis(frame["slice"])


def steps_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Lay out a `robustness.accuracy_frame`: accuracy and what was lost in per cent, with intervals."""
    lost = frame[["lost", "lost_low", "lost_high"]].set_axis(["value", "low", "high"], axis=1)
    table = {
        "accuracy": [percent(row) for row in frame.to_dict("records")],
        "lost": [percent(row) for row in lost.to_dict("records")],
        "black edge (%)": frame["black edge (%)"].astype(float).round(1),
    }
    return pd.DataFrame(table).set_axis(frame["step"])


def groupings_frame(measured: dict[str, dict]) -> pd.DataFrame:
    """Lay out `groupings.measure_groupings`: accuracy, majority baseline and gain in per cent, with intervals."""
    table = {name: [percent(value) for value in row.values()] for name, row in measured.items()}
    return pd.DataFrame.from_dict(table, orient="index", columns=["accuracy", "majority", "gain"])


def runs_frame(results: dict[str, tuple], measured: dict[str, dict]) -> pd.DataFrame:
    """Lay out `groupings.measure_runs` of some results: groups and faces of each run before its measures."""
    rows = [{"groups": " | ".join(metrics["groups"]), "faces": metrics["n"]} for _, metrics in results.values()]
    return pd.DataFrame(rows, index=list(results)).join(groupings_frame(measured))


def leak_frame(study: dict) -> pd.DataFrame:
    """Lay out the `splits` of `leak.measure`: faces, and accuracy in per cent with intervals, of each kind."""
    return pd.DataFrame(
        {
            (split, column): [row["n"] if column == "faces" else percent(row) for row in rows.values()]
            for split, rows in study["splits"].items()
            for column in ("faces", "accuracy")
        },
        index=list(study["splits"]["by row"]),
    )


def states_frame(points: dict[str, dict]) -> pd.DataFrame:
    """Lay out the state of each point of a `comparison.Batch`: a row a setting, a column a seed."""
    rows = {}
    for known in points.values():
        column = "state" if known["seed"] is None else f"seed {known['seed']}"
        rows.setdefault(known["setting"], {})[column] = known["state"]
    return pd.DataFrame.from_dict(rows, orient="index").fillna("–")


def points_frame(compared: dict) -> pd.DataFrame:
    """Lay out the points of `comparison.compare` that have measures: first the one compared by, with its interval."""
    measure, rows = compared["measure"], [row for row in compared["points"] if row["measures"]]
    write = percent if measure in SHARES else number
    table = {"setting": [row["setting"] for row in rows], "seed": [row["seed"] or "–" for row in rows]}
    table[measure.replace("_", " ")] = [write(row["measures"][measure]) for row in rows]
    for name in (*(name for name in SHARES if name != measure), "log_loss", "calibration_error"):
        table[_heading(name)] = [_plain(row["measures"][name]["value"], name) for row in rows]
    table["epoch kept"] = [f"{row['best_epoch']} of {row['epochs']}" if row["epochs"] else "–" for row in rows]
    return pd.DataFrame(table).set_index("setting").rename_axis(None)


def settings_frame(compared: dict) -> pd.DataFrame:
    """Lay out the settings of `comparison.compare`: mean and deviation over seeds, shares in per cent."""
    measure = compared["measure"]
    table = {
        row["setting"]: [f"{_plain(row['mean'], measure)} ± {_plain(row['sd'], measure)}", len(row["seeds"])]
        for row in compared["settings"]
    }
    return pd.DataFrame.from_dict(table, orient="index", columns=[f"{_heading(measure)}, mean ± sd", "seeds"])


def differences_frame(compared: dict) -> pd.DataFrame:
    """Lay out the differences of `comparison.compare`, with intervals and p-values; shares in percentage points."""
    measure, rows = compared["measure"], compared["differences"]
    write = percent if measure in SHARES else number
    table = {
        "difference": [write(row) for row in rows],
        "sd over seeds": [_plain(row["sd"], measure) for row in rows],
        "seeds": [len(row["seeds"]) for row in rows],
        "right only here : there": [
            ", ".join(map("{} : {}".format, row["gained"], row["lost"])) or "–" for row in rows
        ],
        "p by seed": [", ".join(map(_p_value, row["p_by_seed"])) or "–" for row in rows],
        "p": [_p_value(row["p"]) for row in rows],
        "p (Holm)": [_p_value(row["p_holm"]) for row in rows],
    }
    return pd.DataFrame(table, index=[row["setting"] for row in rows])


def effects_frame(compared: dict) -> pd.DataFrame:
    """Lay out the main effects of `comparison.compare`: the mean at each level, shares in per cent, and its points."""
    rows = compared["effects"]
    table = {
        "level": [row["level"] for row in rows],
        f"mean {_heading(compared['measure'])}": [_plain(row["mean"], compared["measure"]) for row in rows],
        "points": [len(row["values"]) for row in rows],
    }
    return pd.DataFrame(table, index=[row["axis"] for row in rows])


def _heading(measure: str) -> str:
    return measure.replace("_", " ") + (" (%)" if measure in SHARES else "")


def _plain(value: float | None, measure: str) -> str:
    if value is None:
        return "–"
    return (f"{100 * value:.1f}" if measure in SHARES else f"{value:.3f}").replace("-", "−")


def _p_value(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def percent(measure: dict | None) -> str:
    """Write a measure as `70.5 % (68.9–72.1)`, one that there is not as a dash."""
    if measure is None or pd.isna(measure["value"]):
        return "–"
    bounds = f"({100 * measure['low']:.1f}–{100 * measure['high']:.1f})".replace("(-", "(−").replace("–-", " to −")
    return f"{measure['value']:.1%} {bounds}".replace("%", " %").replace("-", "−")


def number(measure: dict | None, digits: int = 2) -> str:
    """Write a measure as `0.52 (0.48–0.56)`, one that there is not as a dash."""
    if measure is None or pd.isna(measure["value"]):
        return "–"
    bounds = f"({measure['low']:.{digits}f}–{measure['high']:.{digits}f})".replace("(-", "(−").replace("–-", " to −")
    return f"{measure['value']:.{digits}f} {bounds}".replace("-", "−")
