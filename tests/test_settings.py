"""The input file: what is refused, in which words, and that the template tells the truth."""

import pytest
import yaml

from hyperatom.campaign.settings import Settings, load_settings, template
from hyperatom.errors import InputError
from hyperatom.section import Section

MINIMAL = {"configuration": {"crystal": "alpha-quartz"}, "temperature": 300}


def refusal(content: object) -> InputError:
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    with pytest.raises(InputError) as caught:
        load_settings(text, "input.yaml")
    return caught.value


def test_the_template_states_the_defaults() -> None:
    written = load_settings(template(), "template")
    assert written == load_settings(yaml.safe_dump(MINIMAL), "minimal")


def test_the_template_explains_every_key() -> None:
    text = template()
    written = load_settings(text, "template")
    sections = [written, *(part for part in dict(written).values() if isinstance(part, Section))]
    assert len(sections) == 10
    for section in sections:
        for name, entry in type(section).model_fields.items():
            assert f"{name}:" in text
            assert entry.description is None or entry.description in text


def test_every_setting_has_a_description_in_the_schema() -> None:
    schema = Settings.model_json_schema()
    for section in [schema, *schema["$defs"].values()]:
        assert section["additionalProperties"] is False
        for name, entry in section["properties"].items():
            assert "$ref" in entry or entry.get("description"), name


@pytest.mark.parametrize(
    ("path", "misspelt", "meant"),
    [
        ((), "temprature", "temperature"),  # codespell:ignore
        ((), "smapling", "sampling"),  # codespell:ignore
        (("configuration",), "fil", "file"),
        (("reference",), "calculater", "calculator"),  # codespell:ignore
        (("guide",), "cut_off", "cutoff"),
        (("sampling",), "timestep", "time_step"),
        (("learn",), "call", "calls"),
        (("produce",), "proposal", "proposals"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_right_one(
    path: tuple[str, ...], misspelt: str, meant: str
) -> None:
    content = yaml.safe_load(yaml.safe_dump(MINIMAL))
    section = content
    for part in path:
        section = section.setdefault(part, {})
    section[misspelt] = 1
    problem = refusal(content).problem
    assert f"'{'.'.join((*path, misspelt))}' is unknown" in problem
    assert f"did you mean '{meant}'?" in problem


def test_a_key_like_no_other_is_simply_to_be_removed() -> None:
    assert "'zzzzzz' is unknown; remove it" in refusal({**MINIMAL, "zzzzzz": 1}).problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", -300),
        ("temperature", 0),
        ("temperature", 1e9),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "warm"),
        ("temperature", None),
        ("temperature", [300]),
        ("learn.calls", 0),
        ("learn.acceptance", 1.5),
        ("produce.proposals", 0),
        ("produce.proposals", 2.5),
        ("learn.probation", 0),
        ("sampling.length", 0),
        ("sampling.length", float("inf")),
        ("sampling.time_step", 0),
        ("sampling.time_step", float("nan")),
        ("sampling.segments", 0),
        ("guide.cutoff", -5),
        ("guide.precision", "float16"),
        ("reference.time_out", 0),
        ("reference.threads", 0),
        ("configuration.repeat", [0, 1, 1]),
        ("configuration.repeat", [2, 2]),
        ("walkers", 0),
        ("seed", -1),
    ],
)
def test_an_absurd_value_is_named_with_what_was_expected(key: str, value: object) -> None:
    content = yaml.safe_load(yaml.safe_dump(MINIMAL))
    section = content
    *path, name = key.split(".")
    for part in path:
        section = section.setdefault(part, {})
    section[name] = value
    refused = refusal(content)
    assert key in refused.problem
    assert any(word in refused.problem for word in ("should", "must", "missing"))
    assert "hyperatom schema" in refused.cure


@pytest.mark.parametrize("section", [{}, {"crystal": "silicon", "file": "a.xyz"}])
def test_the_configuration_has_exactly_one_source(section: dict[str, str]) -> None:
    problem = refusal({"configuration": section, "temperature": 300}).problem
    assert "exactly one of 'crystal' and 'file'" in problem


def test_what_is_missing_is_named() -> None:
    problem = refusal({"title": "nothing else"}).problem
    assert "'configuration' is missing" in problem
    assert "'temperature' is missing" in problem


def test_the_line_is_named() -> None:
    text = "configuration:\n  crystal: silicon\n\ntemperature: cold\n"
    assert "line 4" in refusal(text).problem


@pytest.mark.parametrize("text", ["", "just words", "- a\n- list\n", "a: [1,\n", "\tx: 1\n"])
def test_what_is_not_a_mapping_is_refused(text: str) -> None:
    assert "input.yaml" in refusal(text).problem
