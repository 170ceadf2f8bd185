"""Errors that a user can cause end a step with their message, not with a stack trace."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import dagster as dg

from synth_pipeline.contracts.errors import SynthError

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def explaining() -> Iterator[None]:
    """Turn our own errors into a Dagster failure that says what, where and what to do now."""
    try:
        yield
    except SynthError as error:
        raise dg.Failure(description=str(error), metadata=_facts(error), allow_retries=False) from None


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` with its errors explained."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with explaining():
            return function(*args, **kwargs)

    return wrapper


def _facts(error: SynthError) -> dict[str, str]:
    facts = {"error": type(error).__name__, "where": error.where, "fix": error.fix}
    return {name: value for name, value in facts.items() if value}
