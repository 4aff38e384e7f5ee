"""Stand-ins for tests of your own: a model in memory, and a real HTTP server that does what it is told.

model = ScriptedModel(["4", "4", "5"])
answer = await (sample(model, n=3) | MajorityVote()).answer("What is 2 + 2?")

async with ScriptedUpstream([Fault.status(429, retry_after=1), Reply("4")]) as up:
    answer = await Endpoint("m", base_url=up.url).answer("What is 2 + 2?")
    assert len(up.requests) == 2
"""

from .model import ScriptedModel
from .script import Fault, Raw, Reply, Step
from .tokens import FormulaTokens
from .upstream import Received, ScriptedUpstream

__all__ = ["Fault", "FormulaTokens", "Raw", "Received", "Reply", "ScriptedModel", "ScriptedUpstream", "Step"]
