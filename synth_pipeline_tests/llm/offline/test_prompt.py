"""What a voice reads of a prompt."""

from typing import Any

from hypothesis import given as holds_for
from hypothesis import strategies as st

from synth_pipeline.llm.offline import OfflineRequest
from synth_pipeline_tests.llm.offline.planned import ask

VALUES = st.dictionaries(st.text(), st.integers() | st.booleans() | st.text() | st.lists(st.text()), min_size=1)


def reads(*contents: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content} for content in contents]
    return OfflineRequest.from_params(messages, {}).given


@holds_for(VALUES.filter(lambda values: "```" not in str(values)))
def test_what_a_json_block_gives_is_read_back(values: dict[str, Any]) -> None:
    assert ask(values).given == values


def test_without_a_block_lines_are_read() -> None:
    assert reads("Please write.\n\ncity: Oslo\n- sample size: 40\nopen: true") == {
        "city": "Oslo",
        "sample_size": 40,
        "open": True,
    }


def test_without_either_nothing_is_given() -> None:
    assert reads("Write something nice.") == {}


def test_a_block_that_is_no_json_is_passed_over() -> None:
    assert reads("```json\n{broken\n```", '```json\n{"a": 1}\n```') == {"a": 1}


def test_a_repair_that_follows_keeps_the_first_block() -> None:
    assert reads('```json\n{"a": 1}\n```', "That was not JSON: Expecting value. Answer again.") == {"a": 1}


def test_content_in_parts_is_joined() -> None:
    assert reads([{"type": "text", "text": '```json\n{"a": 1}\n```'}]) == {"a": 1}


def test_the_name_of_the_schema_tells_recipe_and_role() -> None:
    request = ask({}, "flaw")
    assert (request.recipe, request.role) == ("evidence", "flaw")
