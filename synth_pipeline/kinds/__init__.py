"""Kinds of datasets: which function does each stage."""
