"""What is known of an engine by name: settings that work, what it promises, whom to cite."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from hyperatom.configuration import Configuration
from hyperatom.references.installation import Missing

Keywords = Mapping[str, Any]
Mesh = tuple[int, int, int]
Prepare = Callable[[Keywords, Configuration, Mesh | None], dict[str, Any]]


def _as_they_are(
    keywords: Keywords,
    configuration: Configuration,  # noqa: ARG001
    mesh: Mesh | None,  # noqa: ARG001
) -> dict[str, Any]:
    return dict(keywords)


def _nothing(python: str | None = None) -> str | None:  # noqa: ARG001
    return None


@dataclass(frozen=True)
class EnginePreset:
    """An engine with settings known to work, and whom to cite.

    | field            | meaning                                                            |
    |------------------|--------------------------------------------------------------------|
    | `calculator`     | import path of an ASE calculator, or of a function that returns one|
    | `keywords`       | its keywords                                                       |
    | `retry_keywords` | what changes in the second attempt; not the converged energy       |
    | `citation`       | authors, title, journal                                            |
    | `doi`            | of the citation                                                    |
    | `name`           | what the input file says                                           |
    | `energy`         | which energy it returns                                            |
    | `convergence`    | how it is known that the electrons have converged                  |
    | `start`          | where the electrons start from, so that the past does not matter   |
    | `basis`          | what stays the same when atoms and cell change                     |
    | `install`        | the one command (or, failing that, the way) that installs it       |
    | `has_k_points`   | takes a mesh of k-points (else Gamma alone)                        |
    | `missing`        | what it lacks here, or where `python` looks; None: nothing         |
    | `prepare`        | keywords for a configuration: k-points, pseudopotentials           |

    `prepare` makes explicit what depends on the first configuration, once, so that it is the same
    for every other and part of each label's identity. It raises `InputError` where the engine
    cannot describe the configuration.
    """

    calculator: str
    keywords: Keywords
    retry_keywords: Keywords = field(default_factory=dict)
    citation: str = ""
    doi: str = ""
    name: str = ""
    energy: str = ""
    convergence: str = ""
    start: str = ""
    basis: str = ""
    install: str = ""
    has_k_points: bool = False
    missing: Missing = _nothing
    prepare: Prepare = _as_they_are

    def changed(self, keywords: Keywords, retry_keywords: Keywords) -> Self:
        """The same engine with other keywords; dictionaries are merged entry by entry."""
        return replace(
            self,
            keywords=merged(self.keywords, keywords),
            retry_keywords=merged(self.retry_keywords, retry_keywords),
        )

    def prepared(self, configuration: Configuration, mesh: Mesh | None = None) -> Self:
        """The preset for one configuration and its relatives; raises `InputError`."""
        return replace(self, keywords=self.prepare(self.keywords, configuration, mesh))


def merged(keywords: Keywords, changes: Keywords) -> dict[str, Any]:
    """`keywords` with `changes`; a dictionary inside a dictionary is merged, not replaced."""
    whole = dict(keywords)
    for name, change in changes.items():
        before = whole.get(name)
        both = isinstance(before, Mapping) and isinstance(change, Mapping)
        whole[name] = merged(before, change) if both else change  # type: ignore[arg-type]
    return whole
