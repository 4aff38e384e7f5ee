"""The cluster's tests run wherever Ray is installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("ray") else ["test_ray_engine.py"]
