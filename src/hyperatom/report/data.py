"""What a report shows: plain arrays and texts, nothing about files."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.radial_distribution import RadialDistributionResult
from hyperatom.analysis.statistics import Array, Estimate, estimate_mean
from hyperatom.campaign.certificate import Certificate
from hyperatom.errors import InputError
from hyperatom.report.citations import Citation
from hyperatom.report.space.scene import Scene
from hyperatom.units import BOLTZMANN

LEARN = "learn"
PRODUCE = "produce"


@dataclass(frozen=True, eq=False)
class SystemDescription:
    """What was computed, and by which engine.

    | field         | shape  | unit | meaning                                              |
    |---------------|--------|------|------------------------------------------------------|
    | `formula`     | text   | -    | as people write it, `Si24O48`                        |
    | `n_atoms`     | scalar | -    | number of atoms                                      |
    | `cell`        | (3, 3) | Å    | lattice vectors as rows, of the first configuration  |
    | `temperature` | scalar | K    |                                                      |
    | `pressure`    | scalar | GPa  | None where the cell is fixed                         |
    | `engine`      | text   | -    | identity of the reference                            |
    | `versions`    | mapping| -    | version of each piece of software                    |
    | `beads`       | scalar | -    | of each atom's ring; 1 for classical nuclei          |
    """

    formula: str
    n_atoms: int
    cell: Array
    temperature: float
    engine: str
    versions: Mapping[str, str]
    pressure: float | None = None
    beads: int = 1

    @property
    def energy_name(self) -> str:
        """What the mean of the reference's energy is called."""
        return "Mean energy" if self.beads == 1 else "Mean potential energy"


@dataclass(frozen=True, eq=False)
class ProposalTable:
    """Every proposal of every walker, in the order in which they were decided.

    All fields have shape (n_proposals,).

    | field               | unit     | meaning                                                    |
    |---------------------|----------|------------------------------------------------------------|
    | `phase`             | -        | "learn" or "produce"                                       |
    | `walker`            | -        | which chain                                                |
    | `calls`             | -        | reference calls so far, of all walkers, this one included  |
    | `accepted`          | -        | whether the chain moved                                    |
    | `veto`              | -        | why it was rejected without the reference, or ""           |
    | `delta_h`           | eV       | change of the reference's Hamiltonian; NaN without a call  |
    | `guide_error`       | meV/atom | (U_D-U_M)(x') - (U_D-U_M)(x), by atom; NaN without a call  |
    | `trajectory_length` | fs       | length of the trajectory                                   |
    | `energy`            | eV       | reference energy of the chain's state after the decision   |

    Raises `InputError` where the lengths differ or a phase is unknown.
    """

    phase: NDArray[np.str_]
    walker: NDArray[np.int64]
    calls: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    veto: NDArray[np.str_]
    delta_h: Array
    guide_error: Array
    trajectory_length: Array
    energy: Array

    def __post_init__(self) -> None:
        kinds = (np.str_, np.int64, np.int64, np.bool_, np.str_, *(np.float64,) * 4)
        for column, kind in zip(fields(self), kinds, strict=True):
            values: NDArray[Any] = np.asarray(getattr(self, column.name), dtype=kind).ravel()
            object.__setattr__(self, column.name, values)
            if len(values) != len(self.phase):
                raise InputError(
                    f"The column '{column.name}' of the proposals has {len(values)} entries, "
                    f"'phase' has {len(self.phase)}."
                )
        unknown = set(self.phase.tolist()) - {LEARN, PRODUCE}
        if unknown:
            raise InputError(f"Unknown phase '{sorted(unknown)[0]}': use '{LEARN}' or '{PRODUCE}'.")

    def __len__(self) -> int:
        return len(self.phase)

    @property
    def produced(self) -> NDArray[np.bool_]:
        """Which proposals the frozen guide made."""
        return np.asarray(self.phase == PRODUCE)

    def error_in_words(self, chosen: NDArray[np.bool_]) -> str:
        """Standard deviation of the guide's error over the `chosen` proposals."""
        error = self.guide_error[chosen & np.isfinite(self.guide_error)]
        return f"{error.std():.3g} meV/atom" if len(error) > 1 else "unknown"

    def by_walker(self, values: Array, chosen: NDArray[np.bool_]) -> list[Array]:
        """`values` of the `chosen` proposals, one series per walker; NaN left out."""
        chosen = chosen & np.isfinite(values)
        return [values[chosen & (self.walker == w)] for w in np.unique(self.walker[chosen])]


