"""A server and a desk for the tests that ask over real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pipeline.llm.ledger import Ledger
from synth_pipeline_tests.llm.asking import CANARY, Desk
from synth_pipeline_tests.loopback import RunningServer, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """Yield a running server; each module has its own."""
    with running_server() as running:
        yield running


@pytest.fixture
def desk(server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a desk with an empty ledger; the server's dials are as at the start."""
    monkeypatch.setenv("LOCAL_LLM_BASE_URL", server.base_url)
    monkeypatch.setenv("LOCAL_LLM_KEY", CANARY)
    server.set_dials()
    file = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(f"sqlite:///{file}")
    yield Desk(server, ledger, file)
    ledger.close()
