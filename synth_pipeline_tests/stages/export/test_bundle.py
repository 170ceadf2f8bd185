"""An export holds the valid items, each where the manifest says, and equal items make equal bytes."""

import hashlib
import io
import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.contracts.identity import canonical_json, sha256_text
from synth_pipeline.contracts.tables import FINETUNE_EXPORT
from synth_pipeline.stages.export import Bundle, bundle_files
from synth_pipeline_tests.scenario import RECIPE, TEMPLATES, item, recipe_with, record_of, validated_frame

IDENTITY = {"recipe": "parcels", "provider": "anna", "seed": 7, "recipe_sha256": "ab"}
FILES = {
    *(f"conversational/{split}.jsonl" for split in ("train", "validation", "test")),
    *(f"parquet/{split}.parquet" for split in ("train", "validation", "test")),
}


def bundle(rows: list[dict[str, Any]]) -> Bundle:
    """Return the export of these items."""
    return bundle_files(validated_frame(rows), RECIPE, TEMPLATES["export"], identity=IDENTITY)


def pair(index: int) -> list[dict[str, Any]]:
    """Return a record and its flawed twin."""
    clean = item(f"w{index}", planned_id=f"planned-{index}")
    twin = {"record_id": f"w{index}", "variant_id": f"v{index}", "flaw": "missing_scans", "severity": "low"}
    return [clean, item(f"v{index}", planned_id=f"planned-{index}", **twin)]


PAIRS = [row for index in range(40) for row in pair(index)]
WHOLE = bundle(PAIRS)


def messages(content: bytes) -> list[list[dict[str, str]]]:
    """Return the conversations of a conversational file."""
    return [json.loads(line)["messages"] for line in content.decode().splitlines()]


@settings(max_examples=10, deadline=None)
@given(st.permutations(PAIRS[:12]))
def test_the_order_of_the_items_does_not_matter(rows: list[dict[str, Any]]) -> None:
    shuffled, ordered = bundle(rows), bundle(PAIRS[:12])
    assert shuffled.files == ordered.files
    assert shuffled.frame.equals(ordered.frame)


def test_twins_never_straddle_a_split() -> None:
    split_of = WHOLE.frame.group_by("planned_id").agg(pl.col("split").n_unique().alias("n"), pl.len())
    assert split_of["n"].unique().to_list() == [1]
    assert split_of["len"].unique().to_list() == [4]  # record and twin, in both formats
    assert WHOLE.frame["split"].n_unique() == 3


def test_an_item_keeps_its_split_when_more_are_exported() -> None:
    before = bundle(PAIRS[:20]).frame.select("line_id", "split")
    assert before.join(WHOLE.frame, on=["line_id", "split"], how="anti").is_empty()


def test_every_split_of_every_format_is_a_file_even_an_empty_one() -> None:
    assert set(WHOLE.files) == {*FILES, "manifest.json"}
    assert set(bundle(PAIRS[:2]).files) == {*FILES, "manifest.json"}


def test_the_manifest_lists_each_file_with_its_sum_its_size_and_its_lines() -> None:
    manifest = json.loads(WHOLE.files["manifest.json"])
    assert {entry["path"] for entry in manifest["files"]} == FILES
    for entry in manifest["files"]:
        content = WHOLE.files[entry["path"]]
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
    lines = {entry["path"]: entry["lines"] for entry in manifest["files"]}
    assert lines["conversational/train.jsonl"] == WHOLE.files["conversational/train.jsonl"].count(b"\n")
    assert sum(lines.values()) == WHOLE.frame.height == 160


def test_the_manifest_says_what_the_export_was_made_from() -> None:
    manifest = json.loads(WHOLE.files["manifest.json"])
    assert {name: manifest[name] for name in IDENTITY} == IDENTITY
    assert (manifest["n_items"], manifest["offline"], manifest["manifest_version"]) == (80, False, 1)


def test_an_export_of_an_offline_stand_in_says_so() -> None:
    offline = bundle([item("w0", offline=True), item("w1")])
    assert json.loads(offline.files["manifest.json"])["offline"] is True


def test_the_same_items_make_the_same_bytes() -> None:
    assert bundle(PAIRS).files == WHOLE.files


