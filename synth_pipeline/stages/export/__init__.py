"""The fine-tuning export: the files that trainers read, split without leakage, every line traceable."""

from synth_pipeline.stages.export.bundle import Bundle, bundle_files

__all__ = ["Bundle", "bundle_files"]
