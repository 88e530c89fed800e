"""Engines by name: the numbers are those of ASE called directly, and failures are plain sentences.

An engine that is not on this machine is skipped; `make engines` installs GPAW, Quantum ESPRESSO and
ABINIT, which with tblite are tested wherever the tests run.
"""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
import yaml

from hyperatom.configuration import Configuration
from hyperatom.errors import InputError, ReferenceFailure
from hyperatom.interchange.ase_atoms import to_ase
from hyperatom.references.ase_calculator import AseReference
from hyperatom.references.engine_catalogue import engine_presets, find_engine

AGREEMENT = 1.0e-8
PSEUDODOJO = "/usr/share/abinit/psp/Pseudodojo_nc_sr_04_pbe_standard_psp8"
CRYSTALS = ("tblite", "gpaw", "gpaw-lcao", "espresso", "abinit", "cp2k", "pyscf")
MOLECULES = ("tblite", "pyscf", "nwchem")
CHEAP = {
    "gpaw": {"mode": {"ecut": 250.0}},
    "gpaw-lcao": {"h": 0.25},
    "espresso": {"input_data": {"ecutwfc": 25.0, "ecutrho": 200.0}},
    "abinit": {"ecut": 400.0, "tolvrs": 1.0e-10},
    "cp2k": {"cutoff": 4000.0, "basis_set": "SZV-MOLOPT-SR-GTH"},
    "pyscf": {"ke_cutoff": 40.0, "precision": 1.0e-7},
}
"""Cheap, for tests only: none of it is converged."""


def require(name):
    lacking = engine_presets()[name].missing()
    if lacking:
        pytest.skip(f"the engine {name} lacks {lacking}: {engine_presets()[name].install}")


def hydrogen(periodic, positions=((0.1, 0.2, 0.3), (0.2, 0.4, 1.02))):
    return Configuration(
        numbers=[1, 1],
        positions=positions,
        cell=np.eye(3) * 4.0 * periodic,
        periodic=[periodic] * 3,
        masses=[1.008] * 2,
    )


def preset(name, configuration, **changes):
    keywords = CHEAP.get(name, {}) if configuration.periodic.any() else {}
    return find_engine(name, {**keywords, **changes}, {}).prepared(configuration, (1, 1, 1))


def called_directly(name, configuration, folder):
    """Energy, forces and stress of a calculator that this test makes itself."""
    atoms = to_ase(configuration)
    if name == "tblite":
        from tblite.ase import TBLite

        atoms.calc = TBLite(method="GFN1-xTB", accuracy=0.1, verbosity=0)
    elif name.startswith("gpaw"):
        from gpaw import GPAW

        mode = {"mode": {"name": "pw", "ecut": 250.0}}
        if name == "gpaw-lcao":
            mode = {"mode": "lcao", "basis": "dzp", "h": 0.25}
        atoms.calc = GPAW(
            **mode,
            xc="PBE",
            kpts={"size": (1, 1, 1), "gamma": True},
            occupations={"name": "fermi-dirac", "width": 0.1},
            symmetry={"point_group": False},
            convergence={"energy": 1e-6, "density": 1e-6, "eigenstates": 1e-9},
            txt=None,
        )
    elif name == "espresso":
        from ase.calculators.espresso import Espresso, EspressoProfile

        atoms.calc = Espresso(
            profile=EspressoProfile("pw.x", "/usr/share/espresso/pseudo"),
            directory=folder,
            pseudopotentials={"H": "H.pbe-kjpaw.UPF"},
            input_data={
                "ecutwfc": 25.0,
                "ecutrho": 200.0,
                "occupations": "smearing",
                "smearing": "fermi-dirac",
                "degauss": 0.00735,
                "conv_thr": 1e-10,
                "nosym": True,
                "tprnfor": True,
                "tstress": True,
            },
        )
    elif name == "abinit":
        from ase.calculators.abinit import Abinit, AbinitProfile

        atoms.calc = Abinit(
            profile=AbinitProfile("abinit", pp_paths=PSEUDODOJO),
            directory=folder,
            pps="psp8",
            xc="PBE",
            ecut=400.0,
            tolvrs=1e-10,
            nstep=60,
            occopt=3,
            tsmear=0.1,
            kptopt=1,
            ngkpt=[1, 1, 1],
            nshiftk=1,
            shiftk=[0, 0, 0],
            nsym=1,
        )
    elif name == "cp2k":
        from ase.calculators.cp2k import CP2K

        atoms.calc = CP2K(
            command="cp2k_shell.psmp",
            label=str(folder / "cp2k"),
            xc="PBE",
            basis_set="SZV-MOLOPT-SR-GTH",
            basis_set_file="BASIS_MOLOPT",
            potential_file="GTH_POTENTIALS",
            pseudo_potential="GTH-PBE",
            cutoff=4000.0,
            max_scf=100,
            poisson_solver=None,
            inp="&FORCE_EVAL\n&DFT\n&MGRID\nREL_CUTOFF 60\n&END MGRID\n"
            "&SCF\nEPS_SCF 1.0E-8\n&END SCF\n&END DFT\n&END FORCE_EVAL\n",
        )
    elif name == "nwchem":
        from ase.calculators.nwchem import NWChem

        atoms.calc = NWChem(
            directory=str(folder),
            label="direct",
            command="nwchem PREFIX.nwi > PREFIX.nwo",
            theory="dft",
            basis="def2-svp",
            dft={
                "xc": "xpbe96 cpbe96",
                "iterations": 100,
                "grid": "fine",
                "convergence": {"energy": 1e-9, "density": 1e-7, "gradient": 1e-6},
            },
        )
    elif name == "pyscf":
        atoms.calc = pyscf_calculator(configuration)
    energy = atoms.get_potential_energy(force_consistent=name.startswith("gpaw"))
    has_stress = configuration.periodic.all() and name not in ("gpaw-lcao", "pyscf")
    return energy, atoms.get_forces(), atoms.get_stress() if has_stress else None


