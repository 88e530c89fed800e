"""The input file of `hyperatom study heat-capacity`: every setting, its unit and its meaning."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hyperatom.campaign.input_text import checked, template_of
from hyperatom.campaign.settings import (
    ConfigurationSettings,
    FarmSettings,
    GuideSettings,
    LearnSettings,
    ProduceSettings,
    ReferenceSettings,
    SamplingSettings,
)
from hyperatom.section import Section
from hyperatom.simulation.settings import PotentialSettings

CURE = (
    "All keys, units and defaults: 'hyperatom study heat-capacity --template' or "
    "'hyperatom study heat-capacity --schema'."
)

Kelvin = Annotated[float, Field(gt=0, le=1.0e5)]

FEWEST = 4
"""Frames of a check."""

OBSERVABLES = ("heat-capacity", "energy", "diffusion", "phason-jumps")
"""What measured points may be laid beside."""


class ApproximantSettings(Section):
    """The cut of six dimensions that a configuration comes from."""

    model: Literal["katz-gratias"] = Field("katz-gratias", description="windows and species")
    order: str = Field("1/1", description="p/q of the approximant, or p/q,p/q,p/q along x, y, z")
    lattice_constant: float = Field(6.42, gt=0, description="Å; of the primitive hypercube")
    offset: tuple[float, float, float] | None = Field(
        None, description="Å; of the cut; null: one without overlaps"
    )
    overlaps: Literal["refuse", "thin"] = Field(
        "refuse", description="sites too close: refuse, or thin to one"
    )


class CampaignParts(Section):
    """The campaigns: of an `exact` study at each temperature, else one that learns each guide."""

    temperature: Kelvin | tuple[Kelvin, ...] | None = Field(
        None,
        description="K; where the guide of a 'dynamic' study learns, or several, one campaign at "
        "each, whose labels make one guide; null: the lowest and the highest",
    )
    reference: ReferenceSettings = ReferenceSettings()
    guide: GuideSettings = GuideSettings()
    sampling: SamplingSettings = SamplingSettings()
    learn: LearnSettings = LearnSettings()
    produce: ProduceSettings = ProduceSettings()
    farm: FarmSettings = FarmSettings()
    walkers: int = Field(1, ge=1, le=256, description="independent chains sharing one guide")


class RelaxationSettings(Section):
    """To the minimum below, before anything is sampled."""

    what: Literal["positions", "cell"] = Field(
        "positions", description="positions in the given cell, or cell (both, to no stress)"
    )
    force: float = Field(0.03, gt=0, description="eV/Å; where the minimum is reached")
    steps: int = Field(200, ge=1, description="of the search, at most; each is a label")


class MemberSettings(Section):
    """One configuration of the series."""

    name: str = Field(min_length=1, description="shown in the report; names its folder too")
    configuration: ConfigurationSettings | None = Field(
        None, description="its atoms; may be left out for an approximant"
    )
    approximant: ApproximantSettings | None = Field(
        None, description="where it comes from in six dimensions: its atoms are lifted"
    )
    relax: RelaxationSettings | None = Field(
        None, description="by the reference, or by 'potential'; null: begins as it is given"
    )
    potential: PotentialSettings | None = Field(
        None, description="dynamic: moves on it; null: on a guide that the study learns first"
    )
    campaign: CampaignParts | None = Field(
        None, description="sections that replace those of the study's 'campaign' for it"
    )

    @model_validator(mode="after")
    def _has_atoms(self) -> Self:
        if self.configuration is None and self.approximant is None:
            raise ValueError("give its 'configuration', its 'approximant', or both")
        wanted = self.potential
        if wanted is not None and wanted.file is None and wanted.calculator is None:
            raise ValueError("give 'file' or 'calculator' of the potential")
        if self.approximant is not None and self.relax is not None and self.relax.what == "cell":
            raise ValueError(
                "the cell of an approximant is that of its cut: relax its 'positions', and choose "
                "its 'lattice_constant'"
            )
        return self

    @property
    def folder(self) -> str:
        """A name for files: what is no letter, digit, point or sign becomes a hyphen."""
        kept = "".join(c if c.isascii() and (c.isalnum() or c in ".+_") else "-" for c in self.name)
        return kept.strip("-.") or "member"


class BathSettings(Section):
    """The heat bath: a canonical one, explained in docs/dynamics.md."""

    # Langevin's reaches every normal mode. The others act on the kinetic energy of all atoms as a
    # whole and leave each mode of a cold crystal the share that it began with: fluctuations of the
    # energy, and the heat capacity with them, are then those of one draw of shares.
    name: Literal["langevin", "velocity-rescaling", "nose-hoover"] = Field(
        "langevin", description="langevin, velocity-rescaling or nose-hoover"
    )
    relaxation: float = Field(200.0, gt=0, description="fs (Langevin: 1/friction)")


class DynamicSettings(Section):
    """Motion in time, by which a `dynamic` study samples."""

    bath: BathSettings = BathSettings()
    time_step: float = Field(2.0, gt=0, le=20.0, description="fs")
    equilibration: float = Field(5.0, ge=0, description="ps; at the start, counts for nothing")
    length: float = Field(50.0, gt=0, le=1e9, description="ps that count, at each temperature")
    sample_every: float = Field(20.0, gt=0, description="fs, a multiple of the time step")
    walkers: int = Field(1, ge=1, le=10_000, description="independent trajectories")
    trust: float = Field(
        10.0, gt=0, description="meV/atom; stops where a guide that the study learned is less sure"
    )
    further_labels: int = Field(
        100,
        ge=0,
        description="paid for where the guide is less sure, at the most; 0: the study ends there",
    )
    precision: Literal["float64", "float32"] = Field("float64", description="arithmetic")


class MinimaSettings(Section):
    """Inherent structures: the minima below some frames of each temperature."""

    frames: int = Field(20, ge=0, le=100_000, description="at each temperature; 0: none")
    force: float = Field(0.02, gt=0, description="eV/Å; where a minimum is reached")
    steps: int = Field(2000, ge=1, description="of the search, at most")


class CheckSettings(Section):
    """What the reference says of frames that a guide of the study has sampled."""

    frames: int = Field(
        0, ge=0, le=100_000, description="at each temperature, labels to pay for; 0: none"
    )

    @field_validator("frames")
    @classmethod
    def _enough(cls, frames: int) -> int:
        if 0 < frames < FEWEST:
            raise ValueError(f"a spread of energies takes {FEWEST} frames or more; or give 0")
        return frames


class MapSettings(Section):
    """Density maps, and the path of the atoms through six dimensions."""

    spacing: float = Field(0.3, gt=0, description="Å; of the density's grid")
    smoothing: float = Field(
        1000.0, gt=0, description="fs; over which positions are averaged before they are lifted"
    )
    dilation: float = Field(1.3, ge=1, description="windows so much larger hold ghost sites")
    dwell: int = Field(3, ge=1, description="averaged frames that a new site must last")


class StudySettings(Section):
    """Heat capacity of a series of configurations over a grid of temperatures."""

    title: str = Field("", description="shown on the report")
    series: tuple[MemberSettings, ...] = Field(
        min_length=1, description="configurations, each with a name"
    )
    temperatures: tuple[Kelvin, ...] = Field(min_length=2, description="K, two or more")
    method: Literal["dynamic", "exact"] = Field(
        "dynamic", description="machine-learned dynamics, or chains judged by the reference"
    )
    dynamic: DynamicSettings = DynamicSettings()
    campaign: CampaignParts = CampaignParts()
    minima: MinimaSettings = MinimaSettings()
    check: CheckSettings = CheckSettings()
    maps: MapSettings = MapSettings()
    experiment: dict[str, tuple[Path, ...]] = Field(
        {}, description="CSV files to draw beside: heat-capacity: [measured.csv]"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="same seed, same machine: the same study")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        folders = [member.folder for member in self.series]
        for name in folders:
            if folders.count(name) > 1:
                raise ValueError(f"two configurations of the series would share the name '{name}'")
        if len(set(self.temperatures)) != len(self.temperatures):
            raise ValueError("a temperature is given twice")
        if self.method == "exact":
            for member in self.series:
                if member.potential is not None:
                    raise ValueError(
                        f"'{member.name}' names a potential, but in an exact study the reference "
                        "of 'campaign' judges"
                    )
        for name in self.experiment:
            if name not in OBSERVABLES:
                raise ValueError(f"'experiment' knows {', '.join(OBSERVABLES)}, and not '{name}'")
        return self

    @property
    def kelvins(self) -> tuple[float, ...]:
        """The temperatures, coldest first."""
        return tuple(sorted(self.temperatures))


def load_study_settings(text: str, source: str) -> StudySettings:
    """Check an input file's text; `source` names it in messages.

    Raises `InputError` naming the key, what was found, what was expected and the nearest right key.
    """
    return checked(StudySettings, text, source, CURE, "hyperatom study heat-capacity --template")


def template() -> str:
    """A commented input file with every key, its default, its unit and its meaning."""
    return template_of(
        StudySettings,
        "# hyperatom study heat-capacity. Run it with: hyperatom study heat-capacity THIS-FILE",
        {
            "series": "[{name: Al13Ru4, configuration: {crystal: Al13Ru4}}]",
            "temperatures": "[300, 450, 600, 750, 900]",
        },
    )
