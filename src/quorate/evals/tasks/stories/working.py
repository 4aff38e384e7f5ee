"""The visible working: one operation a step, each with a hint of what it is about."""

OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}


class Working:
    """Collects the steps of one solution and does their arithmetic."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, hint: str, a: int, operation: str, b: int) -> int:
        """Write `hint: a op b = c` and return c."""
        result: int = OPERATIONS[operation](a, b)
        self.lines.append(f"{hint}: {a} {operation} {b} = {result}")
        return result

    def total(self, amounts: list[int], hint: str = "total") -> int:
        """Add the amounts from left to right, one step each after the first."""
        result = amounts[0]
        for amount in amounts[1:]:
            result = self.step(hint, result, "+", amount)
        return result

    def product(self, a: int, b: int) -> int:
        """Multiply through partial products when both sides have several digits."""
        tens, ones = b - b % 10, b % 10
        if min(a, b) < 10 or not ones:
            return self.step("product", a, "*", b)
        return self.step("total", self.step("tens", a, "*", tens), "+", self.step("ones", a, "*", ones))

    def text(self, answer: int) -> str:
        """The whole solution, ending in the answer."""
        return "\n".join([*self.lines, f"Answer: {answer}"])
