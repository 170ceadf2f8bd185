"""No answer at all is told the same by both routes: a server that is silent, and one that is not there."""

import asyncio

import pytest

from synth_pipeline.llm.routes.dialects import DIALECTS
from synth_pipeline_tests.llm.routes.desk import fields_of, open_desk
from synth_pipeline_tests.llm.routes.replies import SPEAKERS
from synth_pipeline_tests.llm.routes.scripted import Reply


@pytest.mark.parametrize("family", sorted(DIALECTS))
def test_a_silent_server_is_given_up(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        async with open_desk(family, SPEAKERS[family].model, monkeypatch, timeout_s=0.3) as desk:
            direct, litellm = await desk.both(Reply(act="hang"))
        assert direct.error == litellm.error
        assert direct.error is not None
        assert fields_of(direct.error) == ("timeout", None, None, True)
        assert "no answer within 0.3 s" in direct.error[1]

    asyncio.run(ask())


@pytest.mark.parametrize("family", sorted(DIALECTS))
def test_nothing_is_billed_where_nobody_listens(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        async with open_desk(family, SPEAKERS[family].model, monkeypatch, address="http://127.0.0.1:1") as desk:
            direct, litellm = await desk.both(Reply())
        assert direct.error == litellm.error
        assert direct.error is not None
        assert fields_of(direct.error) == ("connection", None, None, False)
        assert "cannot connect: Connect" in direct.error[1]

    asyncio.run(ask())
