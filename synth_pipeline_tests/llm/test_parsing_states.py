"""Answers that the provider disowns or refuses in words, and how a spoilt one is asked for again."""

import json
from typing import Any

import pytest

from synth_pipeline.llm.parsing import Parsed, parse_completion, repair_messages
from synth_pipeline.llm.purchases import Answer
from synth_pipeline_tests.scenario import RECIPE, record_of

RECORD = RECIPE.record.record_class("parcels_record")
A = json.dumps(record_of("p0"))


def parse(content: str | None, **changes: Any) -> Parsed:
    told = {"finish_reason": "stop", "tokens_out": 50, **changes}
    return parse_completion(Answer(content=content, **told), RECORD)


# ------------------------------------------------------------------------------------------ answers that are disowned


@pytest.mark.parametrize("content", [A, A[:90], "", None, "I'm sorry, but I can't."])
@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"finish_reason": "length"}, "cut_off", "the answer was cut off after 90 tokens; raise max_tokens"),
        ({"finish_reason": "max_tokens"}, "cut_off", "the answer was cut off after 90 tokens; raise max_tokens"),
        ({"finish_reason": "content_filter"}, "refused", "the provider's content filter stopped the answer"),
        ({"refusal": " I will not. "}, "refused", "I will not."),
        ({"refusal": "\ud83d No." + "!" * 400}, "refused", "\ufffd No." + "!" * 294 + "…"),
        ({"finish_reason": "no_choices"}, "unparsable", "the answer is empty: the provider sent no choices"),
    ],
)
def test_what_the_provider_disowns_is_no_record_even_if_it_is_whole(
    content: str | None, changes: dict[str, Any], state: str, reason: str
) -> None:
    parsed = parse(content, **{"tokens_out": 90} | changes)
    assert (parsed.state, parsed.reason, parsed.value) == (state, reason, None)


def test_an_empty_refusal_is_none() -> None:
    assert parse(A, refusal=" \n").state == "ok"


REFUSALS = [
    "I'm sorry, but I can't help with that request.",
    "I’m sorry, but no.",
    "Im so sorry, no.",
    "  I cannot write this.",
    "I can't.",
    "I can not assist with that.",
    "I cannot assist with that request.",
    "I could not do that in good conscience.",
    "I am unable to do so.",
    "I'm not able to make up results.",
    "I'm not comfortable writing this.",
    "I’m afraid I must disappoint you.",
    "Sorry, no.",
    "Sorry. No.",
    "My apologies, this is not possible.",
    "I apologize, but this goes too far.",
    "I apologise.",
    "I won't write that.",
    "I will not write that.",
    "I must respectfully decline.",
    "I have to decline this request.",
    "I respectfully decline.",
    "I refuse.",
    "I'd rather not say.",
    "I don't feel comfortable with this.",
    "Unfortunately, I cannot write {this}.",
    "No, I can't do that.",
    "Thank you for asking. I can't do that.",
    "As an AI, I do not write such texts.",
    "As a large language model I have no opinion.",
    "**I'm sorry**, but no.",
]


@pytest.mark.parametrize("content", REFUSALS)
def test_a_refusal_in_words_is_a_refusal(content: str) -> None:
    assert parse(content) == Parsed("refused", content.strip())
    assert parse(f"<think>They want {A}</think>{content}") == Parsed("refused", content.strip())


@pytest.mark.parametrize(
    "content",
    [
        'I\'m sorry. {"note": "It came',
        "I can do that.",
        "I candidly say: no JSON.",
        "Sorrow is near.",
        "As an aid, here it is.",
        "Here is what you want: I cannot.",
    ],
)
def test_what_is_no_refusal_is_asked_for_again(content: str) -> None:
    assert parse(content).state == "unparsable"


# ------------------------------------------------------------------------------------------ asking once more


def test_the_repair_shows_the_prompt_the_spoilt_answer_and_the_reason() -> None:
    prompt = ({"role": "system", "content": "You write."}, {"role": "user", "content": "Write."})
    assert repair_messages(prompt, "Nothing.", "not JSON: no object") == (
        *prompt,
        {"role": "assistant", "content": "Nothing."},
        {
            "role": "user",
            "content": "That answer cannot be used: not JSON: no object. Answer again with the JSON object alone.",
        },
    )
    assert prompt == ({"role": "system", "content": "You write."}, {"role": "user", "content": "Write."})


@pytest.mark.parametrize(
    ("content", "echoed"),
    [
        (None, "(empty)"),
        ("", "(empty)"),
        ("x" * 20_000, "x" * 20_000),
        ("x" * 1_000_000, "x" * 20_000),
        ("It \ud83d came 😀", "It \ufffd came 😀"),
    ],
)
def test_the_spoilt_answer_is_shown_as_far_as_it_can_be(content: str | None, echoed: str) -> None:
    assert repair_messages((), content, "why")[0] == {"role": "assistant", "content": echoed}
