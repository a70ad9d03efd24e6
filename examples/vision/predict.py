"""Says what a picture or a film looks like: size, brightness, sharpness, movement, and the colours that it is made of."""

import json
import subprocess
import tempfile

import cv2
import numpy as np
import pandas as pd
from cog import BaseModel, BaseRunner, Input, Path
from sklearn.cluster import KMeans

# Colours are sought in a small copy: it has them all, and is a thousand times faster.
THUMBNAIL = (64, 64)


class Summary(BaseModel):
    frames: int
    width: int
    height: int
    brightness: float
    sharpness: float
    movement: float
    colors: list[str]


class Predictor(BaseRunner):
    def setup(self) -> None:
        said = subprocess.run(["ffmpeg", "-version"], check=True, capture_output=True, text=True)
        print(said.stdout.splitlines()[0])

    def run(
        self,
        media: Path = Input(description="A picture or a film, in any format that ffmpeg reads"),
        colors: int = Input(description="How many colours to name", default=3, ge=1, le=8),
        frames_per_second: float = Input(description="How closely to look at a film", default=2.0, ge=0.1, le=30),
    ) -> Summary:
        with tempfile.TemporaryDirectory() as folder:
            frames = [cv2.imread(str(frame)) for frame in extract(media, folder, frames_per_second)]
        table = pd.DataFrame([measure(frame) for frame in frames])
        table["movement"] = [0.0, *(difference(*pair) for pair in zip(frames, frames[1:]))]
        mean = table.mean().round(2)
        height, width = frames[0].shape[:2]
        return Summary(
            frames=len(frames),
            width=width,
            height=height,
            brightness=float(mean["brightness"]),
            sharpness=float(mean["sharpness"]),
            movement=float(mean["movement"]),
            colors=main_colors(frames, colors),
        )


def extract(media: Path, folder: str, frames_per_second: float) -> list[Path]:
    """The frames of a film as pictures; of a picture, the picture."""
    probe = ["ffprobe", "-v", "error", "-of", "json", "-show_entries", "format=duration", str(media)]
    found = json.loads(subprocess.run(probe, check=True, capture_output=True, text=True).stdout)
    is_film = float(found["format"].get("duration", 0)) > 0.1
    rate = ["-vf", f"fps={frames_per_second}"] if is_film else ["-frames:v", "1"]
    target = Path(folder) / "%06d.png"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(media), *rate, str(target)], check=True)
    return sorted(Path(folder).iterdir())


def measure(frame: np.ndarray) -> dict[str, float]:
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return {"brightness": float(grey.mean()), "sharpness": float(cv2.Laplacian(grey, cv2.CV_64F).var())}


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(cv2.absdiff(one, other).mean())


def main_colors(frames: list[np.ndarray], count: int) -> list[str]:
    """Colours as `#rrggbb`, the most frequent first."""
    small = [cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_NEAREST) for frame in frames]
    pixels = np.concatenate([frame.reshape(-1, 3) for frame in small]).astype(np.float32)
    count = min(count, len(np.unique(pixels, axis=0)))
    found = KMeans(n_clusters=count, n_init=4, random_state=0).fit(pixels)
    often = pd.Series(found.labels_).value_counts().index
    return ["#{2:02x}{1:02x}{0:02x}".format(*found.cluster_centers_[label].round().astype(int)) for label in often]
