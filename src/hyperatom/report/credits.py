"""What a run has to cite: methods and engines, by its input."""

from hyperatom.campaign.assembly import engine_preset
from hyperatom.campaign.settings import EngineSettings, Settings
from hyperatom.report.citations import Citation, citations_of

ALWAYS = (
    "self-learning hybrid Monte Carlo",
    "hybrid Monte Carlo",
    "atomic cluster expansion",
    "evidence maximisation",
    "statistical inefficiency",
    "waste recycling",
    "split R-hat",
    "ASE",
    "JAX",
)


def citations_of_run(settings: Settings) -> tuple[Citation, ...]:
    """Methods that every campaign uses, those that this input chose, and the engines."""
    found = list(citations_of(ALWAYS))
    if settings.beads > 1:
        found += citations_of(("ring polymers", "centroid virial"))
    if settings.reference.standard_errors:
        found += citations_of(("penalty method", "pseudo-marginal Monte Carlo"))
    engines: list[EngineSettings] = [settings.reference]
    if settings.reference.cheap is not None:
        found += citations_of(("delayed acceptance",))
        engines.append(settings.reference.cheap)
    for engine in engines:
        preset = engine_preset(engine)
        if preset.citation:
            address = f"https://doi.org/{preset.doi}"
            found.append(Citation(engine.calculator, preset.citation, address))
    return tuple(found)
