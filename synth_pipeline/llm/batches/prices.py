"""What tokens cost that are bought through a provider's batch API."""

from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.llm.providers import price_of


def batch_price_of(provider: Provider, model: str) -> Price:
    """Return what `model` costs in a batch: the ordinary price where no other is known.

    Raises:
        ProviderError: not even that is known.
    """
    return find_batch_price(provider, model) or _plain(price_of(provider, model))


def find_batch_price(provider: Provider, model: str) -> Price | None:
    """Return what `model` costs in a batch, as the row says, else LiteLLM's table; None where neither does.

    A row that names its own price for the model is not mixed with LiteLLM's.
    """
    if provider.free:
        return Price(usd_per_mtok_in=0, usd_per_mtok_out=0)
    if model in provider.prices:
        row = provider.prices[model]
        return _price(row.batch_usd_per_mtok_in, row.batch_usd_per_mtok_out)
    import litellm

    listed = litellm.model_cost.get(model) or litellm.model_cost.get(model.split("/", 1)[-1]) or {}
    per_token = (listed.get("input_cost_per_token_batches"), listed.get("output_cost_per_token_batches"))
    return _price(*(None if usd is None else usd * 1e6 for usd in per_token))


def _price(usd_per_mtok_in: float | None, usd_per_mtok_out: float | None) -> Price | None:
    if usd_per_mtok_in is None or usd_per_mtok_out is None:
        return None
    return Price(usd_per_mtok_in=usd_per_mtok_in, usd_per_mtok_out=usd_per_mtok_out)


def _plain(price: Price) -> Price:
    return Price(usd_per_mtok_in=price.usd_per_mtok_in, usd_per_mtok_out=price.usd_per_mtok_out)
