"""A batch's line asks what a single call asks, and is read as a single call's response is."""

import json
from typing import Any

import pytest

from synth_pipeline.contracts.errors import CallError, PermanentCallError, TransientCallError
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.llm.batches.lines import ENDPOINT, Lines, read_lines
from synth_pipeline.llm.purchases import Answer, Purchase
from synth_pipeline_tests.llm.asking import CANARY, LOCAL, ROUTES, Desk, request

PRICE = Price(usd_per_mtok_in=0, usd_per_mtok_out=0)
PURCHASE = Purchase(request(), request().messages, "k0", 0, PRICE)


def lines_of(**row: Any) -> Lines:
    provider = Provider.model_validate({**LOCAL.model_dump(), **row})
    return Lines(provider, provider.model_for("write"), lambda _: None)


@pytest.mark.parametrize("structured", [None, "json_object", "prompt"])
@pytest.mark.parametrize("model", ROUTES)
def test_a_line_asks_what_a_call_asks(desk: Desk, model: str, structured: str | None) -> None:
    row = {"models": {"default": model}, "structured": structured}
    lines = lines_of(**row)
    written = lines.write(PURCHASE)
    assert written is not None
    assert written.endswith(b"}\n")
    desk.ask(request(), **row)
    assert json.loads(written) == {
        "custom_id": "k0",
        "method": "POST",
        "url": ENDPOINT,
        "body": desk.server.stats()["last_body"],
    }
    assert lines.address == (desk.server.base_url, {"Authorization": f"Bearer {CANARY}"})


def body(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": None, **message}}
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    named = {"id": "c1", "object": "chat.completion", "created": 1, "model": "llama3.1"}
    return {**named, "choices": [choice], "usage": usage}


@pytest.mark.parametrize("model", ROUTES)
def test_a_line_with_a_completion_is_an_answer(desk: Desk, model: str) -> None:
    line = {"custom_id": "k0", "response": {"status_code": 200, "request_id": "r1", "body": body(content="{}")}}
    told = lines_of(models={"default": model}).read(line, [])
    assert told == Answer("{}", None, "stop", 11, 5, "c1")


def test_a_line_with_a_refusal_or_a_filters_error_is_an_answer(desk: Desk) -> None:
    declined = {"status_code": 200, "body": body(refusal="I will not.")}
    assert lines_of().read({"response": declined}, []) == Answer(None, "I will not.", "stop", 11, 5, "c1")
    filtered = {"error": {"message": f"rejected by our safety system ({CANARY})", "code": "content_policy_violation"}}
    response = {"status_code": 400, "request_id": "r1", "body": filtered}
    told = lines_of().read({"response": response}, [])
    assert told == Answer(
        None, "rejected by our safety system (<LOCAL_LLM_KEY>)", "content_filter", provider_request_id="r1"
    )


@pytest.mark.parametrize(
    ("line", "kind", "what"),
    [
        ({"response": {"status_code": 429, "body": {"error": {"message": "slow"}}}}, TransientCallError, "slow"),
        ({"response": {"status_code": 400, "body": {"error": {"message": "long"}}}}, PermanentCallError, "long"),
        ({"response": {"status_code": 500, "body": "<p>broken</p>"}}, TransientCallError, "broken"),
        ({"error": {"code": "batch_expired", "message": "late"}}, TransientCallError, "batch_expired: late"),
        ({}, TransientCallError, "not answered: the provider does not say why"),
    ],
)
def test_a_line_without_a_completion_is_the_error_that_it_stands_for(
    desk: Desk, line: dict[str, Any], kind: type[CallError], what: str
) -> None:
    told = lines_of().read(line, [])
    assert isinstance(told, kind)
    assert told.what.strip() == what


def test_only_lines_with_a_key_of_their_own_are_read() -> None:
    texts = [b'{"custom_id": "k0"}', b"", b"{cut", b"7", b'{"custom_id": 7}', b'{"id": "x"}', b'{"custom_id": "k1"}']
    assert [key for key, _ in read_lines(texts)] == ["k0", "k1"]