def pyscf_calculator(configuration):
    """PySCF through its own ASE interface (whose stress is not in ASE's unit)."""
    from pyscf.pbc.tools.pyscf_ase import PySCF

    spots = list(zip(["H", "H"], configuration.positions, strict=True))
    if not configuration.periodic.any():
        from pyscf import dft, gto

        method = dft.RKS(gto.M(atom=spots, basis="def2-svp", verbose=0))
        method.grids.level = 4

        def gradients():
            made = method.nuc_grad_method()
            made.grid_response = True
            return made

        method.Gradients = gradients
    else:
        from pyscf.pbc import dft, gto

        cell = gto.M(
            atom=spots,
            a=configuration.cell,
            basis="gth-szv",
            pseudo="gth-pbe",
            ke_cutoff=40.0,
            precision=1e-7,
            verbose=0,
        )
        method = dft.KRKS(cell, kpts=cell.make_kpts([1, 1, 1]))
    method.xc, method.conv_tol, method.conv_tol_grad = "pbe,pbe", 1e-10, 1e-7
    return PySCF(method=method)


@pytest.fixture
def _as_root(monkeypatch):
    """Open MPI's permission, for the calculators that this file makes itself."""
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.slow
@pytest.mark.usefixtures("_as_root")
@pytest.mark.parametrize(
    ("name", "periodic"),
    [*((name, True) for name in CRYSTALS), *((name, False) for name in MOLECULES)],
)
def test_numbers_are_those_of_ase_called_directly(name, periodic, tmp_path, monkeypatch):
    require(name)
    monkeypatch.chdir(tmp_path)
    configuration = hydrogen(periodic)
    with AseReference.from_preset(preset(name, configuration), time_out=600) as reference:
        evaluation = reference.evaluate(configuration)
        assert name.split("-")[0] in reference.identity.lower()
    energy, forces, stress = called_directly(name, configuration, tmp_path)
    assert evaluation.energy == pytest.approx(energy, abs=AGREEMENT)
    np.testing.assert_allclose(evaluation.forces, forces, rtol=0, atol=AGREEMENT)
    if stress is not None:
        np.testing.assert_allclose(evaluation.stress, stress, rtol=0, atol=AGREEMENT)


@pytest.mark.parametrize("name", ["espresso", "abinit", "cp2k"])
def test_atoms_outside_the_cell_are_the_same_atoms(name):
    """What an output says of positions is understood, whatever the cell they are printed in."""
    require(name)
    inside = hydrogen(True)
    outside = hydrogen(True, np.add(inside.positions, [[0, 0, -8.0], [4.0, 0, 0]]))
    with AseReference.from_preset(preset(name, inside)) as reference:
        energies = [reference.evaluate(each).energy for each in (inside, outside)]
    assert energies[1] == pytest.approx(energies[0], abs=1e-6)


