"""Fixtures for pytest: a sandbox for the run, and a space of it for each test."""

from collections.abc import Iterator

import pytest

from pinvault.testing import Sandbox, Space


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pinvault")
    group.addoption("--pinvault-url", help="A sandbox that runs. Default: PINVAULT_URL, or one that is started.")
    group.addoption("--pinvault-program", help="The pinvault to start. Default: PINVAULT, or the one on the PATH.")
    group.addoption("--pinvault-seed", help="YAML with what a started sandbox holds besides the fixtures.")


@pytest.fixture(scope="session")
def pinvault_sandbox(pytestconfig: pytest.Config) -> Iterator[Sandbox]:
    """A sandbox server."""
    asked = [pytestconfig.getoption("pinvault_" + name) for name in ("url", "program", "seed")]
    with Sandbox(asked[0], program=asked[1], seed=asked[2]) as sandbox:
        yield sandbox


@pytest.fixture
def pinvault_space(pinvault_sandbox: Sandbox) -> Iterator[Space]:
    """A space for one test."""
    with pinvault_sandbox.space() as space:
        yield space
