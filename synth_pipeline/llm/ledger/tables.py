"""The ledger's tables; money is whole nano-dollars, `scopes` a JSON list of the names that a row is booked under."""

from sqlalchemy import Column, Float, Index, Integer, MetaData, Table, Text, null, select, union_all
from sqlalchemy.schema import CreateView

LAYOUT = 2  # SQLite's user_version of a ledger with these tables; 0: the table `calls` alone, as it was before

METADATA = MetaData()

CALLS = Table(  # one row per call key that was answered; LedgerEntry's fields, and what the answer cost
    "calls",
    METADATA,
    Column("call_key", Text, primary_key=True),
    Column("recipe_role", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("template_version", Text, nullable=False),
    Column("template_sha256", Text, nullable=False),
    Column("sample", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("messages", Text, nullable=False),
    Column("content", Text),
    Column("refusal", Text),
    Column("finish_reason", Text, nullable=False),
    Column("tokens_in", Integer, nullable=False),
    Column("tokens_out", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("completed_at", Text, nullable=False),
    Column("latency_s", Float, nullable=False),
    Column("provider_request_id", Text),
    Column("recipe", Text, nullable=False, server_default=""),
    Column("partition", Text),
    Column("run", Text),
    Column("parameters", Text),
    Column("schema_sha256", Text),
    Column("tries", Integer, nullable=False, server_default="1"),
    Column("status", Text, nullable=False, server_default="received"),
    Column("reason", Text),
    Column("parsed", Text),
    Column("nano_usd", Integer, nullable=False, server_default="0"),
    Column("tokens", Integer, nullable=False, server_default="0"),
    Column("scopes", Text, nullable=False, server_default="[]"),
    Index("ix_calls_recipe_role_provider", "recipe_role", "provider"),
)

TRIES = Table(  # one row per try that brought nothing; FailedTry's fields, and what it may have cost all the same
    "tries",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("call_key", Text, nullable=False, index=True),
    Column("holder", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("failed_at", Text, nullable=False),
    Column("recipe_role", Text),
    Column("provider", Text),
    Column("model", Text),
    Column("sample", Text),
    Column("attempt", Integer),
    Column("tries", Integer),
    Column("recipe", Text),
    Column("partition", Text),
    Column("run", Text),
    Column("fault", Text),
    Column("http_status", Integer),
    Column("latency_s", Float),
    Column("nano_usd", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("scopes", Text, nullable=False),
)

CLAIMS = Table(  # one row per call that is being bought, with what is reserved for it
    "claims",
    METADATA,
    Column("call_key", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("nano_usd", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("claimed_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

HOLDERS = Table(  # one row per completer at work; `started` tells its process from a later one with the same pid
    "holders",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text),
    Column("beat_at", Float, nullable=False),
)

TOTALS = Table(  # one row per scope; the sums over calls and tries, and over claims
    "totals",
    METADATA,
    Column("scope", Text, primary_key=True),
    Column("nano_usd", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("reserved_nano_usd", Integer, nullable=False),
    Column("reserved_tokens", Integer, nullable=False),
    sqlite_with_rowid=False,
)

PACES = Table(  # one row per pace: when its next call may start, in seconds since 1970
    "paces",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("next_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

SCHEMAS = Table(  # one row per JSON schema that was asked for
    "schemas",
    METADATA,
    Column("sha256", Text, primary_key=True),
    Column("schema", Text, nullable=False),
)

BATCHES = Table(  # one row per batch handed to a provider; `holder` attends to it, `scopes` and price are its calls'
    "batches",
    METADATA,
    Column("batch_key", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("run", Text),
    Column("partition", Text),
    Column("remote_id", Text),
    Column("input_file_id", Text),
    Column("status", Text, nullable=False),
    Column("n_calls", Integer, nullable=False),
    Column("submitted_at", Text),
    Column("finished_at", Text),
    Column("call_keys", Text, nullable=False),
    Column("holder", Text),
    Column("scopes", Text, nullable=False),
    Column("usd_per_mtok_in", Float, nullable=False),
    Column("usd_per_mtok_out", Float, nullable=False),
)

BATCH_CALLS = Table(  # one row per call of a batch that is not finished: what will be kept of it, but for the answer
    "batch_calls",
    METADATA,
    Column("call_key", Text, primary_key=True),
    Column("batch_key", Text, nullable=False, index=True),
    Column("entry", Text, nullable=False),
)

_SHARED = (  # what a call and a try both tell
    *("call_key", "attempt", "tries", "status", "reason", "recipe_role", "provider", "model", "sample"),
    *("recipe", "partition", "run", "latency_s", "nano_usd", "tokens", "scopes"),
)
ATTEMPTS = CreateView(  # one row per attempt made, with its status
    union_all(
        select(
            *(CALLS.c[name] for name in _SHARED),
            CALLS.c.completed_at.label("ended_at"),
            null().label("fault"),
            null().label("http_status"),
            CALLS.c.finish_reason,
            CALLS.c.provider_request_id,
        ),
        select(
            *(TRIES.c[name] for name in _SHARED),
            TRIES.c.failed_at.label("ended_at"),
            TRIES.c.fault,
            TRIES.c.http_status,
            null().label("finish_reason"),
            null().label("provider_request_id"),
        ),
    ),
    "attempts",
    sqlite_if_not_exists=True,
)
