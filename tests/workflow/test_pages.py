"""Pages of a run and the index, made from notebooks that are written here as papermill leaves them."""

import json
import re
from base64 import b64encode
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from nbformat import v4
from run_folders import METRICS, RUN, executed, write_run

from ageclf.workflow import pages

PIXEL = b64encode(b"\x89PNG\r\n\x1a\n").decode()


def training_cells():
    settings = v4.new_code_cell("epochs: int = 2  # of the <training> part", metadata={"tags": ["parameters"]})
    bar = v4.new_code_cell("fit()", outputs=[v4.new_output("stream", text="epoch 1 10 %\repoch 1 55 %\repoch 1 done")])
    noise = v4.new_code_cell("noise()", outputs=[v4.new_output("stream", name="stderr", text="no GPU found")])
    figure = v4.new_code_cell("plot()", outputs=[v4.new_output("display_data", {"image/png": PIXEL})])
    return [v4.new_markdown_cell("# Training\n\nWhat it does."), settings, bar, noise,
            v4.new_markdown_cell("## Loss by epoch"), figure]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "reports" / "small"
    executed(folder / "04_training.ipynb", training_cells(), epochs=5)
    write_run(folder)
    return folder


def page(folder):
    pages.write_pages(folder)
    return (folder / "04_training.html").read_text()


def index(folder):
    pages.write_index(folder.parent)
    return (folder.parent / "index.html").read_text()


def test_a_page_holds_everything_and_loads_nothing(folder):
    html = page(folder)
    assert "data:image/png;base64," in html
    for loads in ("<script", '<link rel="stylesheet', "@import", 'src="http', "url("):
        assert loads not in html
    assert "<title>Training · small</title>" in html
    assert '<html lang="en">' in html
    assert 'name="viewport"' in html


def test_code_is_folded_away_but_for_the_parameters_which_stand_above(folder):
    html = BeautifulSoup(page(folder), "html.parser")
    assert [code.text.strip() for code in html.select("details.code code")] == ["fit()", "noise()", "plot()"]
    assert not html.select("details.code[open]")


def figures(folder, *cells):
    """Return alternative text and caption of each figure on a page of some cells."""
    executed(folder / "04_training.ipynb", [v4.new_markdown_cell("# Training"), *cells])
    found = BeautifulSoup(page(folder), "html.parser").find_all("figure")
    return [(figure.img["alt"], figure.figcaption.text) for figure in found]


def plotting(n, **metadata):
    outputs = [v4.new_output("display_data", {"image/png": PIXEL}) for _ in range(n)]
    return v4.new_code_cell("plot()", metadata=metadata, outputs=outputs)


def test_figures_are_numbered_and_described_as_their_cells_describe_them(folder):
    cells = (
        plotting(1, caption="Loss", alt='A line that falls from "2" to < 1'),
        plotting(1, caption="Loss & accuracy", alt="Two lines"),
    )
    assert figures(folder, *cells) == [
        ('A line that falls from "2" to < 1', "Figure 1. Loss"),
        ("Two lines", "Figure 2. Loss & accuracy"),
    ]


def test_each_figure_of_a_cell_has_its_own_words(folder):
    cell = plotting(2, caption=["Shifted", "Turned"], alt=["A face moves", "A face turns"])
    expected = [
        ("A face moves", "Figure 1. Shifted"),
        ("A face turns", "Figure 2. Turned"),
    ]
    assert figures(folder, cell) == expected


@pytest.mark.parametrize("metadata", [{}, {"caption": "One for two", "alt": ["too", "many", "words"]}])
def test_figures_without_words_of_their_own_are_distinguished_below_the_nearest_heading(folder, metadata):
    cells = v4.new_markdown_cell("## Loss\n\nBy epoch."), plotting(2, **metadata)
    assert figures(folder, *cells) == [
        ("Loss (1 of 2)", "Figure 1. Loss (1 of 2)"),
        ("Loss (2 of 2)", "Figure 2. Loss (2 of 2)"),
    ]


def test_a_figure_without_words_of_its_own_has_those_of_the_nearest_heading(folder):
    assert figures(folder, v4.new_markdown_cell("## Loss"), plotting(1)) == [("Loss", "Figure 1. Loss")]


