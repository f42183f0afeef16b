"""The pictures of the landing page and of the methods, from the examples: python docs/make_images.py."""

import io
import runpy
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
from PIL import Image

DOCS = Path(__file__).parent
WIDTH = 1200


def pictures(example):
    """Figures that an example shows."""
    found = []

    def keep():
        for number in plt.get_fignums():
            stream = io.BytesIO()
            plt.figure(number).savefig(stream, dpi=130)
            found.append(Image.open(stream).convert("RGB"))
        plt.close("all")

    show, plt.show = plt.show, keep
    try:
        runpy.run_path(str(DOCS.parent / "examples" / f"{example}.py"), run_name="__main__")
    finally:
        plt.show = show
    return found


def stacked(images):
    """One picture of several, of the same width."""
    scaled = [
        each.resize((WIDTH, round(each.height * WIDTH / each.width)), Image.Resampling.LANCZOS) for each in images
    ]
    sheet = Image.new("RGB", (WIDTH, sum(each.height for each in scaled)), "white")
    top = 0
    for each in scaled:
        sheet.paste(each, (0, top))
        top += each.height
    return sheet


def main():
    """Write them."""
    update, filled = pictures("one_update")[0], pictures("missing_data")[0]
    for name, image in (("one-update", stacked([update])), ("landing", stacked([update, filled]))):
        image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1).save(DOCS / "images" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
