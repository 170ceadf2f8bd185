"""The validated set: every record and variant with a verdict and a reason from every rule; nothing is dropped."""

from synth_pipeline.stages.validation.merging import merge_sets
from synth_pipeline.stages.validation.verdicts import validate

__all__ = ["merge_sets", "validate"]
