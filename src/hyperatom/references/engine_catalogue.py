"""Every engine by its name: one file each in `engines/`, found by looking there."""

import difflib
import importlib
import pkgutil
from functools import cache

from hyperatom.errors import InputError
from hyperatom.references import engines
from hyperatom.references.engine_preset import EnginePreset, Keywords

ANY_CALCULATOR = "ase:"


@cache
def engine_presets() -> dict[str, EnginePreset]:
    """The presets of all files in `engines/`, by name; each has a tuple called `PRESETS`."""
    found: dict[str, EnginePreset] = {}
    for module in sorted(pkgutil.iter_modules(engines.__path__), key=lambda module: module.name):
        presets = importlib.import_module(f"{engines.__name__}.{module.name}").PRESETS
        found.update({preset.name: preset for preset in presets})
    return found


def find_engine(name: str, keywords: Keywords, retry_keywords: Keywords) -> EnginePreset:
    """The preset of that name, or any ASE calculator as 'ase:module.Class'.

    `keywords` and `retry_keywords` are laid over those of the preset. Raises `InputError` for an
    engine that is neither known nor an import path.
    """
    if name.startswith(ANY_CALCULATOR):
        return EnginePreset(name, keywords, retry_keywords, name=name)
    presets = engine_presets()
    if name not in presets:
        near = difflib.get_close_matches(name.lower(), presets, 1, cutoff=0.7)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        raise InputError(
            f"'{name}' is not an engine that hyperatom knows.",
            f"{hint}Use one of {', '.join(presets)}, or 'ase:module.Class' for any ASE calculator.",
        )
    return presets[name].changed(keywords, retry_keywords)
