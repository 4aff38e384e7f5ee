"""Votes over structured answers."""
