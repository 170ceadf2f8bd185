"""Flawed variants: records damaged on purpose under a known label, with proof that the damage is there."""

from synth_pipeline.stages.flaws.twins import damage_records, damage_values

__all__ = ["damage_records", "damage_values"]