UNCONVERGED = {
    "espresso": {"input_data": {"electron_maxstep": 2, "ecutwfc": 15.0}},
    "abinit": {"nstep": 2, "ecut": 300.0},
    "cp2k": {"max_scf": 2, "cutoff": 2000.0, "basis_set": "SZV-MOLOPT-SR-GTH"},
    "gpaw": {"maxiter": 3, "mode": {"ecut": 200.0}},
    "pyscf": {"max_cycle": 2, "ke_cutoff": 20.0, "precision": 1e-6},
}


@pytest.mark.parametrize("name", UNCONVERGED)
def test_electrons_that_do_not_converge_are_a_failure(name):
    """ABINIT and CP2K end with status 0 and an energy; ASE takes it."""
    require(name)
    configuration = hydrogen(True)
    chosen = find_engine(name, UNCONVERGED[name], {}).prepared(configuration, (1, 1, 1))
    with (
        AseReference(chosen.calculator, chosen.keywords) as reference,
        pytest.raises(ReferenceFailure, match=r"(?i)converge"),
    ):
        reference.evaluate(configuration)


def test_the_second_attempt_changes_the_way_and_not_the_energy():
    require("espresso")
    configuration = hydrogen(True)
    once = preset("espresso", configuration)
    few = find_engine("espresso", {**CHEAP["espresso"]}, {}).changed(
        {"input_data": {"electron_maxstep": 3, **CHEAP["espresso"]["input_data"]}}, {}
    )
    with (
        AseReference.from_preset(once) as reference,
        AseReference.from_preset(few.prepared(configuration, (1, 1, 1))) as hurried,
    ):
        first, second = reference.evaluate(configuration), hurried.evaluate(configuration)
    assert (first.attempts, second.attempts) == (1, 2)
    assert second.energy == pytest.approx(first.energy, abs=1e-6)


def test_what_the_program_complains_of_is_passed_on():
    require("espresso")
    configuration = hydrogen(True)
    wrong = preset("espresso", configuration, input_data={"occupations": "smeared"})
    with (
        AseReference(wrong.calculator, wrong.keywords) as reference,
        pytest.raises(ReferenceFailure, match=r"pw.x stopped: Error in routine.*smeared"),
    ):
        reference.evaluate(configuration)


# A program that is not itself: what ends with status 0 and is not an answer.


def planted_program(folder, script):
    path = folder / "pw.x"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo convergence NOT achieved after 100 iterations: stopping", "did not converge in 100"),
        ("echo Program PWSCF starts", "ends in the middle"),
        ("exit 0", "ends in the middle"),
    ],
)
def test_status_0_without_an_answer_is_a_failure(script, words, tmp_path):
    (tmp_path / "H.pbe.UPF").write_text("")
    configuration = hydrogen(True)
    keywords = {"command": planted_program(tmp_path, script), "pseudo_dir": str(tmp_path)}
    chosen = find_engine("espresso", keywords, {}).prepared(configuration, (1, 1, 1))
    with (
        AseReference(chosen.calculator, chosen.keywords) as reference,
        pytest.raises(ReferenceFailure, match=words),
    ):
        reference.evaluate(configuration)


def test_an_answer_for_other_atoms_is_a_failure(tmp_path):
    """The program runs, but on an input of yesterday."""
    require("espresso")
    configuration = hydrogen(True)
    once = preset("espresso", configuration)
    keep = tmp_path / "yesterday.pwi"
    script = f'[ -f {keep} ] || cp "$2" {keep}\nexec pw.x -in {keep}'
    keywords = {**once.keywords, "command": planted_program(tmp_path, script)}
    with AseReference(once.calculator, keywords) as reference:
        reference.evaluate(configuration)
        moved = configuration.with_positions(configuration.positions * 1.01)
        with pytest.raises(ReferenceFailure, match="about other atoms"):
            reference.evaluate(moved)


# Input that cannot work is refused before anything starts.


def test_a_missing_pseudopotential_is_named(tmp_path):
    (tmp_path / "H.pz-vbc.UPF").write_text("")
    keywords = {"pseudo_dir": str(tmp_path)}
    with pytest.raises(InputError, match=r"no PBE pseudopotential of H .*only H.pz-vbc.UPF"):
        find_engine("espresso", keywords, {}).prepared(hydrogen(True))
    keywords["pseudopotentials"] = {"H": "H.pbe.UPF"}
    with pytest.raises(InputError, match=r"H.pbe.UPF of H is not in .* There are: H.pz-vbc.UPF"):
        find_engine("espresso", keywords, {}).prepared(hydrogen(True))
    with pytest.raises(InputError, match=r"no such folder"):
        find_engine("abinit", {"pp_path": str(tmp_path / "nowhere")}, {}).prepared(hydrogen(True))


