"""The descriptor of a GAP in words: a name and keywords with values."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from hyperatom.errors import InputError

FITTING = frozenset(
    {
        "add_species",
        "config_type_n_sparse",
        "covariance_type",
        "delta",
        "f0",
        "mark_sparse_atoms",
        "n_sparse",
        "print_sparse_index",
        "sparse_file",
        "sparse_method",
        "theta_fac",
        "theta_file",
        "theta_uniform",
        "unique_descriptor_tolerance",
        "unique_hash_tolerance",
    }
)
"""Keywords that matter to the fit alone: what came of them is in the file itself."""

DEFAULTS = {
    "basis_error_exponent": "10.0",
    "central_reference_all_species": "F",
    "covariance_sigma0": "0.0",
    "cutoff_dexp": "0",
    "cutoff_rate": "1.0",
    "cutoff_scale": "1.0",
    "diagonal_radial": "F",
    "exponents": "1",
    "n_exponents": "1",
    "normalise": "T",
    "normalize": "T",
    "only_inter": "F",
    "only_intra": "F",
    "radial_basis": "EQUISPACED_GAUSS",
    "resid_name": "",
    "tail_exponent": "0",
    "xml_version": None,
}
"""Keywords that may be there only with these values; None: with any."""


class Words:
    """One `<descriptor>`."""

    def __init__(self, path: Path, coordinates: ET.Element) -> None:
        self.path = path
        text = coordinates.findtext("descriptor") or ""
        pieces = re.findall(r"([A-Za-z]\w*)(?:\s*=\s*(\{[^}]*\}|\S+))?", text)
        if not pieces:
            raise InputError(
                f"{path}: {coordinates.get('label')} has no descriptor.",
                "Take the file as gap_fit wrote it.",
            )
        self.name: str = pieces[0][0]
        self.values: dict[str, str] = {key: value.strip("{} ") for key, value in pieces[1:]}

    def allow(self, keywords: set[str]) -> None:
        """Refuse what is neither one of `keywords` nor without effect."""
        known = keywords | FITTING | {"cutoff", "cutoff_transition_width", "atom_sigma"}
        known |= {"atom_gaussian_width"}
        for key, value in self.values.items():
            if key in known:
                continue
            default = DEFAULTS.get(key, "?")
            if default is None or _equal(value, default):
                continue
            raise InputError(
                f"{self.path}: {self.name} with {key}={value} is not known here.",
                "Fit without it.",
            )

    def species(self) -> set[int]:
        """All atomic numbers that are named."""
        keys = ("Z", "Z1", "Z2", "species_Z")
        return {number for key in keys if self.has(key) for number in self.wholes(key)}

    def has(self, key: str) -> bool:
        """Is this keyword there?"""
        return key in self.values

    def real(self, key: str, default: float | None = None) -> float:
        """The number of a keyword; it must be there where it has no default."""
        if key not in self.values and default is not None:
            return default
        try:
            return float(self.values[key])
        except (KeyError, ValueError) as problem:
            raise self._wrong(key) from problem

    def whole(self, key: str) -> int:
        """One whole number."""
        (number,) = self.wholes(key, 1)
        return number

    def wholes(self, key: str, count: int | None = None) -> list[int]:
        """Whole numbers."""
        try:
            numbers = [int(word) for word in self.values[key].split()]
        except (KeyError, ValueError) as problem:
            raise self._wrong(key) from problem
        if not numbers or (count is not None and len(numbers) != count):
            raise self._wrong(key)
        return numbers

    def _wrong(self, key: str) -> InputError:
        found = f"{key}={self.values[key]}" if key in self.values else f"no {key}"
        return InputError(
            f"{self.path}: {self.name} has {found}.", "Take the file as gap_fit wrote it."
        )


def _equal(value: str, default: str) -> bool:
    try:
        return float(value) == float(default)
    except ValueError:
        return value == default
