"""Says which image it runs in."""

import os

import numpy as np
from cog import BaseRunner, Input


class Predictor(BaseRunner):
    def run(self, numbers: str = Input(description="Numbers with blanks between them")) -> str:
        total = np.array([float(number) for number in numbers.split()]).sum()
        return f"{total:g} (numpy {np.__version__}, {os.environ['MODEL_DEVICE']})"