def test_another_pseudopotential_is_another_identity(tmp_path):
    program = planted_program(tmp_path, "echo Program PWSCF v.7.0 starts")
    identities = []
    for content in ("one", "other"):
        (tmp_path / "H.pbe.UPF").write_text(content)
        keywords = {"command": program, "pseudo_dir": str(tmp_path)}
        chosen = find_engine("espresso", keywords, {}).prepared(hydrogen(True))
        with AseReference.from_preset(chosen) as reference:
            identities.append(reference.identity)
    assert identities[0] != identities[1]
    assert "Quantum ESPRESSO 7.0" in identities[0]


@pytest.mark.parametrize("name", ["gpaw", "espresso", "abinit", "cp2k", "vasp"])
def test_an_engine_for_crystals_refuses_a_molecule(name):
    with pytest.raises(InputError, match="periodic along 0 of 3"):
        engine_presets()[name].prepared(hydrogen(False))


@pytest.mark.parametrize("name", ["orca", "nwchem"])
def test_an_engine_for_molecules_refuses_a_crystal(name):
    with pytest.raises(InputError, match="for crystals"):
        engine_presets()[name].prepared(hydrogen(True))


def test_an_odd_number_of_electrons_is_refused():
    atom = Configuration([3], [[0, 0, 0]], np.zeros((3, 3)), [False] * 3, [6.94])
    with pytest.raises(InputError, match="odd number of electrons"):
        engine_presets()["pyscf"].prepared(atom)


def test_an_engine_that_is_not_here_says_how_to_get_it(monkeypatch, tmp_path):
    from hyperatom.campaign.assembly import make_reference
    from hyperatom.campaign.settings import load_settings

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ASE_VASP_COMMAND", raising=False)
    content = {
        "configuration": {"crystal": "silicon"},
        "temperature": 300,
        "reference": {"calculator": "vasp"},
    }
    settings = load_settings(yaml.safe_dump(content), "input.yaml")
    with pytest.raises(InputError, match=r"lacks the program vasp_std.*vasp.at"):
        make_reference(settings, hydrogen(True), None, 1)


def test_vasp_writes_the_input_that_its_preset_promises(tmp_path, monkeypatch):
    """Without VASP: what ASE writes of the preset's keywords."""
    from ase.calculators.vasp import Vasp

    potentials = tmp_path / "potpaw_PBE" / "H"
    potentials.mkdir(parents=True)
    (potentials / "POTCAR").write_text("  PAW_PBE H 15Jun2001\n")
    monkeypatch.setenv("VASP_PP_PATH", str(tmp_path))
    keywords = dict(engine_presets()["vasp"].prepared(hydrogen(True), (2, 2, 2)).keywords)
    calculator = Vasp(directory=str(tmp_path), command="vasp_std", **keywords)
    calculator.write_input(to_ase(hydrogen(True)))
    written = " ".join((tmp_path / "INCAR").read_text().split())
    for setting in ("ISYM = 0", "EDIFF = 1.00e-07", "ISMEAR = -1", "ISTART = 0", "LREAL = .FALSE."):
        assert setting in written
    assert "Gamma" in (tmp_path / "KPOINTS").read_text()
    assert "2 2 2" in (tmp_path / "KPOINTS").read_text()


def test_dftb_plus_asks_for_its_slater_koster_files(tmp_path):
    with pytest.raises(InputError, match=r"no H-H.skf in"):
        find_engine("dftb+", {"slako_dir": str(tmp_path)}, {}).prepared(hydrogen(True))
    (tmp_path / "H-H.skf").write_text("")
    ready = find_engine("dftb+", {"slako_dir": str(tmp_path)}, {}).prepared(hydrogen(True))
    assert ready.keywords["pairs"] == ["H-H.skf"]


def test_relative_paths_are_made_absolute(tmp_path, monkeypatch):
    (tmp_path / "pseudo").mkdir()
    (tmp_path / "pseudo" / "H.upf").write_text("")
    monkeypatch.chdir(tmp_path)
    chosen = find_engine("espresso", {"pseudo_dir": "pseudo"}, {}).prepared(hydrogen(True))
    assert Path(chosen.keywords["pseudo_dir"]) == tmp_path / "pseudo"
    assert os.path.isabs(chosen.keywords["pseudo_dir"])
