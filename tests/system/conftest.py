"""What several of these tests look at: a report and a batch of the sample."""

import pytest
from sample_runs import run_ageclf


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """The folder reports/ after `make report` and `make sweep RUN=sample-batch`."""
    root = tmp_path_factory.mktemp("root")
    run_ageclf("report", root=root)
    run_ageclf("sweep", "--run", "sample-batch", root=root)
    return root / "reports"
