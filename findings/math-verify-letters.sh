#!/bin/sh
# math-verify 0.9.0: letters lose their case, an `I` its exponent and its index, a last `h` counts as hours.
#
# A guess: a grader that compares by computer algebra takes answers with letters for equal where the algebra does. Its parser
# (latex2sympy2_extended 1.11.0) makes every letter small, reads `I` as the imaginary unit whatever stands above or below
# it, and strips what looks like a unit. So M/(M+m) is right where m/(M+m) or 1/2 is, I^2 R where I R is, I_1/I_2 is 1, and the
# volume of a cylinder is the area of its base. Letters of another index (m_1, m_2) do differ. Rewards and votes over
# formulas of physics, combinatorics (N, n) or statistics count wrong answers as right, in both directions.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" \
    math-verify==0.9.0 latex2sympy2_extended==1.11.0 antlr4-python3-runtime==4.13.2
PYTHONPATH="$place" python3 - <<'END'
from importlib.metadata import version

from math_verify import parse, verify

assert (version("math-verify"), version("latex2sympy2_extended")) == ("0.9.0", "1.11.0")
EQUAL = [
    (r"\frac{m}{M+m}", r"\frac{M}{M+m}"),
    (r"\frac{1}{2}", r"\frac{M}{M+m}"),
    (r"\frac{GMm}{r^2}", r"\frac{Gm^2}{r^2}"),
    (r"I^2 R", r"I R"),
    (r"1", r"\frac{I_1}{I_2}"),
    (r"\frac{1}{2} I \omega^2", r"\frac{1}{2} I^3 \omega^2"),
    (r"\pi r^2 h", r"\pi r^2"),
]
DIFFERENT = [
    (r"\frac{1}{2}", r"\frac{m_1}{m_1+m_2}"),
    (r"J^2 R", r"J R"),
    (r"1", r"\frac{C_1}{C_2}"),
    (r"\pi r^2 k", r"\pi r^2"),
]
for cases, expected in ((EQUAL, True), (DIFFERENT, False)):
    for gold, answer in cases:
        found = [verify(parse(f"${a}$"), parse(f"${b}$")) for a, b in ((gold, answer), (answer, gold))]
        print(f"{gold}   {answer}   {found}")
        assert found == [expected] * 2, "no longer so"
END
