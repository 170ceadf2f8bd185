"""One server for the tests of a module, as it is at the start before each of them."""

from collections.abc import Iterator

import pytest

from synth_pipeline_tests.loopback import RunningServer, running_server


@pytest.fixture(scope="module")
def started() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


@pytest.fixture
def server(started: RunningServer) -> RunningServer:
    started.set_dials()
    started.forget()
    return started
