"""Voices: three that differ, with dials that refuse what is no share."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from synth_pipeline.contracts.errors import RecipeError
from synth_pipeline.llm.offline import load_voices
from synth_pipeline.llm.offline.faults import FAULTS


def test_there_are_three_voices_and_the_messy_one_errs_most() -> None:
    n_bad = {n: sum(getattr(v.dials, f) for f in FAULTS) - v.dials.rate_limit for n, v in load_voices().items()}
    assert set(n_bad) == {"terse", "formal", "messy"}
    assert n_bad["terse"] < 0.05 < n_bad["formal"] < 0.08
    assert 0.25 < n_bad["messy"] < 0.4


def test_a_dial_past_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        load_voices()["terse"].with_dials(refusal=1.5)


def test_a_broken_file_of_voices_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "voices.yaml"
    path.write_text("loud: {dials: {refusal: 2}}")
    with pytest.raises(RecipeError, match=r"voices\.yaml: dials\.refusal"):
        load_voices(path)
