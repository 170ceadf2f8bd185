"""What a call may use at most, which is reserved before it is sent, and what it will likely use, which paces it."""

from synth_pipeline.contracts.spending import Cost, cost_of
from synth_pipeline.llm.keys import schema_json
from synth_pipeline.llm.purchases import Purchase

CHARACTERS_A_TOKEN = 4
TOKENS_A_MESSAGE = 16  # what a provider wraps around each message; chosen, above what any documents
TOKENS_A_CALL = 512  # what a provider adds by itself where it is asked for a schema (Anthropic documents up to 346)


def worst_cost(purchase: Purchase) -> Cost:
    """Return the most that a purchase may cost: every byte of prompt and schema a token, the longest completion.

    A byte-level tokenizer never makes more tokens than there are bytes.
    """
    request = purchase.request
    text = sum(len(message["content"].encode("utf-8", "surrogatepass")) for message in purchase.messages)
    schema = len(schema_json(request.schema_name, request.record_class).encode())
    tokens_in = text + schema + len(purchase.messages) * TOKENS_A_MESSAGE + TOKENS_A_CALL
    return cost_of(purchase.price, tokens_in, request.max_tokens)


def likely_tokens(purchase: Purchase) -> int:
    """Return what providers count against tokens a minute: the prompt, estimated, and the longest completion."""
    n_characters = sum(len(message["content"]) for message in purchase.messages)
    return n_characters // CHARACTERS_A_TOKEN + purchase.request.max_tokens
