from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline.llm.ledger.database import Database
from synth_pipeline_tests.llm.ledger.care.purchases import make_ledger, url_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make_ledger(tmp_path / "ledger.sqlite")


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    with closing(Database.open(url_of(file))) as opened:
        yield opened
