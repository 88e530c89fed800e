"""The input file of `hyperatom fit`: every setting, its unit and its meaning."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from hyperatom.campaign.input_text import checked, template_of
from hyperatom.potentials.families.linear_density import LinearDensitySettings
from hyperatom.section import Section

CURE = "All keys, units and defaults: 'hyperatom fit --template' or 'hyperatom fit --schema'."


class DataSettings(Section):
    """What is learned from: frames of files, label stores, runs."""

    files: tuple[Path, ...] = Field(
        description="extended XYZ or what ASE reads, labels.db, run directories"
    )
    test: tuple[Path, ...] = Field((), description="the same, kept apart: errors are told of these")
    test_fraction: float = Field(
        0.0, ge=0, lt=1, description="or: this part of the frames, drawn by the seed, is kept apart"
    )
    validation: float = Field(
        0.1, ge=0, lt=1, description="part of the frames that tells when to stop, drawn by the seed"
    )
    group: str = Field(
        "config_type", description="entry of a frame that names its type of configuration"
    )
    weights: dict[str, float] = Field({}, description="weight of types of configuration")
    largest_force: float | None = Field(
        None, gt=0, description="eV/Å; frames with larger forces are left out; null: refused"
    )
    energy_offsets: dict[str, dict[str, float]] = Field(
        {}, description="eV for each element, added to energies of a file: {a.xyz: {Si: 1.5}}"
    )
    stress: bool = Field(True, description="learn from stress where there is one")
    checked: bool = Field(
        True, description="false: learn in spite of what the checks of the data say"
    )

    @model_validator(mode="after")
    def _some_files(self) -> Self:
        if not self.files:
            raise ValueError("name at least one file")
        return self


class FitSettings(Section):
    """A fit: data, potential, time."""

    title: str = Field("", description="kept with the potential")
    data: DataSettings
    potential: LinearDensitySettings = LinearDensitySettings()
    minutes: float | None = Field(
        None, gt=0, description="wall time at the most, of potentials that train step by step"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="same seed, same machine: the same potential")


def load_fit_settings(text: str, source: str) -> FitSettings:
    """Check an input file's text; `source` names it in messages.

    Raises `InputError` naming the key, what was found and what was expected.
    """
    return checked(FitSettings, text, source, CURE, "hyperatom fit --template")


def template() -> str:
    """A commented input file with every key, its default, its unit and its meaning."""
    return template_of(
        FitSettings,
        "# hyperatom input: fit a potential. Run it with: hyperatom fit THIS-FILE",
        {"files": "[training.xyz]"},
    )
