"""Draw the pictures of quasicrystals.md: `python docs/make_quasicrystal_pictures.py`."""

from pathlib import Path

from PIL import Image

from hyperatom.structures.catalogue import BuildOptions, build

PICTURES = {
    "penrose": BuildOptions(radius=14.0),
    "ammann-beenker": BuildOptions(radius=14.0),
    "dodecagonal": BuildOptions(radius=14.0),
    "katz-gratias": BuildOptions(order="3/2", lattice_constant=6.45),
}

for name, options in PICTURES.items():
    path = Path(__file__).with_name(f"{name}.png")
    build(name, options).draw(path)
    with Image.open(path) as picture:
        width, height = 860, round(860 * picture.height / picture.width)
        small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    small.quantize(96, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
