"""JupyterLab as a person uses it, in headless Chromium: a notebook opened, all cells run from the menu, a slider moved,
a photo chosen. And the page of `make demo`.

What it looked like is kept in reports/screenshots/.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from barriers import serious_barriers
from PIL import Image
from playwright.sync_api import Page, expect
from sample_runs import environment
from skimage.data import astronaut

import ageclf
from ageclf.faces.groups import REFERENCE_EDGES, group_names
from ageclf.network.backend import keras
from ageclf.network.checkpoints import save_checkpoint
from ageclf.network.model import build_network

SCREENSHOTS = ageclf.ROOT / "reports" / "screenshots"
PATIENCE = 90_000  # milliseconds; a notebook takes a tenth of that


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with copies of README, notebooks and settings, and for 06 a network that was never trained."""
    root = tmp_path_factory.mktemp("root")
    for copied in ("notebooks", "profiles", "docs"):
        shutil.copytree(ageclf.CHECKOUT / copied, root / copied)
    shutil.copy(ageclf.CHECKOUT / "README.md", root)
    keras.utils.set_random_seed(0)
    known = {"groups": group_names(), "edges": list(REFERENCE_EDGES), "training_faces": []}
    known |= {"backbone": "small", "image_size": 48}
    save_checkpoint(build_network(), root / "checkpoint" / "lab.keras", known)
    return root


@pytest.fixture(scope="module")
def lab(root):
    """The address of a JupyterLab as `make lab` starts it, on the copies, with nobody's settings."""
    options = ["--IdentityProvider.token=", *(["--allow-root"] if os.geteuid() == 0 else [])]
    yield from served(root, "lab", options)


@pytest.fixture(scope="module")
def demo(root):
    """The address of the page that `make demo` serves."""
    yield from served(root, "demo", [])


def served(root: Path, target: str, options: list[str]) -> Iterator[str]:
    """Yield the address of the server that a target of the Makefile starts, once it answers there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    own = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    own += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    makefile = (ageclf.CHECKOUT / "Makefile").read_text().replace("\\\n", "")
    typed = re.search(rf"^{target}: .*\n\t\$\(PYTHON\) (-m .+?)(\$\(if .+)?$", makefile, re.MULTILINE)[1]
    command = [sys.executable, *shlex.split(typed), *options, "--no-browser", f"--port={address.split(':')[-1]}"]
    everywhere = environment(root) | {name: str(root / name.lower()) for name in own}
    with (root / f"{target}.log").open("w") as log:
        server = subprocess.Popen(command, cwd=root, env=everywhere, stdout=log, stderr=log)
    while not answers(f"{address}/api/status"):
        assert server.poll() is None, (root / f"{target}.log").read_text()
        time.sleep(0.2)
    yield address
    server.terminate()
    server.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url)
    except urllib.error.URLError as error:
        return isinstance(error, urllib.error.HTTPError)  # Voilà has no such page, and says so
    return True


@pytest.fixture
def page(browser):
    """A window that asks servers on this computer alone: the page's own policy refuses all else, network or not."""
    page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    asked, refused = set(), set()
    page.on("request", lambda request: asked.add(request.url))
    page.on("requestfailed", lambda request: refused.add(request.url) if request.failure == "csp" else None)
    yield page
    page.context.close()
    assert [url for url in asked - refused if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))] == []


def run_all(page: Page, lab: str, path: Path) -> list[nbformat.NotebookNode]:
    """Open a notebook, run all cells from the menu, save; return the outputs, with no error or warning among them."""
    page.goto(f"{lab}/lab/tree/notebooks/{path.name}?reset")
    # The kernel's sign in the toolbar says "idle" too early, when there is none yet: what is run then is lost.
    expect(page.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE)
    choose(page, "Run", "Run All Cells")
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    try:
        expect(page.locator(".jp-InputPrompt", has_text=f"[{len(cells)}]:")).to_be_visible(timeout=PATIENCE)
        page.keyboard.press("Control+s")
        expect(page.locator(".jp-mod-current.jp-mod-dirty")).to_have_count(0)
    finally:
        keep(page, path.stem)
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    return outputs