@dataclass(frozen=True)
class Ledger:
    """What the run has cost: numbers of calls, and wall seconds.

    `calls_per_independent_sample` is that of the chain alone, `calls_per_sharpened_sample` with the
    guide's own chain as control variate; NaN as long as unknown. Calls of the cheap engine of a
    pair are counted apart, and in none of the other numbers.
    """

    calls_learn: int
    calls_produce: int
    failures: int
    cache_hits: int
    seconds_guide: float
    seconds_fit: float
    seconds_reference: float
    seconds_overhead: float
    calls_per_independent_sample: float
    calls_per_sharpened_sample: float = nan
    calls_cheap: int = 0
    seconds_cheap: float = 0.0

    @property
    def calls(self) -> int:
        """Reference calls of both phases."""
        return self.calls_learn + self.calls_produce


@dataclass(frozen=True)
class RungSummary:
    """What one rung of a ladder sampled.

    `energy` is in eV/atom; `acceptance` that of its proposals; `exchange` the mean probability of
    an exchange with the next rung. None as long as unknown, and at the last rung.
    """

    name: str
    energy: Estimate | None
    acceptance: Estimate | None
    exchange: Estimate | None


@dataclass(frozen=True)
class LadderSummary:
    """All rungs, round trips from the first to the last and back, and what is wrong, in words."""

    rungs: tuple[RungSummary, ...]
    round_trips: int
    warning: str


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything a report shows. `energy` is the chain's mean by atom, in eV/atom.

    `averages` by name are those of volume, density and edges at constant pressure, and of energies
    and sizes of quantum nuclei.
    `sharpened_energy` is the same average with the guide's own chain as control variate, None where
    there is no such chain.

    `scene` is what can be looked at in space, `ladder` what the rungs of replica exchange did.
    `distribution` says in words what was sampled; `notes` are sentences that belong under the
    verdict, such as a warning that the run is short. `guide` is the family of the guide; `beside`
    are other runs of the same ensemble, whose learning and cost are laid beside.
    """

    title: str
    distribution: str
    system: SystemDescription
    proposals: ProposalTable
    energy: Estimate | None
    sharpened_energy: Estimate | None
    radial_distribution: RadialDistributionResult | None
    ledger: Ledger
    certificate: Certificate
    citations: tuple[Citation, ...]
    input_text: str
    notes: tuple[str, ...] = ()
    averages: Mapping[str, Estimate] = field(default_factory=dict)
    scene: Scene | None = None
    ladder: LadderSummary | None = None
    guide: str = ""
    beside: tuple["ReportData", ...] = ()

    @property
    def beta(self) -> float:
        """1/(k_B T) in 1/eV."""
        return 1.0 / (BOLTZMANN * self.system.temperature)

    def acceptance(self) -> Estimate | None:
        """Fraction of the frozen guide's proposals that were accepted, vetoed ones included."""
        table = self.proposals
        moves = table.by_walker(table.accepted.astype(np.float64), table.produced)
        return estimate_mean(moves, "", "exact") if moves else None

    def creutz(self) -> Estimate | None:
        """<exp(-beta dH)> over the frozen guide's judged proposals, which must be 1.

        M. Creutz, Phys. Rev. D 38, 1228 (1988).
        """
        table = self.proposals
        factors = np.exp(np.minimum(-self.beta * table.delta_h, 700.0))
        series = table.by_walker(factors, table.produced)
        return estimate_mean(series, "", "exact") if series else None
