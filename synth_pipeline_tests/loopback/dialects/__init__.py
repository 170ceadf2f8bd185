"""The providers' formats: each reads a request into an `Ask` and writes a `Completion` or an error as it does."""

from synth_pipeline_tests.loopback.dialects.anthropic import ANTHROPIC
from synth_pipeline_tests.loopback.dialects.ask import Ask, Dialect
from synth_pipeline_tests.loopback.dialects.gemini import GEMINI
from synth_pipeline_tests.loopback.dialects.openai import OPENAI

__all__ = ["ANTHROPIC", "GEMINI", "OPENAI", "Ask", "Dialect"]
