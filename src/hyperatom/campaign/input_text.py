"""The text of an input file: checked against a model of settings, or written from one."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from hyperatom.errors import InputError
from hyperatom.potentials.family_catalogue import settings_model

Model = TypeVar("Model", bound=BaseModel)


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
        model = settings_model(model, content)
        return model.model_validate(content)
    except InputError as problem:
        raise InputError(f"{source}: {problem.problem}", problem.cure) from None
    except ValidationError as problem:
        errors = problem.errors()
        # A list of which one item is wrong is told to be too short besides.
        inside = {error["loc"][:n] for error in errors for n in range(len(error["loc"]))}
        errors = [one for one in errors if one["type"] != "too_short" or one["loc"] not in inside]
        said = "; ".join(_explain(error, text, model) for error in errors)
        raise InputError(f"{source}: {said}{'' if said.endswith('?') else '.'}", cure) from None


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
        if part.isdigit():  # of a list, whose items are the model already
            continue
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
        if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
            continue
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
    return line


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
