"""A program that answers for other atoms than those it was asked for: its label would be a lie.

ORCA and VASP are not free: here they are programs that write what ASE reads, for the atoms in
their input or for those of their first input.
"""

import stat
import sys

import numpy as np
import pytest

from hyperatom.configuration import Configuration
from hyperatom.errors import ReferenceFailure
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.engine_catalogue import engine_presets, find_engine

ORCA = """#!{python}
import pathlib, sys
text = pathlib.Path(sys.argv[1]).read_text()
keep = pathlib.Path("{keep}")
if not {today} and keep.is_file():
    text = keep.read_text()
keep.write_text(text)
atoms = [line.split() for line in text.split("*xyz")[1].splitlines()[1:-1]]
print("Program Version 6.0.0")
print("Number of atoms                             ....", len(atoms))
print("CARTESIAN COORDINATES (ANGSTROEM)\\n---")
for symbol, *place in atoms:
    print(symbol, *(f"{{float(x):.6f}}" for x in place))
gradient = "".join("  0.0001\\n" for _ in range(3 * len(atoms)))
if {gradients}:
    pathlib.Path("orca.engrad").write_text(
        f"#\\n# The current gradient in Eh/bohr\\n#\\n{{gradient}}#\\n# The at\\n"
    )
print("\\nFINAL SINGLE POINT ENERGY     ", -1.5)
print("ORCA TERMINATED NORMALLY")
"""

VASP = """#!{python}
import pathlib
from ase.io import read
keep = pathlib.Path("{keep}")
if {today} or not keep.is_file():
    keep.write_text(pathlib.Path("POSCAR").read_text())
atoms = read(keep, format="vasp")

def rows(name, numbers):
    lines = "".join(f"<v>{{a:.8f}} {{b:.8f}} {{c:.8f}}</v>" for a, b, c in numbers)
    return f'<varray name="{{name}}">{{lines}}</varray>'

names = "".join(f"<rc><c>{{s}}</c><c>1</c></rc>" for s in atoms.symbols)
basis = rows("basis", atoms.cell)
places = rows("positions", atoms.get_scaled_positions())
energies = '<i name="e_fr_energy">-3.0</i><i name="e_0_energy">-3.0</i>'
pathlib.Path("vasprun.xml").write_text(
    '<modeling><kpoints><varray name="kpointlist"><v>0 0 0</v></varray>'
    '<varray name="weights"><v>1</v></varray></kpoints>'
    f'<atominfo><array name="atoms"><set>{{names}}</set></array></atominfo>'
    f'<structure name="initialpos"><crystal>{{basis}}</crystal>{{places}}</structure>'
    f"<calculation><scstep><energy>{{energies}}</energy></scstep>"
    f"<structure><crystal>{{basis}}</crystal>{{places}}</structure>"
    + rows("forces", [[z, 0.0, 0.0] for z in atoms.numbers]) + rows("stress", atoms.cell * 0)
    + f"<energy>{{energies}}</energy></calculation></modeling>"
)
pathlib.Path("OUTCAR").write_text(
    " vasp.6.4.2\\n EDIFF  = 1E-7   stopping-criterion for ELM\\n IBRION =     -1\\n"
    " ISPIN  =      1\\n E-fermi :   0.1\\n NBANDS=     8\\n"
    "------------------------ aborting loop because EDIFF is reached ------------------\\n"
)
"""


def planted(folder, name, text, today, *, gradients=True):
    path = folder / name
    path.write_text(
        text.format(python=sys.executable, keep=folder / "first", today=today, gradients=gradients)
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def water():
    return Configuration(
        numbers=[1, 8, 1],
        positions=[[0.76, 0.6, 0.0], [0.0, 0.0, 0.0], [-0.76, 0.6, 0.0]],
        cell=np.zeros((3, 3)),
        periodic=[False] * 3,
        masses=[1.008, 15.999, 1.008],
    )


def crystal():
    water_ = water()
    cell = [[5.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.5, 6.0]]
    return Configuration(water_.numbers, water_.positions, cell, [True] * 3, water_.masses)


def moved(configuration, by):
    """One atom by `by` in Å, and another to its image in the next cell."""
    positions = configuration.positions.copy()
    positions[0, 2] += by
    positions[1] += configuration.cell[1]
    return configuration.with_positions(positions)


def started(name, keywords, configuration):
    chosen = find_engine(name, keywords, {}).prepared(configuration, (1, 1, 1))
    return AseReference(chosen.calculator, chosen.keywords, time_out=300)


@pytest.fixture
def engine(request, tmp_path, monkeypatch):
    """A planted engine that has answered once, and what it was asked."""
    name, today = request.param
    if name == "orca":
        configuration, keywords = water(), {"command": planted(tmp_path, "orca", ORCA, today)}
    else:
        for symbol in "HO":
            (tmp_path / "potpaw_PBE" / symbol).mkdir(parents=True)
            (tmp_path / "potpaw_PBE" / symbol / "POTCAR").write_text(f"  PAW_PBE {symbol} 2001\n")
        monkeypatch.setenv("VASP_PP_PATH", str(tmp_path))
        configuration, keywords = crystal(), {"command": planted(tmp_path, "vasp_std", VASP, today)}
    with started(name, keywords, configuration) as reference:
        reference.evaluate(configuration)
        yield reference, configuration


@pytest.mark.parametrize("engine", [("orca", True), ("vasp", True)], indirect=True)
def test_the_right_answer_is_taken(engine):
    reference, configuration = engine
    found = reference.evaluate(moved(configuration, 0.1))
    if configuration.periodic.all():
        # VASP's files are sorted by element; in our order here.
        np.testing.assert_array_equal(found.forces[:, 0], configuration.numbers)


@pytest.mark.parametrize("engine", [("orca", False), ("vasp", False)], indirect=True)
def test_an_answer_for_other_atoms_is_refused(engine):
    reference, configuration = engine
    with pytest.raises(ReferenceFailure, match="about other atoms"):
        reference.evaluate(moved(configuration, 0.01))


def test_an_output_without_forces_is_a_failure(tmp_path):
    keywords = {"command": planted(tmp_path, "orca", ORCA, True, gradients=False)}
    with (
        started("orca", keywords, water()) as reference,
        pytest.raises(ReferenceFailure, match="lacks the forces"),
    ):
        reference.evaluate(water())


def test_nwchem_reading_an_input_of_yesterday(tmp_path):
    lacking = engine_presets()["nwchem"].missing()
    if lacking:
        pytest.skip(f"the engine nwchem lacks {lacking}")
    keep = tmp_path / "first.nwi"
    path = tmp_path / "nwchem"
    path.write_text(f'#!/bin/sh\n[ -f {keep} ] || cp "$1" {keep}\nexec nwchem {keep}\n')
    path.chmod(0o755)
    with started("nwchem", {"command": str(path)}, water()) as reference:
        reference.evaluate(water())
        with pytest.raises(ReferenceFailure, match="about other atoms"):
            reference.evaluate(moved(water(), 0.01))
