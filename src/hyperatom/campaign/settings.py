"""The input file: every setting of a campaign, its unit and its meaning.

One class per section; the schema, the checks, the template and the documentation come from here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from hyperatom.campaign.input_text import checked, template_of
from hyperatom.potentials.families.linear_density import LinearDensitySettings
from hyperatom.section import Section

Repeat = Annotated[int, Field(ge=1, le=100)]
Temperature = Annotated[float, Field(gt=0, le=1.0e5)]
Pressure = Annotated[float, Field(ge=-100, le=1.0e5)]
Share = Annotated[float, Field(ge=0, le=1)]


class ConfigurationSettings(Section):
    """Where the atoms come from: a crystal by name, or a file."""

    crystal: str | None = Field(None, description="crystal by name: alpha-quartz, silicon, ...")
    file: Path | None = Field(None, description="any file ASE reads, relative to this input file")
    frame: int = Field(-1, description="which frame of the file (-1: the last)")
    repeat: tuple[Repeat, Repeat, Repeat] = Field((1, 1, 1), description="copies along a, b, c")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.crystal is None) == (self.file is None):
            raise ValueError("give exactly one of 'crystal' and 'file'")
        return self


class EngineSettings(Section):
    """An engine, by name or by import path."""

    calculator: str = Field(
        "gfn1-xtb",
        validation_alias=AliasChoices("calculator", "engine"),
        description="name of an engine ('hyperatom engines'), or 'ase:module.Class'",
    )
    keywords: dict[str, Any] = Field({}, description="keyword arguments of the ASE calculator")
    retry_keywords: dict[str, Any] = Field(
        {}, description="keywords changed when a failed call is tried once more"
    )
    k_points: tuple[Repeat, Repeat, Repeat] | None = Field(
        None, description="Gamma-centred mesh, the same for every cell; null: 0.3 Å^-1 apart"
    )
    time_out: float = Field(3600.0, gt=0, description="seconds after which a call has failed")
    threads: int = Field(1, ge=1, description="threads of each engine process")
    python: str | None = Field(
        None, description="Python of another environment that has the engine and ASE; null: this"
    )


class ReferenceSettings(EngineSettings):
    """The first-principles engine that judges."""

    cheap: EngineSettings | None = Field(
        None, description="a cheaper engine that judges first; the expensive one has the last word"
    )
    standard_errors: bool = Field(
        False, description="energies must come with one (quantum Monte Carlo): the test pays for it"
    )
    estimates: int | None = Field(
        None,
        ge=3,
        description="independent estimates behind each standard error; null: it is known",
    )

    @model_validator(mode="after")
    def _estimates_of_errors(self) -> Self:
        if self.estimates is not None and not self.standard_errors:
            raise ValueError("'estimates' are those of 'standard_errors: true'")
        return self


class BaselineSettings(Section):
    """A given potential on top of which the guide learns; 'hyperatom convert' reads many."""

    file: Path | None = Field(None, description="its file or folder, relative to this input file")
    format: str | None = Field(None, description="its format; null: recognised")
    species: tuple[str, ...] = Field((), description="chemical symbols, where its files lack them")
    units: str | None = Field(None, description="its units, where its files do not say")

    @model_validator(mode="after")
    def _of_a_file(self) -> Self:
        if self.file is None and (self.format or self.species or self.units):
            raise ValueError("give the 'file' of the baseline")
        return self


class GuideSettings(LinearDensitySettings):
    """The learned potential that proposes: that of `kind`, with its settings and a baseline."""

    baseline: BaselineSettings = BaselineSettings()


class SamplingSettings(Section):
    """How the guide proposes: momenta drawn `segments` times along each path."""

    time_step: float = Field(1.0, gt=0, le=20.0, description="fs; mean time step")
    length: float = Field(200.0, gt=0, description="fs; mean duration of one segment")
    segments: int = Field(
        3, ge=1, le=100, description="momenta drawn so often along a path at most; learning decides"
    )
    nested: int = Field(
        0,
        ge=0,
        le=1000,
        description="paths judged by the guide between two questions to the reference; 0: none",
    )
    guide_temperature: float | None = Field(
        None, gt=0, le=1.0e5, description="K; of these nested paths; null: that of the ensemble"
    )
    mode_period: float = Field(
        10.0, gt=0, description="fs; of a ring's modes ('beads'): about that of the stiffest bond"
    )
    swaps: float = Field(
        0.0, ge=0, lt=1, description="share of moves that exchange two atoms of unlike species"
    )
    veto: float = Field(
        8.0,
        gt=0,
        description="k_BT; paths on which the guide's error exceeds it are rejected unasked",
    )

    @model_validator(mode="after")
    def _temperature_of_nested_paths(self) -> Self:
        if self.guide_temperature is not None and not self.nested:
            raise ValueError("a 'guide_temperature' needs 'nested' paths, which the guide judges")
        return self


class CellSettings(Section):
    """How the cell moves at constant pressure; without a pressure it is fixed."""

    moves: Literal["isotropic", "orthorhombic", "triclinic"] = Field(
        "isotropic", description="as a whole, axis by axis, or freely"
    )
    stress: tuple[float, float, float, float, float, float] | None = Field(
        None, description="GPa; external stress beyond the pressure, xx yy zz yz xz xy, tension > 0"
    )
    measure: Literal["invariant", "flat"] = Field(
        "invariant", description="of triclinic cells: V^-2 dh (usual), or dh"
    )
    centre_of_mass: Literal["relative", "absolute"] = Field(
        "relative", description="V^(N-1), as molecular dynamics has it, or V^N"
    )
    barostat_time: float = Field(
        200.0, gt=0, le=1.0e5, description="fs; inertia of the cell, as a time"
    )


class LadderSettings(Section):
    """Replica exchange: rungs above that of the input, which exchange what they hold."""

    temperatures: tuple[Temperature, ...] = Field(
        (), max_length=64, description="K; of the rungs above 'temperature', from there on"
    )
    pressures: tuple[Pressure, ...] | None = Field(
        None, description="GPa; of these rungs; null: 'pressure' for all of them"
    )
    lambdas: tuple[Share, ...] | None = Field(
        None,
        max_length=64,
        description="shares of the reference at these rungs, 0: the guide alone; null: 1 for all",
    )

    @model_validator(mode="after")
    def _as_many_of_each(self) -> Self:
        counts = {
            "temperatures": len(self.temperatures) or None,
            "lambdas": None if self.lambdas is None else len(self.lambdas),
            "pressures": None if self.pressures is None else len(self.pressures),
        }
        given = {name: count for name, count in counts.items() if count is not None}
        if len(set(given.values())) > 1 or list(given) == ["pressures"]:
            raise ValueError(
                "give as many 'pressures' and 'lambdas' as 'temperatures': each rung has one of "
                f"each (found {', '.join(f'{count} {name}' for name, count in given.items())})"
            )
        return self


@dataclass(frozen=True)
class Rung:
    """What is held at a rung: `temperature` in K, `pressure` in GPa, None where the cell is.

    `share` is that of the reference in what is sampled, the rest the frozen guide's.
    """

    temperature: float
    pressure: float | None
    share: float = 1.0

    def __str__(self) -> str:
        pressure = "" if self.pressure is None else f", {self.pressure:g} GPa"
        share = "" if self.share == 1.0 else f", lambda {self.share:g}"
        return f"{self.temperature:g} K{pressure}{share}"


class LearnSettings(Section):
    """When learning ends."""

    calls: int = Field(200, ge=1, description="reference calls spent on learning at most")
    acceptance: float = Field(
        0.85, gt=0, le=1, description="freeze early once this acceptance is reached ..."
    )
    window: int = Field(20, ge=5, description="... over this many full-length proposals")
    ask_beyond: float = Field(
        1.5, gt=0, description="k_BT; paths end, and ask, where the guide's error exceeds it"
    )
    probation: int = Field(
        20, ge=1, description="proposals after the freeze that do not count, and may undo it"
    )
    rattle: float = Field(
        0.05, ge=0, le=0.5, description="Å; first displacement of a perfect crystal"
    )
    labels: tuple[Path, ...] = Field(
        (), description="other runs, or their labels.db, whose labels the guide knows at the start"
    )


class FarmSettings(Section):
    """Where labels are computed, how many at a time; changes no result (docs/farm.md)."""

    backend: Literal["local", "queue", "executorlib", "parsl", "dask"] = Field(
        "local", description="engines on this machine, a queue of files, or an executor"
    )
    workers: int | None = Field(
        None, ge=1, le=10_000, description="labels at a time; null: one a walker, one a core"
    )
    pin: bool = Field(False, description="give each local engine processor cores of its own")
    attempts: int = Field(3, ge=1, le=100, description="at a label, before it counts as failed")
    ahead: int = Field(
        0,
        ge=0,
        le=64,
        description="labels of each walker asked for before they are known to matter",
    )
    queue: Path | None = Field(
        None, description="its folder, shared with each 'hyperatom worker FOLDER'"
    )
    silence: float = Field(
        120.0, gt=0, description="s; a worker without a sign of life for so long is dead"
    )
    options: dict[str, Any] = Field({}, description="of the executor: resources of a label, ...")

    @model_validator(mode="after")
    def _queue_is_named(self) -> Self:
        if (self.backend == "queue") != (self.queue is not None):
            raise ValueError("'backend: queue' and 'queue: FOLDER' go together")
        return self


class ProduceSettings(Section):
    """What the frozen guide samples: this alone counts as exact."""

    strategy: Literal["metropolis", "reweighting", "auto"] = Field(
        "metropolis",
        description="judge proposals, or weigh samples of the guide; auto: what costs less time",
    )
    proposals: int = Field(100, ge=1, description="of each walker that count; or samples weighed")
    guide_samples: int | None = Field(
        None,
        ge=0,
        description="samples of the guide alone, free of calls, to sharpen averages; null: tenfold",
    )


class Settings(Section):
    """A campaign: learn, freeze, produce."""

    title: str = Field("", description="shown on the report")
    configuration: ConfigurationSettings
    temperature: Temperature = Field(description="K")
    pressure: Pressure | None = Field(None, description="GPa; null: the cell stays as it is")
    beads: int = Field(
        1, ge=1, le=1024, description="of each atom's ring, for quantum nuclei; 1: classical nuclei"
    )
    cell: CellSettings = CellSettings()
    ladder: LadderSettings = LadderSettings()
    reference: ReferenceSettings = ReferenceSettings()
    guide: GuideSettings = GuideSettings()
    sampling: SamplingSettings = SamplingSettings()
    learn: LearnSettings = LearnSettings()
    produce: ProduceSettings = ProduceSettings()
    farm: FarmSettings = FarmSettings()
    labels: tuple[Path, ...] = Field(
        (),
        description="other runs, or their labels.db: labels of equal settings are not paid again",
    )
    walkers: int = Field(
        1, ge=1, le=256, description="independent chains, or ladders, sharing one guide"
    )
    seed: int = Field(0, ge=0, description="same seed, same machine: the same chain, bit for bit")

    @model_validator(mode="after")
    def _what_can_be_weighed(self) -> Self:
        pair = self.reference.cheap is not None
        if self.produce.strategy != "metropolis" and (pair or self.reference.standard_errors):
            kind = "a pair of engines" if pair else "energies with standard errors"
            raise ValueError(
                f"{kind} can be judged ('strategy: metropolis'), not weighed "
                f"('{self.produce.strategy}')"
            )
        return self

    @model_validator(mode="after")
    def _what_rings_can_do(self) -> Self:
        foreign = {
            "pressure": self.pressure is not None,
            "sampling.swaps": self.sampling.swaps > 0.0,
            "sampling.guide_temperature": self.sampling.guide_temperature is not None,
            "reference.cheap": self.reference.cheap is not None,
            "reference.standard_errors": self.reference.standard_errors,
            "farm.ahead": self.farm.ahead > 0,
            "produce.strategy": self.produce.strategy != "metropolis",
            "produce.guide_samples": bool(self.produce.guide_samples),
        }
        if self.beads > 1:
            _refuse(foreign, "is for classical nuclei: leave it out, or 'beads'")
        return self

    @model_validator(mode="after")
    def _what_ladders_can_do(self) -> Self:
        foreign = {
            "beads": self.beads > 1,
            "reference.cheap": self.reference.cheap is not None,
            "reference.standard_errors": self.reference.standard_errors,
            "farm.ahead": self.farm.ahead > 0,
            "produce.strategy": self.produce.strategy != "metropolis",
            "produce.guide_samples": bool(self.produce.guide_samples),
        }
        if len(self.rungs) > 1:
            _refuse(foreign, "does not go with a 'ladder': leave out one of both")
        if self.ladder.pressures is not None and self.pressure is None:
            raise ValueError("'ladder.pressures' need a 'pressure', that of the first rung")
        return self

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """What is held at each rung of a ladder; the first, or only, is the ensemble asked for."""
        ladder = self.ladder
        above = len(ladder.temperatures or ladder.lambdas or ())
        temperatures = ladder.temperatures or (self.temperature,) * above
        pressures = ladder.pressures or (self.pressure,) * above
        shares = ladder.lambdas or (1.0,) * above
        first = Rung(self.temperature, self.pressure)
        return (first, *map(Rung, temperatures, pressures, shares))

    @property
    def chains(self) -> int:
        """Chains of all walkers: one for each rung of each."""
        return self.walkers * len(self.rungs)

    def chains_at(self, rung: int) -> range:
        """The chains at a rung; those of one ladder follow one another."""
        return range(rung, self.chains, len(self.rungs))

    def rung_of(self, chain: int) -> Rung:
        """What is held by a chain."""
        return self.rungs[chain % len(self.rungs)]

    @property
    def free_samples(self) -> int:
        """Samples of each walker's guide chain; none of rings, ladders or noisy energies."""
        if self.reference.standard_errors or self.beads > 1 or len(self.rungs) > 1:
            return 0
        wanted = self.produce.guide_samples
        return 10 * self.produce.proposals if wanted is None else wanted


def _refuse(foreign: dict[str, bool], why: str) -> None:
    """Raise `ValueError` for the first of these keys that is given."""
    for name, given in foreign.items():
        if given:
            raise ValueError(f"'{name}' {why}")


def load_settings(text: str, source: str) -> Settings:
    """Check an input file's text; `source` names it in messages.

    Raises `InputError` naming the key, what was found, what was expected and the nearest right key.
    """
    cure = "All keys, units and defaults: 'hyperatom init' (template) or 'hyperatom schema'."
    return checked(Settings, text, source, cure, "hyperatom init")


def template() -> str:
    """A commented input file with every key, its default, its unit and its meaning."""
    return template_of(
        Settings,
        "# hyperatom input: learn -> freeze -> produce. Run it with: hyperatom run THIS-FILE",
        {"crystal": "alpha-quartz", "repeat": "[1, 1, 1]", "temperature": "300"},
    )
