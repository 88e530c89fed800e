"""The configurations of a study: their atoms, and where approximants come from."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hyperatom.analysis.hyperspace.candidate_sites import candidate_sites
from hyperatom.analysis.hyperspace.lifting import Lifter
from hyperatom.campaign.assembly import check_configuration, given_configuration
from hyperatom.campaign.settings import ConfigurationSettings
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.structures.quasicrystal.approximants import Approximant
from hyperatom.structures.quasicrystal.icosahedral_lattice import orthorhombic_periods
from hyperatom.structures.quasicrystal.katz_gratias import katz_gratias_cell
from hyperatom.structures.quasicrystal.orders import parse_orders
from hyperatom.studies.parts import atoms_of
from hyperatom.studies.settings import ApproximantSettings, MemberSettings


@dataclass(frozen=True, eq=False)
class Member:
    """A configuration of the series, and the approximant that it was cut out as, if it was."""

    settings: MemberSettings
    configuration: Configuration
    approximant: Approximant | None

    @property
    def name(self) -> str:
        """As the report calls it."""
        return self.settings.name


def build_approximant(wanted: ApproximantSettings) -> Approximant:
    """The cut that the settings name. Raises `InputError` as the builder does."""
    periods = orthorhombic_periods(parse_orders(wanted.order))
    return katz_gratias_cell(
        periods, wanted.lattice_constant, wanted.offset, overlaps=wanted.overlaps
    )


def build_member(settings: MemberSettings, folder: Path) -> Member:
    """A member of the series; files are looked for relative to `folder`.

    Raises `InputError`, with the member's name, where it cannot be built, or where the cell is not
    that of its approximant.
    """
    try:
        approximant = None
        if settings.approximant is not None:
            approximant = build_approximant(settings.approximant)
        if settings.configuration is not None:
            configuration = given_configuration(settings.configuration, folder)
        else:
            assert approximant is not None
            configuration = approximant.configuration
            check_configuration(configuration)
        if not configuration.periodic.all():
            raise InputError(
                "The configuration is not periodic in all directions.",
                "A heat capacity by atom is that of a crystal: give a cell.",
            )
        if approximant is not None:
            lifted = Lifter(candidate_sites(approximant.cut)).lift(
                [np.array(configuration.positions)], [np.array(configuration.cell)]
            )
            if lifted.fraction_lifted < 0.5:
                raise InputError(
                    f"Only {lifted.fraction_lifted:.0%} of the atoms lie on sites of the "
                    "approximant.",
                    "Give the approximant that these atoms were cut out as, with its offset.",
                )
    except InputError as problem:
        raise InputError(f"{settings.name}: {problem.problem}", problem.cure) from problem
    return Member(settings, configuration, approximant)


def relaxed_member(settings: MemberSettings, study: Path) -> Member:
    """A member with the atoms that its runs begin with: as given, or at the minimum."""
    member = build_member(settings, study)
    if settings.relax is None:
        return member
    file = ConfigurationSettings(file=study / settings.folder / atoms_of(settings))
    return replace(member, configuration=given_configuration(file, study))


def write_atoms(configuration: Configuration, path: Path) -> None:
    """As extended XYZ, whole or not at all."""
    from ase.io import write

    from hyperatom.interchange.ase_atoms import to_ase

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    write(part, to_ase(configuration), format="extxyz")
    part.replace(path)
