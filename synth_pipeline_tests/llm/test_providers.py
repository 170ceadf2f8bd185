"""The providers file is read row by row; what is wrong with a row is said with its file, its name and its field."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.contracts.errors import MissingKey, ProviderError
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.llm.providers import (
    find_provider,
    find_providers_file,
    load_providers,
    mask_secrets,
    missing_variables,
    price_of,
    require_environment,
)
from synth_pipeline.llm.routes import prepare_litellm

ROW = "{family: acme, models: {default: acme/large}}"
KEYED = Provider(
    name="acme", family="acme", models={"default": "acme/large"}, api_key_env="ACME_KEY", api_base_env="ACME_URL"
)


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "providers.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def row(**fields: object) -> Provider:
    return Provider.model_validate({"name": "acme", "family": "acme", "models": {"default": "acme/large"}, **fields})


def test_the_file_that_ships_can_be_read_and_its_offline_rows_cost_nothing() -> None:
    providers = load_providers(find_providers_file())
    assert [name for name, provider in providers.items() if provider.offline] == [
        "offline-terse",
        "offline-formal",
        "offline-messy",
    ]
    assert all(provider.free for provider in providers.values() if provider.offline)
    assert len({provider.family for provider in providers.values()}) == len(providers)


@pytest.mark.parametrize("name", sorted(load_providers(find_providers_file())))
def test_every_row_that_ships_has_a_price_for_each_of_its_models(name: str) -> None:
    prepare_litellm()
    provider = load_providers(find_providers_file())[name]
    for model in provider.models.values():
        price = price_of(provider, model)
        assert (price.usd_per_mtok_out > 0) is not provider.free


def test_a_variable_may_name_another_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNTH_PROVIDERS", str(tmp_path / "mine.yaml"))
    assert find_providers_file() == tmp_path / "mine.yaml"


def test_rows_keep_their_order_and_the_name_is_the_rows_own(tmp_path: Path) -> None:
    file = write(tmp_path, f"zoe: {ROW}\nanna: {{name: bert, family: a, models: {{default: a/b}}}}\n")
    assert [(key, provider.name) for key, provider in load_providers(file).items()] == [
        ("zoe", "zoe"),
        ("anna", "anna"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no providers\n  fix: write one mapping with a row a provider"),
        ("- anna", "holds no providers"),
        ("anna: [", "cannot be read: while parsing"),
        (b"anna: \xff", "cannot be read: 'utf-8' codec can't decode"),
        ("anna: 7", "row 'anna' is not a mapping\n  fix: mend the row"),
        ("anna: {models: {default: a/b}}", "row 'anna', family: Field required"),
        ("anna: {family: a, models: {}}", "row 'anna', models: Dictionary should have at least 1 item"),
        ("anna: {family: a, models: {write: a/b}}", "row 'anna', row: Value error, no model for ['structure', 'flaw']"),
        ("anna: {family: a, models: {default: a/b}, rpm: 0}", "row 'anna', rpm: Input should be greater than"),
        ("anna: {family: a, models: {default: a/b}, api_key: sk-1}", "row 'anna', api_key: Extra inputs are not"),
        (
            "anna: {family: a, models: {default: a/b}, prices: {a/b: {usd_per_mtok_in: 1}}}",
            "row 'anna', prices.a/b.usd_",
        ),
        (f"An na: {ROW}", "row 'An na', name: String should match pattern"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_to_mend(tmp_path: Path, text: str | bytes, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ProviderError) as caught:
        load_providers(file)
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n  fix: " in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"providers\.yaml: cannot be read: .*No such file[\s\S]*fix: mend it, or"):
        load_providers(tmp_path / "providers.yaml")


def test_an_unknown_provider_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(ProviderError) as caught:
        find_provider({"anna": row(), "bert": row()}, "carl")
    assert str(caught.value) == "providers.yaml: unknown provider 'carl'\n  fix: use one of anna, bert"


def test_a_missing_key_and_address_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_KEY", raising=False)
    monkeypatch.setenv("ACME_URL", "")
    with pytest.raises(MissingKey) as caught:
        require_environment(KEYED)
    assert str(caught.value) == (
        "providers.yaml: provider 'acme' needs ACME_KEY and ACME_URL, not set in the environment\n"
        "  fix: export ACME_KEY=... (see .env.example), or choose another (`synth providers` lists them)"
    )
    monkeypatch.setenv("ACME_KEY", "sk-1")
    assert missing_variables(KEYED) == ["ACME_URL"]
    monkeypatch.setenv("ACME_URL", "http://127.0.0.1:1/v1")
    require_environment(KEYED)


@given(before=st.text(), after=st.text())
def test_a_key_is_shown_as_the_name_of_its_variable(before: str, after: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACME_KEY", "sk-canary-7531")
        masked = mask_secrets(f"{before}sk-canary-7531{after}sk-canary-7531", KEYED)
    assert "sk-canary-7531" not in masked
    assert masked.endswith("<ACME_KEY>")


def test_without_a_key_nothing_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_KEY", raising=False)
    assert mask_secrets("slow down", KEYED) == "slow down"
    assert mask_secrets("slow down", row()) == "slow down"


def test_the_rows_price_goes_before_the_table() -> None:
    mine = Price(usd_per_mtok_in=7, usd_per_mtok_out=9)
    assert price_of(row(prices={"openai/gpt-4.1": mine}), "openai/gpt-4.1") == mine
    prepare_litellm()
    assert price_of(row(), "openai/gpt-4.1") == Price(usd_per_mtok_in=2, usd_per_mtok_out=8)
    assert price_of(row(free=True), "openai/gpt-4.1") == Price(usd_per_mtok_in=0, usd_per_mtok_out=0)


def test_a_price_that_nobody_knows_is_an_error_that_says_what_to_write() -> None:
    prepare_litellm()
    with pytest.raises(ProviderError) as caught:
        price_of(row(), "acme/large")
    assert str(caught.value) == (
        "providers.yaml: row 'acme': the price of 'acme/large' is not known\n"
        "  fix: add prices: {acme/large: {usd_per_mtok_in: ..., usd_per_mtok_out: ...}}, or free: true"
    )
