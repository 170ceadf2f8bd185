"""From a completion's text to a validated value, or to the reason why there is none.

An error is never data, and nothing is invented: every text, number and name of a value stands in the completion.
"""

from synth_pipeline.llm.parsing.completion import Completion, parse_completion, repair_messages
from synth_pipeline.llm.parsing.record import Parsed

__all__ = ["Completion", "Parsed", "parse_completion", "repair_messages"]
