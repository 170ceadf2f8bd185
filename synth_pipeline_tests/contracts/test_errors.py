"""Every error says what, where and what to do now; the command line tells the user's faults from ours."""

import pickle

import pytest

from synth_pipeline.contracts import errors
from synth_pipeline.contracts.errors import (
    CallError,
    ExportError,
    InputError,
    MissingKey,
    PermanentCallError,
    PromptError,
    ProviderError,
    RecipeError,
    ReferenceFileError,
    StorageError,
    SynthError,
    TableError,
    TransientCallError,
    VerificationError,
)

OURS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, SynthError)]
OF_THE_USER = {InputError, RecipeError, PromptError, ProviderError, MissingKey, ReferenceFileError}


def test_a_message_reads_place_fault_and_fix() -> None:
    error = SynthError("share -0.1 is negative", where="axes.city", fix="write 0 or more")
    assert str(error) == "axes.city: share -0.1 is negative\n  fix: write 0 or more"


def test_a_message_leaves_out_what_is_not_known() -> None:
    assert str(SynthError("the disk is full")) == "the disk is full"
    assert str(SynthError("the disk is full", fix="make room")) == "the disk is full\n  fix: make room"
    assert str(SynthError("the disk is full", where="/data")) == "/data: the disk is full"


@pytest.mark.parametrize("error_class", OURS)
def test_every_error_carries_its_culprit_and_its_exit_code(error_class: type[SynthError]) -> None:
    error = error_class("what", where="where", fix="fix")
    assert (error.what, error.where, error.fix) == ("what", "where", "fix")
    assert str(error) == "where: what\n  fix: fix"
    assert error.exit_code == (2 if error_class in OF_THE_USER else 1)


@pytest.mark.parametrize("error_class", OURS)
def test_every_error_comes_back_whole_from_another_process(error_class: type[SynthError]) -> None:
    error = error_class("what", where="where", fix="fix")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert (type(back), str(back)) == (error_class, str(error))


def test_the_wait_that_a_provider_asks_for_comes_back_from_another_process() -> None:
    error = TransientCallError("too many requests", where="anna", retry_after_s=12.5)
    assert pickle.loads(pickle.dumps(error)).retry_after_s == 12.5  # noqa: S301  # our own bytes


def test_a_provider_that_says_no_time_to_wait_is_known_to_say_none() -> None:
    assert TransientCallError("the line broke").retry_after_s is None


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (RecipeError, InputError),
        (PromptError, InputError),
        (MissingKey, ProviderError),
        (ProviderError, InputError),
        (ReferenceFileError, InputError),
        (TransientCallError, CallError),
        (PermanentCallError, CallError),
    ],
)
def test_who_catches_the_family_catches_its_members(narrow: type[SynthError], wide: type[SynthError]) -> None:
    with pytest.raises(wide, match="where: what"):
        raise narrow("what", where="where")


@pytest.mark.parametrize("error_class", [TableError, StorageError, ExportError, VerificationError, CallError])
def test_what_is_no_fault_of_the_user_is_not_caught_as_one(error_class: type[SynthError]) -> None:
    assert not issubclass(error_class, InputError)
