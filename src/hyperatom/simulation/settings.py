"""The input file of `hyperatom md`: every setting, its unit and its meaning."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from hyperatom.campaign.input_text import checked, template_of
from hyperatom.campaign.settings import ConfigurationSettings
from hyperatom.section import Section
from hyperatom.trajectory import Kind
from hyperatom.units import FEMTOSECOND

CURE = "All keys, units and defaults: 'hyperatom md --template' or 'hyperatom md --schema'."


class PotentialSettings(Section):
    """What the forces come from: a potential's file, or a calculator (plain ab initio dynamics)."""

    file: Path | None = Field(
        None, description="a run directory, or what 'hyperatom convert' reads; see 'start'"
    )
    format: str | None = Field(None, description="its format; null: recognised")
    species: tuple[str, ...] = Field((), description="chemical symbols, where its files lack them")
    units: str | None = Field(None, description="its units, where its files do not say")
    calculator: str | None = Field(
        None, description="instead: name of an engine, or 'ase:module.Class'"
    )
    keywords: dict[str, Any] = Field({}, description="keyword arguments of the calculator")
    trust: float = Field(
        10.0, gt=0, description="meV/atom; a path whose predicted error exceeds it is stopped"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.file is not None and self.calculator is not None:
            raise ValueError("give 'file' or 'calculator', not both")
        if self.file is None and (self.format or self.species or self.units):
            raise ValueError("give the 'file' of the potential")
        return self


class EnsembleSettings(Section):
    """Which equations of motion; each is explained in docs/dynamics.md."""

    name: Literal["nve", "langevin", "velocity-rescaling", "nose-hoover", "cell-rescaling"] = Field(
        "nve", description="nve, langevin, velocity-rescaling, nose-hoover or cell-rescaling"
    )
    relaxation: float = Field(
        100.0, gt=0, description="fs; of the heat bath (Langevin: 1/friction)"
    )
    cell: Literal["isotropic", "orthorhombic", "triclinic"] = Field(
        "isotropic", description="how a cell is rescaled: isotropic, orthorhombic or triclinic"
    )
    cell_relaxation: float = Field(1000.0, gt=0, description="fs; of the volume")
    compressibility: float = Field(
        0.02, gt=0, description="1/GPa; a guess, sets how fast the volume relaxes, no average"
    )


class MotionSettings(Section):
    """A simulation: what moves, how, for how long."""

    title: str = Field("", description="kept with the results")
    start: Path | None = Field(
        None, description="a run directory: start from its exact samples, on its guide"
    )
    configuration: ConfigurationSettings | None = None
    potential: PotentialSettings = PotentialSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    temperature: float | tuple[float, float] = Field(
        300.0, description="K; or [first, last] to heat or quench; nve: of the first momenta"
    )
    pressure: float | None = Field(
        None, ge=-1e3, le=1e5, description="GPa; cell-rescaling alone, null: 0 there"
    )
    beads: int = Field(
        1, ge=1, le=1024, description="of each atom's ring: ring-polymer dynamics; 1: classical"
    )
    time_step: float = Field(1.0, gt=0, le=20.0, description="fs")
    length: float = Field(gt=0, le=1e9, description="ps, of each trajectory")
    sample_every: float = Field(10.0, gt=0, description="fs, a multiple of the time step")
    walkers: int = Field(1, ge=1, le=10_000, description="independent trajectories")
    threads: int | None = Field(None, ge=1, le=1024, description="walkers at a time; null: cores")
    precision: Literal["float64", "float32"] = Field("float64", description="arithmetic")
    seed: int = Field(0, ge=0, lt=2**32, description="same seed, same machine: the same path")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.start is None) == (self.configuration is None):
            raise ValueError("give exactly one of 'start' (a run) and 'configuration'")
        potential = self.potential
        if self.start is None and potential.file is None and potential.calculator is None:
            raise ValueError("give 'file' or 'calculator' of the potential")
        if self.pressure is not None and self.ensemble.name != "cell-rescaling":
            raise ValueError(
                f"a pressure is kept by 'cell-rescaling' alone, not by '{self.ensemble.name}'"
            )
        for kelvin in self.temperatures:
            if not 0.0 < kelvin <= 1e5:
                raise ValueError(f"a temperature of {kelvin:g} K is outside 0 to 100000 K")
        if self.ramps and self.ensemble.name == "nve":
            raise ValueError("nve has no heat bath that could follow a change of temperature")
        if self.beads > 1 and self.ensemble.name not in ("nve", "langevin"):
            raise ValueError(
                f"rings of 'beads' move by 'nve' or 'langevin', not by '{self.ensemble.name}'"
            )
        if self.beads > 1 and self.ramps:
            raise ValueError("rings of 'beads' have one temperature, which their springs know")
        ratio = self.sample_every / self.time_step
        if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6 * ratio:
            raise ValueError(
                f"sample_every ({self.sample_every:g} fs) is no multiple of the time step "
                f"({self.time_step:g} fs)"
            )
        if self.length * 1000.0 < self.sample_every * (1.0 - 1e-9):
            raise ValueError(
                f"the length ({self.length:g} ps) is shorter than sample_every "
                f"({self.sample_every:g} fs)"
            )
        return self

    @property
    def temperatures(self) -> tuple[float, float]:
        """First and last, K."""
        if isinstance(self.temperature, tuple):
            return self.temperature
        return self.temperature, self.temperature

    @property
    def kind(self) -> Kind:
        """How the frames come about: first principles are no learned potential."""
        return "as given" if self.potential.calculator else "machine-learned dynamics"

    @property
    def ramps(self) -> bool:
        """Does the temperature change?"""
        return self.temperatures[0] != self.temperatures[1]

    @property
    def internal_time_step(self) -> float:
        """In sqrt(amu Å^2 / eV)."""
        return self.time_step * FEMTOSECOND

    @property
    def sample_steps(self) -> int:
        """Steps between samples."""
        return round(self.sample_every / self.time_step)

    @property
    def n_steps(self) -> int:
        """Steps of each trajectory, a multiple of the above."""
        return self.sample_steps * int(self.length * 1000.0 / self.sample_every + 1e-6)


def load_motion_settings(text: str, source: str) -> MotionSettings:
    """Check an input file's text; `source` names it in messages.

    Raises `InputError` naming the key, what was found, what was expected and the nearest right key.
    """
    return checked(MotionSettings, text, source, CURE, "hyperatom md --template")


def template() -> str:
    """A commented input file with every key, its default, its unit and its meaning."""
    return template_of(
        MotionSettings,
        "# hyperatom md: dynamics in time on a potential. Run it with: hyperatom md THIS-FILE",
        {
            "configuration": "",
            "crystal": "alpha-quartz",
            "repeat": "[2, 2, 2]",
            "calculator": "gfn1-xtb",
            "length": "10.0",
        },
    )
