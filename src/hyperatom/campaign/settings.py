"""The input file: every setting of a campaign, its unit and its meaning.

One class per section; the schema, the checks, the template and the documentation come from here.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from hyperatom.errors import InputError

Model = TypeVar("Model", bound=BaseModel)

Repeat = Annotated[int, Field(ge=1, le=100)]


class Section(BaseModel):
    """A section of the input file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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


class ReferenceSettings(EngineSettings):
    """The first-principles engine that judges."""

    cheap: EngineSettings | None = Field(
        None, description="a cheaper engine that judges first; the expensive one has the last word"
    )


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


class GuideSettings(Section):
    """The learned potential that proposes."""

    cutoff: float = Field(5.5, ge=2.0, le=15.0, description="Å; how far an atom sees")
    crowding: float = Field(3.0, ge=0, le=20, description="finer radial functions at short range")
    radial_functions: int = Field(10, ge=2, le=40, description="Chebyshev functions of the pairs")
    power_channels: int | None = Field(
        None, ge=0, le=20, description="radial functions of the 3-body terms; null: by species"
    )
    power_degree: int = Field(3, ge=0, le=10, description="largest l of the 3-body terms")
    bispectrum_channels: int | None = Field(
        None, ge=0, le=6, description="radial functions of the 4-body terms; null: by species"
    )
    bispectrum_degree: int = Field(3, ge=0, le=6, description="largest l of the 4-body terms")
    precision: Literal["float64", "float32"] = Field(
        "float64", description="arithmetic of the trajectories"
    )
    baseline: BaselineSettings = BaselineSettings()


class SamplingSettings(Section):
    """How the guide proposes: momenta drawn `segments` times along each path."""

    time_step: float = Field(1.0, gt=0, le=20.0, description="fs; mean time step")
    length: float = Field(200.0, gt=0, description="fs; mean duration of one segment")
    segments: int = Field(3, ge=1, le=100, description="momenta drawn this often along a path")
    nested: int = Field(
        0,
        ge=0,
        le=1000,
        description="paths judged by the guide between two questions to the reference; 0: none",
    )
    guide_temperature: float | None = Field(
        None, gt=0, le=1.0e5, description="K; of these nested paths; null: that of the ensemble"
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

    proposals: int = Field(100, ge=1, description="proposals of each walker that count")
    guide_samples: int | None = Field(
        None,
        ge=0,
        description="samples of the guide alone, free of calls, to sharpen averages; null: tenfold",
    )

    @property
    def free_samples(self) -> int:
        """Samples of each walker's guide chain."""
        return 10 * self.proposals if self.guide_samples is None else self.guide_samples


class Settings(Section):
    """A campaign: learn, freeze, produce."""

    title: str = Field("", description="shown on the report")
    configuration: ConfigurationSettings
    temperature: float = Field(gt=0, le=1.0e5, description="K")
    pressure: float | None = Field(
        None, ge=-100, le=1.0e5, description="GPa; null: the cell stays as it is"
    )
    cell: CellSettings = CellSettings()
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
    walkers: int = Field(1, ge=1, le=256, description="independent chains sharing one guide")
    seed: int = Field(0, ge=0, description="same seed, same machine: the same chain, bit for bit")


def load_settings(text: str, source: str) -> Settings:
    """Check an input file's text; `source` names it in messages.

    Raises `InputError` naming the key, what was found, what was expected and the nearest right key.
    """
    cure = "All keys, units and defaults: 'hyperatom init' (template) or 'hyperatom schema'."
    return checked(Settings, text, source, cure, "hyperatom init")


def checked(model: type[Model], text: str, source: str, cure: str, writer: str) -> Model:
    """The settings of a YAML text, whatever their model; `writer` is the command that writes one.

    Raises `InputError` as above, with `cure`.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise InputError(
            f"{source} is not valid YAML: {problem}.", "Mend the line named."
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{source} holds no settings.", f"Write one with '{writer}' and edit it.")
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        said = (_explain(error, text, model) for error in problem.errors())
        raise InputError(f"{source}: " + "; ".join(said) + ".", cure) from None


def _explain(error: Any, text: str, model: type[BaseModel]) -> str:
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    line = _line_of(path, text)
    where = f"line {line}, key '{key}'" if line else f"key '{key}'"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _known_keys(path[:-1], model), n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else "remove it"
        return f"{where} is unknown; {hint}"
    if error["type"] == "missing":
        return f"{where} is missing"
    message: str = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if not path:
        return message
    if isinstance(error["input"], dict):
        return f"{where}: {message}"
    return f"{where}: found {error['input']!r}, but {message}"


def _known_keys(path: list[str], model: Any) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        model = field.annotation if field else None
        model = next((kind for kind in get_args(model) if isinstance(kind, type)), model)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    return list(model.model_fields)


def _line_of(path: list[str], text: str) -> int | None:
    """Line number (from 1) of a key in the YAML text, None where it is not written."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = None
    for part in path:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
    return line


def template() -> str:
    """A commented input file with every key, its default, its unit and its meaning."""
    return template_of(
        Settings,
        "# hyperatom input: learn -> freeze -> produce. Run it with: hyperatom run THIS-FILE",
        {"crystal": "alpha-quartz", "repeat": "[1, 1, 1]", "temperature": "300"},
    )


def template_of(model: type[BaseModel], heading: str, examples: Mapping[str, str]) -> str:
    """The template of any model of settings; `examples` stand where defaults would.

    An optional section is shown whole where its example is empty.
    """
    lines = [heading, "# Lines that start with '#' show the default.", ""]
    lines.extend(_template_lines(model, 0, examples))
    return "\n".join(lines) + "\n"


def _template_lines(
    model: type[BaseModel], depth: int, examples: Mapping[str, str]
) -> Iterator[str]:
    indent = "  " * depth
    for name, field in model.model_fields.items():
        annotation: Any = field.annotation
        if examples.get(name) == "":
            annotation = get_args(annotation)[0]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield f"\n{indent}# {(annotation.__doc__ or '').strip()}"
            yield f"{indent}{name}:"
            yield from _template_lines(annotation, depth + 1, examples)
            continue
        if name in examples:
            yield f"{indent}{name}: {examples[name]}  # {field.description}"
        else:
            yield f"{indent}{_default_line(name, field.default)}  # {field.description}"


def _default_line(name: str, default: object) -> str:
    if default is None:
        return f"# {name}: null"
    shown = list(default) if isinstance(default, tuple) else default
    return f"{name}: {yaml.safe_dump(shown, default_flow_style=True).splitlines()[0]}"