def test_what_is_not_valid_is_not_exported() -> None:
    rows = [item("w0"), item("w1", state="rejected"), item("w2", state="flagged")]
    assert set(bundle(rows).frame["item_id"]) == {"w0"}


def test_nothing_valid_makes_empty_files_and_an_empty_table() -> None:
    empty = bundle([item("w0", state="rejected")])
    assert empty.frame.schema == FINETUNE_EXPORT.schema
    assert empty.frame.height == 0
    assert empty.files["conversational/train.jsonl"] == b""
    assert pl.read_parquet(io.BytesIO(empty.files["parquet/train.parquet"])).height == 0


def test_a_line_is_a_conversation_that_trainers_read() -> None:
    clean, flawed = pair(0)
    exported = bundle([clean, flawed])
    split = exported.frame["split"][0]
    assert messages(exported.files[f"conversational/{split}.jsonl"]) == [
        [
            {"role": "user", "content": clean["text"]},
            {"role": "assistant", "content": '{"flaw":null,"topic":"late"}'},
        ],
        [
            {"role": "user", "content": flawed["text"]},
            {"role": "assistant", "content": '{"flaw":"missing_scans","topic":"late"}'},
        ],
    ]


@pytest.mark.parametrize(
    "text", ['He said: "late"\nand left.', "Grüezi, 包裹 \u2028 broken", "{{ topic }} {% if %}", "a\tb\\n"]
)
def test_any_text_stays_on_its_line_as_it_is(text: str) -> None:
    exported = bundle([item("w0", text)])
    content = exported.files[f"conversational/{exported.frame['split'][0]}.jsonl"]
    assert content.count(b"\n") == 1
    assert json.loads(content)["messages"][0]["content"] == text


def test_an_answer_of_a_recipe_without_flaws_is_the_label_alone() -> None:
    recipe = recipe_with(flaws=None, quantities=None, flaws_by=None)
    exported = bundle_files(validated_frame([item("w0")]), recipe, TEMPLATES["export"], identity=IDENTITY)
    content = exported.files[f"conversational/{exported.frame['split'][0]}.jsonl"]
    assert messages(content)[0][1] == {"role": "assistant", "content": '{"topic":"late"}'}


def test_a_parquet_file_holds_the_same_items_in_the_same_order() -> None:
    for split in ("train", "validation", "test"):
        table = pl.read_parquet(io.BytesIO(WHOLE.files[f"parquet/{split}.parquet"]))
        shown = [conversation[0]["content"] for conversation in messages(WHOLE.files[f"conversational/{split}.jsonl"])]
        assert table["text"].to_list() == shown
        assert {"label", "flaw", "severity", "record", "offline", "topic", "city", "tone"} <= set(table.columns)


def test_every_line_is_traced_to_its_item_and_its_record() -> None:
    row = WHOLE.frame.filter((pl.col("item_id") == "v3") & (pl.col("format") == "conversational")).row(0, named=True)
    assert (row["record_id"], row["planned_id"], row["label"], row["flaw"]) == (
        *("w3", "planned-3", "late", "missing_scans"),
    )
    shown = messages(WHOLE.files[row["file"]])[row["line_number"] - 1][0]["content"]
    assert shown == "A note of its own, number v3."


def test_a_line_carries_the_sum_of_the_record_behind_it() -> None:
    record = canonical_json(record_of("p0"))
    exported = bundle([item("w0", record=record, checksum=sha256_text(record))])
    assert exported.frame["record_sha256"].unique().to_list() == [hashlib.sha256(record.encode()).hexdigest()]


def test_a_merged_export_names_itself_and_keeps_every_providers_items() -> None:
    rows = [item("a0", planned_id="p0"), item("b0", planned_id="p0", provider="bert")]
    merged = bundle_files(
        validated_frame(rows), RECIPE, TEMPLATES["export"], identity=IDENTITY | {"provider": "merged"}
    )
    assert merged.frame["provider"].unique().to_list() == ["merged"]
    assert merged.frame["split"].n_unique() == 1
    assert set(merged.frame["item_id"]) == {"a0", "b0"}