def test_the_contents_lead_to_the_headings_also_to_two_of_the_same_name(folder):
    text = "## What `fit` did & why\n\n### By epoch\n\n#### Too small to list\n\n### By epoch"
    executed(folder / "04_training.ipynb", [v4.new_markdown_cell("# Training"), v4.new_markdown_cell(text)])
    html = BeautifulSoup(page(folder), "html.parser")
    entries = html.select("nav.contents li a")
    assert [entry.text for entry in entries] == ["What fit did & why", "By epoch", "By epoch"]
    for entry in entries:
        (heading,) = html.find_all(id=entry["href"].removeprefix("#"))
        assert heading.text == entry.text
    assert len({entry["href"] for entry in entries}) == 3


def test_only_the_last_state_of_a_progress_bar_is_shown(folder):
    html = page(folder)
    assert "epoch 1 done" in html
    assert "55 %" not in html


def test_messages_of_the_kernel_are_folded_away(folder):
    html = page(folder)
    assert html.index('<details class="messages">') < html.index("no GPU found")


def test_the_top_names_run_data_code_and_duration(folder):
    html = page(folder)
    for fact in ("<strong>small</strong>", "faces.csv.gz", "0123456789ab<", "abc1234-dirty", "numpy 2.4.6", "85 s"):
        assert fact in html
    assert "SYNTHETIC" not in html


def test_parameters_show_the_value_that_ran_and_the_explanation_escaped(folder):
    assert '<td>5</td><td class="help">of the &lt;training&gt; part</td>' in page(folder)


def test_synthetic_faces_are_marked_on_page_and_index(folder):
    write_run(folder, data={"name": "sample", "sha256": "0" * 64, "synthetic": True, "rows": 600})
    assert "<strong>SYNTHETIC</strong>" in page(folder)
    assert "SYNTHETIC" in index(folder)


def test_headline_has_interval_part_and_baseline(folder):
    assert "No evaluation yet" in page(folder)
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    for html in (page(folder), index(folder)):
        for fact in ("64.9 %", "62.9–66.7 %", "part test", "3,021 faces", "19-30", "33.3 %"):
            assert fact in html


def test_the_reference_stands_beside_the_headline_and_cannot_be_compared(folder):
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    for html in (page(folder), index(folder)):
        assert "70.5 %" in html
        assert "cannot be compared directly" in html


@pytest.mark.parametrize("other", ["synthetic faces", "other groups"])
def test_the_reference_stands_beside_nothing_else(folder, other):
    if other == "synthetic faces":
        write_run(folder, data={"name": "sample", "sha256": "0" * 64, "synthetic": True, "rows": 600})
    edges = [4, 19, 46, 65] if other == "other groups" else METRICS["edges"]
    (folder / "metrics.json").write_text(json.dumps({**METRICS, "edges": edges}))
    for html in (page(folder), index(folder)):
        assert "64.9 %" in html
        assert "Reference" not in html
        assert "70.5 %" not in html


def test_a_page_says_which_code_ran_it_not_which_code_is_newest(folder):
    write_run(folder, started="2026-01-03T00:00:00+00:00")
    assert "unknown" in page(folder)
    code = {f"2026-01-0{day}T00:00:00+00:00": f"commit{day}" for day in (3, 2, 1)}
    attempts = [{"started": started, "commit": commit, "versions": {}} for started, commit in code.items()]
    write_run(folder, started="2026-01-03T00:00:00+00:00", attempts=attempts)
    html = page(folder)
    assert "commit2" in html
    assert not {"commit1", "commit3", "abc1234"} & set(re.findall(r"\w+", html))


def test_pages_link_to_each_other_and_only_to_what_is_there(folder):
    assert "05_evaluation.html" not in page(folder)
    executed(folder / "05_evaluation.ipynb", [v4.new_markdown_cell("# Evaluation")])
    assert 'href="05_evaluation.html"' in page(folder)
    (folder / "05_evaluation.ipynb").unlink()
    assert "05_evaluation.html" not in page(folder)
    assert not (folder / "05_evaluation.html").exists()


def test_a_page_leads_to_the_one_before_and_the_one_after(folder):
    executed(folder / "05_evaluation.ipynb", [v4.new_markdown_cell("# Evaluation")])
    assert '<a href="05_evaluation.html" rel="next">05 evaluation →</a>' in page(folder)
    assert 'rel="prev"' not in page(folder)
    last = (folder / "05_evaluation.html").read_text()
    assert '<a href="04_training.html" rel="prev">← 04 training</a>' in last
    assert 'rel="next"' not in last


