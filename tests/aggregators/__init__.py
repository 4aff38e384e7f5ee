"""Tests of the aggregators."""
