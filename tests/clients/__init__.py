"""The programs that people have, as clients of `quorate serve`; those that are not installed are left out.

`make test-clients` installs them all into an environment of their own.
"""
