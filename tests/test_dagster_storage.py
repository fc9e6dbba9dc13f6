"""Our state storage in Dagster: the tests in `inside_dagster`, run where Dagster is installed."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.commands import base_environment, printed, run
from tests.support.frontends import kept_environment
from tests.support.object_servers import s3_server
from tests.support.plugin import ROOT

pytestmark = pytest.mark.slow

OURS = ("click", "dependency-groups", "packaging", "pathspec", "pyyaml", "filelock", "platformdirs")
NEWEST = ("dagster==1.13.27", "dagster-webserver==1.13.27", "obstore", "pytest", *OURS)
OLDEST = ("dagster==1.12.0", "dagster-shared==1.12.0", "pytest", *OURS)


def passed_inside(environment: tuple[str, ...], *arguments: str, **variables: str) -> int:
    """Run the tests in an environment, and return how many of them passed."""
    result = run(
        [
            *(kept_environment(*environment), "-m", "pytest", "-q", "--noconftest"),
            *("-c", "/dev/null", "--rootdir", str(ROOT), "-p", "no:cacheprovider"),
            *arguments,
        ],
        cwd=ROOT,
        env={
            **base_environment(),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        },
    )
    assert result.returncode == 0, printed(result)
    count = re.search(r"^(\d+) passed", result.stdout, re.MULTILINE)
    assert count, printed(result)
    return int(count[1])


def test_dagsters_storage_and_ours_keep_the_same_promises() -> None:
    contract, ours = "tests/inside_dagster/contract.py", "tests/inside_dagster/ours.py"
    assert passed_inside(NEWEST, contract, ours) > 50


def test_the_refresh_job_fails_and_commits_as_a_whole() -> None:
    assert passed_inside(NEWEST, "tests/inside_dagster/jobs.py") == 6


def test_what_was_read_last_stands_in_for_a_store_that_does_not_answer() -> None:
    with s3_server() as server:
        options = json.dumps(dict(server.options))
        tests = "tests/inside_dagster/offline.py"
        assert passed_inside(NEWEST, tests, S3_URL=server.new_url(), S3_OPTIONS=options) == 19


def test_our_storage_keeps_the_promises_in_the_oldest_supported_dagster() -> None:
    # Dagster's own class did not have all of the methods then.
    contract, ours = "tests/inside_dagster/contract.py", "tests/inside_dagster/ours.py"
    lasting = f"{ours}::test_files_beside_a_state_are_handed_out_at_a_place_that_stays"
    assert passed_inside(OLDEST, contract, lasting, "-k", "ours") == 20
