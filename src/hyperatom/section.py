"""A section of an input file, of which all settings are made."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the input file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
