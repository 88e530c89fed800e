"""Every family of learned potentials by its name: one file each in `families/`, found there.

Settings that hold a family's settings (a field of type `FamilySettings`) are settings of whichever
family their `kind` names; `settings_model` makes the model that fits, `settings_schema` a schema of
all that might stand there.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, create_model

from hyperatom.errors import InputError
from hyperatom.potentials import families
from hyperatom.potentials.family import Family, FamilySettings

Model = TypeVar("Model", bound=BaseModel)


@cache
def known_families() -> dict[str, Family]:
    """The families of all files in `families/`, by name; each file has a tuple `FAMILIES`."""
    found: dict[str, Family] = {}
    for module in sorted(pkgutil.iter_modules(families.__path__), key=lambda module: module.name):
        content = importlib.import_module(f"{families.__name__}.{module.name}")
        found.update({family.name: family for family in content.FAMILIES})
    return found


def find_family(name: str) -> Family:
    """The family of that name.

    Raises `InputError` for an unknown one, with the nearest right name.
    """
    known = known_families()
    if name not in known:
        near = difflib.get_close_matches(str(name).lower(), known, 1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        raise InputError(
            f"There is no potential of kind '{name}'.", f"{hint}Known are {', '.join(known)}."
        )
    return known[name]


def settings_model(model: type[Model], content: Any) -> type[Model]:
    """The model of settings that fits the `kind`s named in `content`, the dictionary to be checked.

    Raises `InputError` for a kind that does not exist.
    """
    if not isinstance(content, Mapping):
        return model
    changes: dict[str, Any] = {}
    for name, entry in model.model_fields.items():
        annotation = _family_settings(entry.annotation)
        given = content.get(name)
        if annotation is None or not isinstance(given, Mapping):
            continue
        family = find_family(given.get("kind", _default_kind(annotation)))
        if issubclass(annotation, family.settings):
            chosen: Any = settings_model(annotation, given)
        else:
            chosen = settings_model(_with_extras(annotation, family.settings), given)
        if chosen is not annotation:
            changes[name] = chosen
    if not changes:
        return model
    return _changed(model, tuple(changes.items()))


@cache
def _changed(model: type[Model], changes: tuple[tuple[str, Any], ...]) -> type[Model]:
    # Cached: equal inputs have settings of one class, which can be compared.
    fields: dict[str, Any] = {name: (kind, model.model_fields[name]) for name, kind in changes}
    return create_model(model.__name__, __base__=model, **fields)


@cache
def _with_extras(annotation: type[FamilySettings], wanted: type[Model]) -> type[Model]:
    """The `wanted` settings with what `annotation` adds to those of its own family."""
    own = _own_settings(annotation).model_fields
    extras: dict[str, Any] = {
        name: (entry.annotation, entry)
        for name, entry in annotation.model_fields.items()
        if name not in own
    }
    if not extras:
        return wanted
    return create_model(wanted.__name__, __base__=wanted, **extras)


def _own_settings(annotation: type[FamilySettings]) -> type[BaseModel]:
    known = {family.settings for family in known_families().values()}
    return next((kind for kind in annotation.__mro__ if kind in known), FamilySettings)


def _default_kind(annotation: type[FamilySettings]) -> str:
    return str(annotation.model_fields["kind"].default)


def _family_settings(annotation: Any) -> type[FamilySettings] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, FamilySettings):
            return kind
    return None


def checked_settings(family: Family, content: Mapping[str, Any]) -> FamilySettings:
    """Settings of the family, and of the families of its parts, checked.

    Raises `InputError` for a kind that does not exist, `ValidationError` for other mistakes.
    """
    return settings_model(family.settings, content).model_validate(content)


def settings_schema(model: type[BaseModel]) -> dict[str, Any]:
    """JSON schema of settings in which every family may stand where one may."""
    schema = model.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for name, entry in model.model_fields.items():
        annotation = _family_settings(entry.annotation)
        if annotation is None:
            continue
        choices = []
        for family in known_families().values():
            kind = annotation
            if not issubclass(annotation, family.settings):
                kind = _with_extras(annotation, family.settings)
            one = kind.model_json_schema()
            definitions.update(one.pop("$defs", {}))
            for inner, held in kind.model_fields.items():
                if _family_settings(held.annotation) is not None:
                    one["properties"][inner] = {"type": "object", "description": held.description}
            key = f"{annotation.__name__} {family.name}".replace(" ", "_")
            definitions[key] = one
            choices.append({"$ref": f"#/$defs/{key}"})
        described: dict[str, Any] = {"anyOf": choices}
        if entry.description:
            described["description"] = entry.description
        schema["properties"][name] = described
    return schema
