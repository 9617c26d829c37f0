"""Pictures in folders DOMAIN/CLASS, from filled shapes to outlines. `python examples/image_folder.py [FOLDER]`"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

import pacbench


def draw(folder: Path, count: int = 40) -> None:
    """So many pictures of each kind in each domain. Yours need no more than the suite below (docs/data.md)."""
    random.seed(0)
    for domain in ("filled", "outlines"):
        for kind in ("boxes", "discs"):
            (folder / domain / kind).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                x, y, size = (random.randint(*span) for span in ((1, 8), (1, 8), (10, 18)))
                picture = Image.new("RGB", (32, 32), "black")
                shape = ImageDraw.Draw(picture).rectangle if kind == "boxes" else ImageDraw.Draw(picture).ellipse
                shape((x, y, x + size, y + size), fill="white" if domain == "filled" else None, outline="white")
                picture.save(folder / domain / kind / f"{number}.png")


if __name__ == "__main__":
    out = Path(*sys.argv[1:] or ["runs/image_folder"]).resolve()
    draw(out / "pictures")
    task = {
        "name": "image_folder",
        "folder": str(out / "pictures"),
        "source": "filled",
        "target": "outlines",
        "size": 16,
    }
    suite = {"name": "images", "tasks": [task], "methods": ["fine_tuning", "linear_probe"], "target_sizes": [20]}
    suite |= {"tuning": {"configs": 1}, "final": {"seeds": 1}, "budget": {"steps": 50}}
    print(pacbench.leaderboard(pacbench.run(suite, out / "campaign")))
