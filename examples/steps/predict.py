"""Counts words with the program that a command of build.run compiled, as the user that another one made."""

import os
import pwd
import subprocess

from cog import BaseRunner, Input


class Predictor(BaseRunner):
    def setup(self) -> None:
        self.worker = pwd.getpwnam("worker")

    def run(self, text: str = Input(description="What to count the words of")) -> str:
        counted = subprocess.run(["count", *text.split()], check=True, capture_output=True, text=True)
        documented = os.path.exists("/usr/share/doc")
        return f"{counted.stdout.strip()}, {self.worker.pw_dir}, documentation: {documented}"
