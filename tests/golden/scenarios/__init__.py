r"""Scenarios whose outcome is pinned as transcripts.

    python -m tests.golden.scenarios --write            every transcript anew
    python -m tests.golden.scenarios --write NAME ...    some of them

A scenario gives a model and a question. It is run twice from scratch, once as a stream of live events and once as
a plain answer; what both come to is its transcript (see `transcript`). Scripted models choose what they say by the
content of their prompts and never by its order, so a transcript does not depend on how an order is drawn.

Every function that knows the package's events stands in `telling`; scenarios speak of pipelines by their names in the
catalog.
"""

from ..scenario import FOLDER, SCENARIOS, can_run, transcript, written
from . import failing, judges, keeping, single, stopping, structure, synthesis, together, votes

__all__ = ["FOLDER", "SCENARIOS", "can_run", "transcript", "written"]
__all__ += ["failing", "judges", "keeping", "single", "stopping", "structure", "synthesis", "together", "votes"]
