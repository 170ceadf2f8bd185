"""The Dagster shell: components, partitions, IO managers, resources, checks, metadata."""

from synth_pipeline.components.text_dataset import TextDataset

__all__ = ["TextDataset"]
