"""What an error response says to a person: the provider's own words, no key, and what to do now."""

import json
from typing import Any

import pytest

from synth_pipeline.contracts.errors import PermanentCallError, TransientCallError
from synth_pipeline.llm.routes.errors import Place, Reply
from synth_pipeline_tests.llm.routes.desk import BASE_NAME, KEY_NAME, row_of

KEY = "sk-proj-canary-86420"
PLACE = Place(row_of("openai", "gpt-4.1"), "openai/gpt-4.1")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_NAME, KEY)
    monkeypatch.setenv(BASE_NAME, "https://anna:s3cret@models.example/v1")


def error_of(status: int, body: Any) -> PermanentCallError | TransientCallError:
    """Return the error that a response is."""
    error = PLACE.error(Reply(status, {}, body if isinstance(body, str) else json.dumps(body)))
    assert isinstance(error, PermanentCallError | TransientCallError)
    return error


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"error": {"message": "No such model.", "type": "x", "code": None}}, "No such model."),
        ({"error": "Content is too long."}, "Content is too long."),
        ({"code": "Client specified an invalid argument", "error": "Model not found"}, "Model not found"),
        ({"type": "error", "error": {"type": "not_found_error", "message": "model: claude"}}, "model: claude"),
        ([{"error": {"code": 400, "message": "API rejects it."}}], "API rejects it."),
        ({"object": "error", "message": "Invalid model", "code": "1500"}, "Invalid model"),
        ({"message": {"detail": [{"loc": ["body", "n"], "msg": "too many"}]}}, "body.n: too many"),
        ({"detail": [{"loc": ["body", "a"], "msg": "one"}, {"msg": "two"}]}, "body.a: one; two"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"error": {"message": '{"error": {"message": "inside"}}'}}, "inside"),
        ({"error": {"message": "[brackets are no JSON"}}, "[brackets are no JSON"),
        ({"nothing": "known"}, '{"nothing": "known"}'),
        ("<html><style>a {}</style><h1>404</h1>\n<p>Not here</p></html>", "404 Not here"),
        ("plain words\non two lines", "plain words on two lines"),
        ("", "HTTP 404 Not Found"),
        (" \n ", "HTTP 404 Not Found"),
    ],
)
def test_a_person_reads_the_providers_own_words(body: Any, what: str) -> None:
    assert error_of(404, body).what == what


def test_an_unknown_status_has_its_number() -> None:
    assert error_of(599, "").what == "HTTP 599"


def test_a_long_message_is_cut() -> None:
    assert len(error_of(400, {"error": {"message": "long " * 500}}).what) == 400


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"bad key {KEY}", "bad key <CANARY_KEY>"),
        ("Incorrect API key provided: sk-proj-****6420.", "Incorrect API key provided: sk-<masked>"),
        ('header "Authorization: Bearer eyJhbGciOi.J9.x1"', 'header "Authorization: Bearer <masked>"'),
        ("use Bearer authentication", "use Bearer authentication"),
        ("key xai-abcdef123456 is blocked", "key xai-<masked> is blocked"),
        ("AIzaSyD-1234567 is not valid", "AIza<masked> is not valid"),
        ("a sk-ating rink", "a sk-ating rink"),
        ("https://anna:s3cret@models.example/v1 is down", "https://<masked>@models.example/v1 is down"),
    ],
)
def test_keys_are_masked(said: str, shown: str) -> None:
    assert error_of(400, {"error": {"message": said}}).what == shown


def test_a_key_is_masked_before_the_message_is_cut() -> None:
    assert KEY[:10] not in error_of(400, {"error": {"message": "x" * 390 + KEY}}).what


@pytest.mark.parametrize(
    ("status", "said", "fix"),
    [
        (401, "no", f"check {KEY_NAME}, and what its key may do"),
        (403, "no", f"check {KEY_NAME}, and what its key may do"),
        (400, "API key not valid. Please pass a valid API key.", f"check {KEY_NAME}, and what its key may do"),
        (404, "no", f"check the model's name in providers.yaml, and the address in {BASE_NAME}"),
        (301, "moved", f"check the model's name in providers.yaml, and the address in {BASE_NAME}"),
        (400, "no", "check the request: the prompt's length, max_tokens, and `structured` in the provider's row"),
        (422, "no", "check the request: the prompt's length, max_tokens, and `structured` in the provider's row"),
        (429, "insufficient_quota", "add credit to the provider's account"),
        (400, "Your credit balance is too low", "add credit to the provider's account"),
    ],
)
def test_the_advice_fits_the_status(status: int, said: str, fix: str) -> None:
    error = error_of(status, {"error": {"message": said}})
    assert isinstance(error, PermanentCallError)
    assert (error.http_status, error.fix) == (status, fix)
    assert error.where == "provider row, model openai/gpt-4.1"


def test_a_row_without_a_key_is_told_to_name_one() -> None:
    place = Place(row_of("hosted_vllm", "m", api_key_env=None), "hosted_vllm/m")
    assert place.error(Reply(401, {}, "who are you")).fix == "name the key's variable under api_key_env"


@pytest.mark.parametrize(
    ("status", "fault"),
    [(408, "timeout"), (409, "server_error"), (425, "server_error"), (429, "rate_limit"), (500, "server_error")],
)
def test_asking_again_may_mend_it(status: int, fault: str) -> None:
    error = error_of(status, "no")
    assert isinstance(error, TransientCallError)
    assert (error.fault, error.http_status, error.may_be_billed) == (fault, status, False)


def test_a_filter_is_no_fault_of_a_request() -> None:
    body = json.dumps({"error": {"code": "content_filter", "message": "The prompt was filtered."}})
    answer = PLACE.refusal(Reply(400, {"x-request-id": "req_1"}, body))
    assert answer is not None
    assert (answer.refusal, answer.finish_reason) == ("The prompt was filtered.", "content_filter")
    assert answer.provider_request_id == "req_1"
    assert PLACE.refusal(Reply(500, {}, body)) is None
    assert PLACE.refusal(Reply(400, {}, "no")) is None
