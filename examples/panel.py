"""A panel that disagrees: fused with an analysis, ranked by its own members, and what a gate would have saved.

Runs without a network: the models say what they are told. With real ones, give `Endpoint`s instead.
"""

from __future__ import annotations

import asyncio
import json

from quorate import Question, sample
from quorate.aggregators import council, fusion
from quorate.testing import ScriptedModel

ANSWERS = {
    "red": "The bridge opened in 1894, and its towers hold the walkways.",
    "blue": "It was opened in 1886 by the Prince of Wales.",
    "green": "The opening was in 1894; the machinery was hydraulic.",
}
ANALYSIS = {
    "consensus": ["the bridge was opened in the nineteenth century"],
    "contradictions": [{"topic": "year", "stances": [{"response": 1, "stance": "as it says"}]}],
    "blind_spots": ["when the work on it began"],
}


def member(name: str) -> ScriptedModel:
    """Answers, compares, ranks and writes, by what it is asked."""

    def say(question: Question, _: int) -> str:
        words = question.messages[0].text
        if "JSON object" in words:
            return json.dumps(ANALYSIS)
        if "Rank the responses" in words:
            shown = sorted((text for text in ANSWERS.values() if text in words), key=words.index)
            best_first = sorted(shown, key=lambda text: ("1894" not in text, len(text)))
            return "Ranking: " + " > ".join(str(shown.index(text) + 1) for text in best_first)
        return ANSWERS[name] if question.messages[0].role == "user" else "Tower Bridge was opened in 1894."

    return ScriptedModel(say, name=name)


async def main() -> None:
    """Prints what each of the two makes of the same panel."""
    members = [member(name) for name in ANSWERS]
    fused = await fusion(sample(members, n=3), members[0]).answer("When was Tower Bridge opened?", seed=1)
    print("fusion:", fused.text)
    assert fused.analysis is not None
    print("  they agree:", *fused.analysis.consensus)
    print("  nobody says:", *fused.analysis.blind_spots)

    ranked = await council(sample(members, n=3), wave=3).answer("When was Tower Bridge opened?", seed=1)
    print("council:", ranked.text, f"({ranked.route})")
    for dissent in ranked.dissents:
        print(f"  minority, {dissent.model}: {dissent.line}")


if __name__ == "__main__":
    asyncio.run(main())
