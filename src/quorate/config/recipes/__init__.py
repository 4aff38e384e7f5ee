"""Entries on their way into the modules of their classes."""
