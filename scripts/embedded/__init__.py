"""Trains the small models that ship inside the package, on a CPU, from generated problems."""
