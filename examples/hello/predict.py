"""Greets, and counts the letters with numpy to show that a compiled wheel works."""

import numpy as np
from cog import BaseRunner, Input


class Predictor(BaseRunner):
    def setup(self) -> None:
        self.greeting = "hello"

    def run(self, text: str = Input(description="Whom to greet")) -> str:
        letters = np.array([len(word) for word in text.split()]).sum()
        return f"{self.greeting} {text} ({letters} letters)"
