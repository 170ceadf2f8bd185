"""The server has no files and batches of earlier tests."""

import pytest

from synth_pipeline_tests.llm.asking import Desk


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """Return the desk, with a server that keeps nothing yet."""
    desk.server.forget()
    return desk