def test_a_failed_notebook_is_shown_with_cell_and_error(folder):
    error = v4.new_output("error", ename="ValueError", evalue="age <b>200</b>\nis not an age", traceback=[])
    broken = v4.new_code_cell("check()", id="evaluation-03", execution_count=3, outputs=[error])
    executed(folder / "failed" / "05_evaluation.ipynb", [broken])
    text = "in cell In [3], evaluation-03: ValueError: age &lt;b&gt;200&lt;/b&gt; is not an age"
    assert text in page(folder)
    assert text in index(folder)
    assert 'href="small/failed/05_evaluation.ipynb"' in index(folder)


def test_a_notebook_cut_short_in_writing_still_counts_as_failed(folder):
    (folder / "failed").mkdir()
    (folder / "failed" / "05_evaluation.ipynb").write_text('{"cells": [')
    assert "05 evaluation failed" in index(folder)


@pytest.mark.parametrize("failed", ["04_training", "05_evaluation"])
def test_a_headline_that_outlived_a_failed_attempt_says_so(folder, failed):
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    assert "From an earlier attempt" not in page(folder)
    executed(folder / "failed" / "01_black_edges.ipynb", [])
    assert "From an earlier attempt" not in page(folder), "its evaluation is up to date"
    executed(folder / "failed" / f"{failed}.ipynb", [])
    assert "From an earlier attempt" in page(folder)
    assert "From an earlier attempt" in index(folder)


DAMAGE = {
    "run.json": ["{}", "[]", '{"schema": 1, "run": "old"}', '{"schema": 2', "\\x00"],
    "metrics.json": ["{}", json.dumps({"schema": 2, "measures": {}}), "[1]"],
}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name in DAMAGE for content in DAMAGE[name]])
def test_a_damaged_run_is_named_in_the_index_and_costs_no_other_run_its_pages(folder, name, content):
    damaged = folder.parent / "damaged"
    write_run(damaged)
    (damaged / name).write_text(content)
    page(folder)
    html = BeautifulSoup(index(folder), "html.parser")
    assert [heading["data-value"] for heading in html.select("tbody th")] == ["small"]
    (named,) = html.select("p.failure")
    assert str(damaged / name) in named.text
    with pytest.raises(ValueError, match=rf"/damaged/{name}: .*remove it"):
        pages.write_pages(damaged)


@pytest.mark.parametrize("content", ["{}", "[]", '{"cells": [], "metadata": {"papermill": {}}, "nbformat": 4}', "x"])
def test_an_executed_notebook_that_is_damaged_is_named_with_what_to_do(folder, content):
    (folder / "05_evaluation.ipynb").write_text(content)
    with pytest.raises(ValueError, match=r"05_evaluation\.ipynb is not as papermill wrote it; remove it, and make"):
        pages.write_pages(folder)
    assert "small" in index(folder)


@pytest.mark.parametrize("name", ["a#1?b%41", "x & y", '"quoted"', "{x}", "grün"])
def test_links_lead_to_folders_whose_names_have_a_meaning_in_addresses(folder, name):
    other = folder.parent / name
    executed(other / "04_training.ipynb", training_cells())
    executed(other / "failed" / "05_evaluation.ipynb", [])
    write_run(other)
    pages.write_pages(other)
    (other / "metrics.json").write_text(json.dumps(METRICS))
    found = linked(folder.parent / "index.html", index(folder)) + linked(other / "index.html", first_page(other))
    assert other / "04_training.html" in found
    assert other / "failed" / "05_evaluation.ipynb" in found
    assert other / "metrics.json" in found
    assert all(path.exists() for path in found)


def test_warnings_about_the_data_stand_at_the_head_of_every_page(folder):
    assert "Warning" not in page(folder)
    write_run(folder, data=RUN["data"] | {"warnings": ["all ages are below <10>"]})
    html = page(folder)
    assert html.index("all ages are below &lt;10&gt;") < html.index('class="run"')


def test_the_index_lists_runs_newest_first_and_only_runs(folder):
    write_run(folder.parent / "newer", started="2026-02-01T10:00:00+00:00")
    write_run(folder.parent / "newer" / "seed-1")
    (folder.parent / "lab").mkdir()
    (folder.parent / "lab" / "metrics.json").write_text("{}")
    assert re.findall(r'<th scope="row" data-value="(.*?)">', index(folder)) == ["newer", "small"]


def test_a_run_in_the_index_leads_to_its_first_page(folder):
    page(folder)
    assert '<a href="small/index.html">small</a>' in index(folder)


def first_page(folder):
    pages.write_pages(folder)
    return (folder / "index.html").read_text()


def linked(file, html):
    """Return the files that a page leads to."""
    links = [link["href"] for link in BeautifulSoup(html, "html.parser").find_all("a")]
    return [(file.parent / unquote(urlsplit(link).path)).resolve() for link in links]


