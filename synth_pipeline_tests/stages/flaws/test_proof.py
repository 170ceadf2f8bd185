"""A twin is proven when one sentence changed, from the healthy value to the sick one, and nothing else did."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.stages.flaws.proof import PROVEN, Span, count_stated, find_span, prove

SOURCE = "The parcel came late. It was scanned 8 times on the way. I ask why."
TWIN = "The parcel came late. It was scanned 3 times on the way. I ask why."
WORDS = st.lists(st.text("abc ", min_size=1, max_size=4), max_size=12).map(" ".join)


def verdict(variant: str, source: str = SOURCE, *, healthy: str = "8", sick: str = "3") -> str:
    """Return what is said of a variant of the source."""
    return prove(source, variant, healthy=healthy, sick=sick)


def test_the_planned_change_in_one_sentence_is_proven() -> None:
    assert verdict(TWIN) == PROVEN


def test_a_sentence_may_be_written_anew_around_the_sick_value() -> None:
    assert verdict("The parcel came late. Only 3 scans were made of it. I ask why.") == PROVEN


def test_an_unchanged_text_is_not_proven() -> None:
    assert verdict(SOURCE) == "the text did not change"


def test_white_space_is_no_change() -> None:
    assert verdict(SOURCE.replace(". ", ".  ")) == "the text did not change"


def test_a_second_changed_sentence_is_not_proven() -> None:
    assert verdict(TWIN.replace("late", "early")) == "2 sentences differ, not exactly one"


def test_an_added_or_dropped_sentence_is_not_proven() -> None:
    assert verdict(TWIN + " It was 3 times.") == "the variant has 4 sentences, its source 3"
    assert verdict("It was scanned 3 times on the way. I ask why.") == "the variant has 2 sentences, its source 3"


def test_sentences_in_another_order_are_not_proven() -> None:
    assert verdict("It was scanned 3 times on the way. The parcel came late. I ask why.") == (
        "2 sentences differ, not exactly one"
    )


def test_a_source_that_never_stated_the_healthy_value_is_not_proven() -> None:
    assert verdict(TWIN, SOURCE.replace("8", "9")) == "the changed sentence did not state the healthy value 8"


def test_a_change_elsewhere_is_not_proven() -> None:
    assert verdict(SOURCE.replace("late", "3 days late")) == "the changed sentence did not state the healthy value 8"


def test_a_variant_without_the_sick_value_is_not_proven() -> None:
    assert verdict(TWIN.replace("3", "4")) == "the changed sentence does not state the sick value 3"


def test_a_sick_value_inside_a_longer_number_is_not_proven() -> None:
    assert verdict(TWIN.replace("3", "13")) == "the changed sentence does not state the sick value 3"


def test_a_sick_value_that_stood_there_before_proves_nothing() -> None:
    source, variant = "It took 3 days and 8 scans.", "It took 3 days and 9 scans."
    assert verdict(variant, source) == "the changed sentence does not state the sick value 3"


def test_a_variant_that_also_keeps_the_healthy_value_is_not_proven() -> None:
    assert verdict(TWIN.replace("3 times", "3 or 8 times")) == "the changed sentence still states the healthy value 8"


def test_a_healthy_number_that_means_something_else_too_may_stay_once() -> None:
    assert verdict("In 8 days it made 3 scans.", "In 8 days it made 8 scans.") == PROVEN


def test_thousands_may_be_parted() -> None:
    assert verdict("There were 80 near it.", "There were 1,240 near it.", healthy="1240", sick="80") == PROVEN


def test_decimals_are_values_of_their_own() -> None:
    source, variant = "Padding was 3.5 cm.", "Padding was 0.2 cm."
    assert verdict(variant, source, healthy="3.5", sick="0.2") == PROVEN
    assert verdict(variant, source, healthy="3", sick="0.2") == "the changed sentence did not state the healthy value 3"


@settings(deadline=None)
@given(WORDS, WORDS)
def test_outside_the_span_both_texts_are_equal(source: str, variant: str) -> None:
    span = find_span(source, variant)
    assert variant[span.start : span.end] == span.after
    assert variant[: span.start] + span.before + variant[span.end :] == source


@settings(deadline=None)
@given(WORDS)
def test_equal_texts_have_no_span(text: str) -> None:
    assert find_span(text, text) == Span(0, 0, "", "")


def test_the_span_is_the_word_that_changed() -> None:
    assert find_span(SOURCE, TWIN) == Span(37, 38, "8", "3")


def test_the_span_reaches_from_the_first_change_to_the_last() -> None:
    span = find_span("a b c d e", "a x c y e")
    assert (span.before, span.after, span.start, span.end) == ("b c d", "x c y", 2, 7)


@pytest.mark.parametrize(
    ("text", "number", "times"),
    [
        ("8 of 8", "8", 2),
        ("18 or 80 or 8.5 or 0.8 or 8,5", "8", 0),
        ("it was 8.", "8", 1),
        ("it was 8, then", "8", 1),
        ("(8) [8] 8% 8g", "8", 4),
        ("1,234 or 1234 or 1 234", "1234", 3),
        ("11,234 or 1,2345 or 1234.5", "1234", 0),
        ("p = 0.050", "0.05", 0),
        ("p = 0.05; q = 0.05.", "0.05", 2),
        ("it fell by -0.5", "-0.5", 1),
        ("", "8", 0),
    ],
)
def test_a_number_counts_only_where_it_stands_whole(text: str, number: str, times: int) -> None:
    assert count_stated(text, number) == times
