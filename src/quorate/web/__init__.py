"""What browsers are given: the server's page, the parts that reports share with it, and the libraries of both.

`page/` is written by hand, `parts/` is used by reports too, and `vendor/` comes from the npm registry at fixed
versions (`scripts/vendor_web.py`), with its licences. All of it ships in the wheel and is served as it is.
"""

from .assets import Asset, find_asset, read_part

__all__ = ["Asset", "find_asset", "read_part"]
