"""Equal names give equal identities and streams on every machine and for ever; any other name gives another."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.identity import (
    call_key,
    canonical_json,
    cell_id,
    digest,
    planned_id,
    record_id,
    rng_for,
    seed_for,
    sha256_text,
    variant_id,
)

# Each is the first 24 digits that sha256sum gives for the JSON of the names, which stands beside it.
CELL = "c7b5d28023e0d2a8de3bce0a"  # ["cell",{"city":"Bern","topic":"late"}]
PLANNED = "f0996b05505dca033e9f683f"  # ["planned","parcels",7,CELL,2]
RECORD = "055d379f5d7f98dbc641c33c"  # ["record",PLANNED,"anna"]
VARIANT = "f94c5207fe03cf83c0e66563"  # ["variant",RECORD,"missing_scans","high"]
CALL = "4e34e79351909888b27a3184"
CALL_PARTS: dict[str, Any] = {
    "model": "anna:large",
    "messages": [{"role": "user", "content": "Grüezi"}],
    "parameters": {"temperature": 0.5, "max_tokens": 16, "seed": 3},
    "schema_json": '{"type":"object"}',
    "template_version": "write@1.0:ab",
    "sample": PLANNED,
    "attempt": 0,
}
NAMES = st.lists(st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none()), max_size=4)


def test_the_chain_of_ids_never_changes() -> None:
    assert cell_id({"city": "Bern", "topic": "late"}) == CELL
    assert planned_id("parcels", 7, CELL, 2) == PLANNED
    assert record_id(PLANNED, "anna") == RECORD
    assert variant_id(RECORD, "missing_scans", "high") == VARIANT


def test_the_key_of_a_purchase_never_changes() -> None:
    assert call_key(**CALL_PARTS) == CALL


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("model", "anna:small"),
        ("messages", [{"role": "user", "content": "Grüezi!"}]),
        ("messages", [{"role": "system", "content": "Grüezi"}]),
        ("messages", []),
        ("parameters", {"temperature": 0.6, "max_tokens": 16, "seed": 3}),
        ("parameters", {"temperature": 0.5, "max_tokens": 16}),
        ("schema_json", '{"type":"array"}'),
        ("template_version", "write@1.1:ab"),
        ("sample", "another"),
        ("attempt", 1),
    ],
)
def test_a_purchase_with_one_part_changed_is_another_purchase(part: str, other: object) -> None:
    assert call_key(**{**CALL_PARTS, part: other}) != CALL


def test_the_order_in_which_parameters_are_named_is_no_part_of_a_purchase() -> None:
    assert call_key(**{**CALL_PARTS, "parameters": {"seed": 3, "max_tokens": 16, "temperature": 0.5}}) == CALL


def test_a_cell_is_the_same_whatever_the_order_of_its_axes() -> None:
    assert cell_id({"topic": "late", "city": "Bern"}) == CELL


def test_every_kind_of_id_has_a_name_of_its_own() -> None:
    assert len({digest(kind, "a", "b") for kind in ("cell", "planned", "record", "variant", "call")}) == 5
    assert record_id("a", "b") != variant_id("a", "b", "")


@settings(deadline=None)
@given(NAMES, NAMES)
def test_names_are_one_identity_exactly_when_they_are_written_alike(one: list[object], other: list[object]) -> None:
    assert (digest(*one) == digest(*other)) == (canonical_json(one) == canonical_json(other))


def test_joining_two_names_is_not_having_two_names() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("1") != digest(1)


def test_canonical_json_sorts_keys_and_leaves_text_as_it_is() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "Grüezi"}) == '{"a":"Grüezi","b":[1,2.5,null]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_write_has_no_canonical_form(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"score": value})


def test_text_is_hashed_as_utf_8() -> None:
    assert sha256_text("Grüezi") == "673054573d9a106a0867472c65ece9e8426f32ac42b3fff4742bb26ac12ee164"


def test_half_a_surrogate_pair_has_a_hash_too() -> None:
    assert sha256_text("\ud83d") != sha256_text("\ude00")


def test_a_seed_never_changes() -> None:
    assert seed_for("write", "p0") == 2138508476


@settings(deadline=None)
@given(NAMES)
def test_a_seed_fits_what_providers_take(names: list[object]) -> None:
    assert 0 <= seed_for(*names) < 2**31


def test_a_stream_never_changes() -> None:
    stream = rng_for("damage", "p0")
    assert (stream.random(), stream.randrange(1000)) == (0.39525362994896884, 870)


def test_every_name_of_a_stream_counts() -> None:
    firsts = {rng_for(*names).random() for names in (("damage", "p0"), ("damage", "p1"), ("write", "p0"), ("damage",))}
    assert len(firsts) == 4


def test_a_stream_is_not_moved_by_what_others_draw() -> None:
    untouched = rng_for("damage", "p0").random()
    random.random()
    rng_for("damage", "p1").random()
    assert rng_for("damage", "p0").random() == untouched
