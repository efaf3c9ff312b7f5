"""What several of these tests need: a report and a sweep of the sample, and a browser."""

import shutil

import pytest
from playwright.sync_api import sync_playwright
from sample_runs import run_ageclf


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """The folder reports/ after `make report` and `make sweep RUN=sample-sweep`."""
    root = tmp_path_factory.mktemp("root")
    run_ageclf("report", root=root)
    run_ageclf("sweep", "--run", "sample-sweep", root=root)
    return root / "reports"


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium")
    assert chromium, "these tests need Chromium: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
