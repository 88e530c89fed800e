"""Which engines a run asked, in words, from the identities that its labels carry."""

import json
from collections.abc import Mapping

from hyperatom.campaign.settings import Settings
from hyperatom.references.label_store import LabelStore


def cheap_calls(labels: LabelStore, engines: Mapping[str, str]) -> int:
    """Calls of the cheap engine of a pair, failed ones too."""
    identity = engines.get("cheap")
    if identity is None:
        return 0
    return labels.count(identity) + labels.count_failures(identity)


def engine_in_words(labels: LabelStore, engines: Mapping[str, str], settings: Settings) -> str:
    """The engine in words, from its identity; both of a pair."""
    # Runs of earlier versions do not name their engines, and have one.
    identity = engines.get("reference") or next((str(label.identity) for label in labels), None)
    if identity is None:
        return settings.reference.calculator
    told = _identity_in_words(identity)
    cheap = engines.get("cheap")
    return told if cheap is None else f"{told}, screened by {_identity_in_words(cheap)}"


def _identity_in_words(identity: str) -> str:
    content = json.loads(identity)
    keywords = ", ".join(f"{name} {value}" for name, value in content["keywords"].items())
    return f"{content['calculator']} ({keywords}), {content['version']}"
