"""Draws the pictures of docs/quasicrystals.md from a finished study of heat capacities.

python docs/make_study_pictures.py heat_capacity-study
"""

import sys
from pathlib import Path

from hyperatom.studies.page import investigate
from hyperatom.studies.pictures import draw_densities, draw_heat_capacities, draw_perpendicular
from hyperatom.studies.study import opened

FOLDER = Path(__file__).parent

with opened(Path(sys.argv[1])) as study:
    found = investigate(study, lambda *_: None)
by_member = found.observations["heat-capacity"]
draw_heat_capacities(by_member, found.n_atoms).savefig(FOLDER / "heat-capacity.png", dpi=130)
for name, lifted in found.lifted.items():
    draw_perpendicular(lifted).savefig(FOLDER / "approximant-perpendicular.png", dpi=110)
    draw_densities(found.densities[name], lifted).savefig(
        FOLDER / "approximant-density.png", dpi=110
    )