def choose(page: Page, *names: str) -> None:
    """Choose an item of a menu."""
    for name in names:
        page.locator(f".lm-MenuBar-itemLabel:text-is('{name}'), .lm-Menu-itemLabel:text-is('{name}')").click()


def keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_the_readme_opens_first_and_leads_to_the_notebooks(page, lab):
    page.goto(lab)
    readme = page.locator(".jp-RenderedMarkdown")
    expect(readme.get_by_role("heading", name="age-classifier")).to_be_visible(timeout=PATIENCE)
    keep(page, "start")
    readme.get_by_role("link", name="01_black_edges").click()
    expect(page.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".jp-Notebook").get_by_role("heading", name="01 · Black edges")).to_be_visible()


def test_a_notebook_that_was_only_opened_is_not_marked_as_modified(page, lab):
    page.goto(f"{lab}/lab/tree/notebooks/02_brightness.ipynb?reset")
    expect(page.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE)
    page.wait_for_timeout(3000)  # what the kernel says of itself comes after that
    expect(page.locator(".jp-mod-current.jp-mod-dirty")).to_have_count(0)


def test_a_notebook_runs_from_the_menu_and_nothing_pops_up(page, lab, root):
    outputs = run_all(page, lab, root / "notebooks" / "01_black_edges.ipynb")
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 6
    expect(page.locator(".Toastify__toast, .jp-Dialog")).to_have_count(0)  # no news, nothing to build


def test_a_slider_is_moved_and_the_faces_below_it_are_others(page, lab, root):
    run_all(page, lab, root / "notebooks" / "06_prediction.ipynb")
    panel = page.locator(".jp-OutputArea-output", has=page.get_by_role("slider"))
    panel.scroll_into_view_if_needed()
    faces, said = panel.get_by_role("img"), panel.locator("figcaption")
    expect(said).to_contain_text("Faces 1–6 of ")
    before = faces.get_attribute("src")
    panel.get_by_role("slider").press("ArrowRight")
    expect(said).to_contain_text("Faces 7–12 of ")
    assert faces.get_attribute("src") != before
    keep(page, "06_prediction-panel")
    choose(page, "Settings", "Theme", "JupyterLab Dark")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)
    keep(page, "06_prediction-panel-dark")


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    """A photo of a face, one of more than 10 MB in which there is none, and a file that is no photo."""
    paths = [tmp_path / name for name in ("astronaut.jpg", "noise.png", "text.jpg")]
    Image.fromarray(astronaut()).save(paths[0])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)).save(paths[1])
    assert paths[1].stat().st_size > 11e6
    paths[2].write_text("no photo")
    return paths


def choose_photos(page: Page, photos: list[Path]) -> None:
    """Choose photos in the panel, and wait for what it answers about each."""
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="choose photos").click()
    chosen.value.set_files(photos)
    expect(page.get_by_text("text.jpg: not a picture that can be read")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("noise.png: no face found")).to_be_visible()
    expect(page.get_by_role("img", name="astronaut.jpg")).to_be_visible()
    expect(page.get_by_role("columnheader", name="second guess").last).to_be_visible()


def test_photos_are_chosen_and_answered_below_the_notebook_s_faces(page, lab, root, photos):
    path = root / "notebooks" / "photos.ipynb"
    shutil.copy(root / "notebooks" / "06_prediction.ipynb", path)  # whose kernel may run already, and count its cells
    run_all(page, lab, path)
    page.get_by_role("button", name="choose photos").scroll_into_view_if_needed()
    choose_photos(page, photos)
    page.get_by_role("img", name="astronaut.jpg").scroll_into_view_if_needed()
    keep(page, "06_prediction-photos")


@pytest.mark.parametrize("width", [390, 1200])
def test_the_demo_answers_photos_on_a_page_of_its_own(page, demo, photos, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(demo)
    expect(page.get_by_role("heading", name="Age groups in photos")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Do not use it to decide anything about a person.")).to_be_visible()
    choose_photos(page, photos)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not serious_barriers(page)
    keep(page, f"demo-{width}")
