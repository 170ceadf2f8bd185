"""The discriminator score: how well a classifier tells synthetic from real, with floor, baseline and give-aways."""

from synth_pipeline.stages.discriminator.score import score_slices

__all__ = ["score_slices"]