def finding(text):
    output = v4.new_output("execute_result", {"text/markdown": text, "text/plain": "<Markdown>"}, execution_count=1)
    return v4.new_code_cell("Markdown(…)", metadata={"tags": ["finding"]}, outputs=[output])


def test_the_first_page_says_what_each_notebook_found_and_where(folder):
    assert "What it found" not in first_page(folder), "none of these notebooks says what it found"
    executed(folder / "04_training.ipynb", [*training_cells(), finding("Epoch 7 of 12 was kept: a < b.")])
    executed(folder / "05_evaluation.ipynb", [v4.new_markdown_cell("# Evaluation"), finding("It is right.")])
    found = BeautifulSoup(first_page(folder), "html.parser").select_one(".findings")
    assert [link["href"] for link in found.select("dt a")] == ["04_training.html", "05_evaluation.html"]
    assert [text.text for text in found.select("dd")] == ["Epoch 7 of 12 was kept: a < b.", "It is right."]


def test_the_first_page_shows_the_figures_that_are_tagged_for_it(folder):
    executed(folder / "04_training.ipynb", [v4.new_markdown_cell("# T"), plotting(1, caption="A", alt="a"),
             plotting(1, caption="B", alt="b", tags=["first-page"])])  # fmt: skip
    (figure,) = BeautifulSoup(first_page(folder), "html.parser").find_all("figure")
    assert (figure.a["href"], figure.img["alt"]) == ("04_training.html", "b")
    assert figure.figcaption.text == "Figure 1. B (04 training)"


def test_the_index_shows_a_thumbnail_of_each_run_that_was_evaluated(folder):
    assert not BeautifulSoup(index(folder), "html.parser").find_all("img")
    executed(folder / "05_evaluation.ipynb", [v4.new_markdown_cell("# E"), plotting(1, caption="A", alt="a"),
             plotting(1, caption="B", alt="b", tags=["first-page"])])  # fmt: skip
    page(folder)
    (thumbnail,) = BeautifulSoup(index(folder), "html.parser").find_all("img")
    assert thumbnail["src"].endswith(PIXEL)
    assert thumbnail.parent["href"] == "small/index.html"


def test_a_figure_says_how_wide_it_was_plotted(folder):
    data = {"image/png": PIXEL, "text/plain": "<Figure size 1100x320 with 3 Axes>"}
    cell = v4.new_code_cell("plot()", outputs=[v4.new_output("display_data", data)])
    executed(folder / "04_training.ipynb", [v4.new_markdown_cell("# Training"), cell, plotting(1)])
    found = BeautifulSoup(page(folder), "html.parser").find_all("figure")
    assert [figure["style"] for figure in found] == ["--width: 1100px", "--width: 600px"]


def test_the_first_page_lists_the_notebooks_slowest_first(folder):
    executed(folder / "05_evaluation.ipynb", [v4.new_markdown_cell("# Evaluation")], duration=7200.0)
    rows = BeautifulSoup(first_page(folder), "html.parser").select("tbody tr")
    cells = [[cell.text for cell in row.find_all(["th", "td"])] for row in rows]
    assert [row[:2] for row in cells] == [["05 evaluation", "120 min"], ["04 training", "85 s"]]
    assert [row[3] for row in cells] == ["05_evaluation.ipynb", "04_training.ipynb"]


def test_the_first_page_has_headline_banner_failures_and_files(folder):
    synthetic = {"name": "sample", "sha256": "0" * 64, "synthetic": True, "rows": 600, "warnings": ["no <face> is old"]}
    write_run(folder, data=synthetic)
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    executed(folder / "failed" / "05_evaluation.ipynb", [])
    html = first_page(folder)
    for fact in ("SYNTHETIC", "no &lt;face&gt; is old", "64.9 %", "From an earlier attempt", "05 evaluation failed"):
        assert fact in html
    assert {folder / name for name in ("metrics.json", "run.json", "failed/05_evaluation.ipynb")} < set(
        linked(folder / "index.html", html)
    )


def test_the_first_page_of_a_sweep_leads_to_those_of_its_configurations_and_back(folder):
    write_run(folder / "seed-1", run="small/seed-1")
    write_run(folder, configurations={"seed-1": {"levels": {"seed": 1}, "parameters": {}}})
    assert folder / "index.html" in linked(folder / "seed-1" / "index.html", first_page(folder / "seed-1"))
    assert folder / "seed-1" / "index.html" in linked(folder / "index.html", first_page(folder))
