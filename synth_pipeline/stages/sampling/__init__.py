"""The sampling plan: how many records from which cell, with every number that they must state."""

from synth_pipeline.stages.sampling.plan import plan_records

__all__ = ["plan_records"]
