"""Tests of the offline provider."""
