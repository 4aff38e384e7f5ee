"""Pipelines inside other programs."""
