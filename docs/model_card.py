"""The numbers of the model card: blocks between comments in MODEL_CARD.md, written from a run's `metrics.json`.

python docs/model_card.py       # make model-card
"""

import re
from pathlib import Path

import pandas as pd
import yaml

import ageclf
from ageclf.display import tables
from ageclf.metrics.slices import FEWEST

CARD = ageclf.CHECKOUT / "MODEL_CARD.md"
RESULTS = ageclf.CHECKOUT / "docs" / "best" / "metrics.json"
FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)  # what the Hugging Face Hub reads of a card, in YAML
BLOCK = re.compile(r"<!-- numbers: ([\w ]+) -->\n((?:(?!<!--).)*)<!-- end -->", re.DOTALL)


def write_numbers(card: str | Path = CARD, metrics: str | Path = RESULTS) -> None:
    """Write the numbers of a run into the blocks of a card, and leave its prose as it is. Raises as `fill` does."""
    results = ageclf.read_json(Path(metrics).resolve(strict=True))
    ageclf.write_text(card, fill(Path(card).read_text(encoding="utf-8"), results))


def fill(card: str, results: dict) -> str:
    """Return a card whose front matter, and what stands between `<!-- numbers: … -->` and `<!-- end -->`, are written
    from `metrics.json`.

    Raises ValueError unless the results are of the test part of real faces, and the card has front matter, and each of
    `blocks` once.
    """
    if results["data"]["synthetic"] or results["part"] != "test":
        raise ValueError(f"a model card is about the test part of real faces, not about {results['data']['name']!r}")
    written = blocks(results)
    if sorted(name for name, _ in BLOCK.findall(card)) != sorted(written):
        raise ValueError(f"the card must have each of these blocks, with its end, once: {', '.join(written)}")
    if not FRONT.match(card):
        raise ValueError("the card must start with front matter, between two lines of ---")
    card = FRONT.sub(lambda found: f"---\n{front_matter(results)}---\n", card)
    return BLOCK.sub(lambda found: f"<!-- numbers: {found[1]} -->\n\n{written[found[1]]}\n\n<!-- end -->", card)


def front_matter(results: dict) -> str:
    """Return the metadata of a model on the Hugging Face Hub, in YAML: licence, library, tags, and the measures."""
    kinds = {"accuracy": "accuracy", "macro_f1": "f1", "balanced_accuracy": "recall"}  # as the Hub calls them
    values = {name: round(results["measures"][name]["value"], 4) for name in kinds}
    metrics = [{"type": kind, "name": name.replace("_", " "), "value": values[name]} for name, kind in kinds.items()]
    dataset = {"type": "utkface", "name": "UTKFace, age_gender.csv", "split": results["part"]}
    measured = {"task": {"type": "image-classification"}, "dataset": dataset, "metrics": metrics}
    content = {
        "license": "other",
        "license_name": "non-commercial-research-only",
        "license_link": "https://susanqq.github.io/UTKFace/",
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["age-estimation", "face", "utkface", "calibration"],
        "model-index": [{"name": Path(results["checkpoint"]).stem, "results": [measured]}],
    }
    return yaml.safe_dump(content, sort_keys=False)


def blocks(results: dict) -> dict[str, str]:
    """Return the Markdown of each block of numbers, by its name."""
    always = {"most frequent": f"always {results['baselines']['most_frequent']['group']}"}
    per_group = tables.per_group_frame(results)
    per_group.insert(0, "in training", results["training_counts"])
    measured = results["calibration"]
    calibration = {"as they are": measured["before"], f"temperature {measured['temperature']:.2f}": measured["after"]}
    return {
        "provenance": provenance(results),
        "measures": markdown(tables.measures_frame(results).rename_axis("measure").rename(columns=always)),
        "groups": markdown(per_group),
        "calibration": markdown(tables.intervals_frame(calibration, digits=3).rename_axis("measure")),
        "people": slices_of(results, "gender", "ethnicity"),
        "black edges": slices_of(results, "black_edge"),
        "brightness": slices_of(results, "brightness"),
        "worst slices": slices_of(results, "group × gender × ethnicity", worst=10),
    }


def provenance(results: dict) -> str:
    """List the data, faces, checkpoint, seeds and commit of the numbers."""
    return f"""\
- Data: {results["data"]["name"]}, SHA-256 `{results["data"]["sha256"]}`
- Measured: {results["n"]:,} faces in {results["clusters"]:,} clusters, the part `{results["part"]}`
- Trained on: {sum(results["training_counts"]):,} faces; weights at the start: `{results["weights"]}`
- Checkpoint: `{results["checkpoint"]}`, SHA-256 `{results["checkpoint_sha256"]}`
- Seed {results["seed"]}, seed of the split {results["split_seed"]}, commit `{results["commit"]}`"""


def slices_of(results: dict, *ways: str, worst: int | None = None) -> str:
    """Lay out the slices of some ways to slice, all that are ranked or the worst ones, and count the others."""
    frame = pd.DataFrame([row for way in ways for row in results["slices"][way]])
    ranked = frame[frame["ranked"]].sort_values("gap_value", ignore_index=True)
    table = markdown(tables.slices_frame(ranked.head(worst)).drop(columns="ranked"))
    few = f"{len(frame) - len(ranked)} of {len(frame)} slices"
    return f"{table}\n\nToo small to judge, with fewer than {FEWEST} faces, and not ranked: {few}."


def markdown(frame: pd.DataFrame) -> str:
    """Write a frame as a Markdown table, its index first, whole numbers with commas."""
    rows = [(frame.index.name, *frame.columns), ["---"] * (1 + len(frame.columns)), *frame.itertuples()]
    return "\n".join(f"| {' | '.join(f'{x:,}' if isinstance(x, int) else x for x in row)} |" for row in rows)


if __name__ == "__main__":
    write_numbers()
