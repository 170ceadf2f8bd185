"""Makes a new ledger's tables, and brings a ledger of an older layout to today's."""

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from synth_pipeline.contracts.identity import canonical_json
from synth_pipeline.contracts.spending import NANO
from synth_pipeline.llm.ledger.tables import ATTEMPTS, CALLS, LAYOUT, METADATA, TOTALS

WITHOUT_BATCHES = 1  # a layout whose table `batches` nothing wrote to
OLD_INDEXES = ("ix_calls_recipe_role", "ix_calls_provider")


class NewerLayout(Exception):
    """The ledger was written by a later version.

    Args:
        layout: the ledger's.
    """

    known = LAYOUT

    def __init__(self, layout: int) -> None:
        super().__init__(layout)
        self.layout = layout


def is_laid_out(connection: Connection) -> bool:
    """Return whether the ledger has today's layout.

    Raises:
        NewerLayout: its layout is a later one.
    """
    layout = _layout_of(connection)
    if layout > LAYOUT:
        raise NewerLayout(layout)
    return layout == LAYOUT


def lay_out(connection: Connection) -> None:
    """Bring the ledger to today's layout, within the transaction that `connection` is in."""
    held = {row.name for row in connection.exec_driver_sql("PRAGMA table_info(calls)")}
    layout = _layout_of(connection)
    if layout == WITHOUT_BATCHES:
        connection.exec_driver_sql("DROP TABLE IF EXISTS batches")
    _make_tables(connection, held)
    if held and layout == 0:
        _book_old_calls(connection)
    connection.exec_driver_sql(f"PRAGMA user_version={LAYOUT}")


def _layout_of(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _make_tables(connection: Connection, held: set[str]) -> None:
    for column in CALLS.columns:
        if held and column.name not in held:
            made = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE calls ADD COLUMN {made}")
    for name in OLD_INDEXES:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
    for table in METADATA.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))
    connection.execute(ATTEMPTS)


def _book_old_calls(connection: Connection) -> None:
    """Book what was bought before under its recipe: all that is known of it."""
    recipes = {
        role: role.rpartition("__")[0] or role for role in connection.scalars(select(CALLS.c.recipe_role).distinct())
    }
    book = (
        update(CALLS)
        .where(CALLS.c.recipe_role == bindparam("role"))
        .values(
            recipe=bindparam("of"),
            scopes=bindparam("under"),
            nano_usd=func.round(CALLS.c.cost_usd * NANO),
            tokens=CALLS.c.tokens_in + CALLS.c.tokens_out,
        )
    )
    for role, recipe in recipes.items():
        connection.execute(book, {"role": role, "of": recipe, "under": canonical_json([f"recipe:{recipe}"])})
    sums = select(CALLS.c.recipe, func.sum(CALLS.c.nano_usd), func.sum(CALLS.c.tokens)).group_by(CALLS.c.recipe)
    for recipe, nano_usd, tokens in connection.execute(sums).all():
        row = {"scope": f"recipe:{recipe}", "nano_usd": nano_usd, "tokens": tokens}
        connection.execute(insert(TOTALS).values(**row, reserved_nano_usd=0, reserved_tokens=0))
