"""Answers to ordinary questions: value or prose, and which of them say the same."""
