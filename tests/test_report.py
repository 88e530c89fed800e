"""The page is rendered from synthetic runs, large, small and unlucky."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from hyperatom.analysis.radial_distribution import RadialDistribution, RadialDistributionResult
from hyperatom.analysis.statistics import estimate_mean
from hyperatom.campaign.certificate import Certificate, Check
from hyperatom.configuration import Configuration
from hyperatom.errors import InputError
from hyperatom.report.beside import with_others
from hyperatom.report.citations import CITATIONS, citations_of
from hyperatom.report.data import Ledger, ProposalTable, ReportData, SystemDescription
from hyperatom.report.figures import (
    MOST_POINTS,
    decimate,
    draw_all,
    running_deviation,
    running_mean,
)
from hyperatom.report.page import render, write_report
from hyperatom.units import BOLTZMANN

TEMPERATURE = 3000.0
N_ATOMS = 72


def quartz_like(n_configurations: int) -> RadialDistributionResult:
    """Shaken idealised cristobalite: Si on a diamond lattice, O half way."""
    rng = np.random.default_rng(1)
    constant = 7.16
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    silicon = np.concatenate([corners, corners + 0.25])
    bonds = 0.125 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    oxygen = np.concatenate([corners + bond for bond in bonds])
    positions = constant * np.concatenate([silicon, oxygen])
    numbers = np.array([14] * 8 + [8] * 16)
    return RadialDistribution(6.0, 120).compute(
        [
            Configuration(
                numbers,
                positions + rng.normal(0.0, 0.12, positions.shape),
                constant * np.eye(3),
                np.ones(3, dtype=bool),
                np.ones(24),
            )
            for _ in range(n_configurations)
        ],
        kind="exact",
    )


def proposals(n_learn: int, n_produce: int, acceptance: float, n_walkers: int = 2) -> ProposalTable:
    """A made-up run whose delta H obeys <exp(-beta dH)> = 1: Gaussian, mean = beta variance/2."""
    rng = np.random.default_rng(2)
    n = n_learn + n_produce
    kt = BOLTZMANN * TEMPERATURE
    spread = np.where(np.arange(n) < n_learn, 6.0 * np.exp(-np.arange(n) / 30.0) + 0.7, 0.7)
    change = kt * (0.5 * spread**2 + spread * rng.normal(size=n))
    accepted = rng.random(n) < acceptance
    vetoed = rng.random(n) < 0.04
    walker = np.arange(n) % n_walkers
    energy = np.full(n, -2000.0)
    state = -2000.0 + 1.1 * rng.normal(size=n_walkers)
    for k in range(n):
        if accepted[k] and not vetoed[k]:
            state[walker[k]] = -2000.0 + 1.1 * rng.normal()
        energy[k] = state[walker[k]]
    return ProposalTable(
        phase=np.array(["learn"] * n_learn + ["produce"] * n_produce, dtype=np.str_),
        walker=walker,
        calls=np.cumsum(~vetoed),
        accepted=accepted & ~vetoed,
        veto=np.where(vetoed, "the guide does not trust itself", ""),
        delta_h=np.where(vetoed, np.nan, change),
        guide_error=np.where(vetoed, np.nan, 1000.0 * change / N_ATOMS),
        trajectory_length=np.full(n, 2000.0),
        energy=energy,
    )


def report(table: ProposalTable, structure: RadialDistributionResult | None = None) -> ReportData:
    series = table.by_walker(table.energy / N_ATOMS, table.produced)
    energy = estimate_mean(series, "eV/atom", "exact") if series else None
    return ReportData(
        title="Liquid silica",
        distribution="The canonical ensemble of the reference at fixed cell: exp(-U/kT).",
        system=SystemDescription(
            "Si24O48", N_ATOMS, np.diag([10.1, 10.2, 10.3]), TEMPERATURE, "GFN1-xTB (tblite)",
            {"hyperatom": "0.1.0", "numpy": "2.4"},
        ),
        proposals=table,
        energy=energy,
        sharpened_energy=None,
        radial_distribution=structure,
        ledger=Ledger(120, 1000, 3, 17, 900.0, 40.0, 5400.0, 60.0, 2.31),
        certificate=Certificate(
            (
                Check("frozen guide", True, "The guide did not change.", {"digest": "3f2a"}),
                Check("long enough", None, "The run is short.", {"g": 3.21}),
            ),
            "Everything that could be checked agrees.",
        ),
        citations=citations_of(["self-learning hybrid Monte Carlo", "JAX"]),
        input_text="temperature: 3000 K\nnote: a < b & c\n",
    )  # fmt: skip


class Page(HTMLParser):
    """Checks that tags close in order; collects ids, addresses and text."""

    VOID = frozenset({"meta", "br", "link", "img", "hr"})

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.words: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "srcset", "data", "poster"} or (
                name in {"href", "xlink:href"} and tag != "a"
            ):
                self.loaded.append(value or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


@pytest.fixture(scope="module")
def full() -> ReportData:
    return report(proposals(120, 1000, 0.7), quartz_like(60))


@pytest.fixture(scope="module")
def content(full: ReportData) -> str:
    return render(full)


def test_page_says_the_numbers_with_their_units(full: ReportData, content: str) -> None:
    page = Page(content)
    assert full.energy is not None
    assert str(full.energy) in page.text
    assert re.search(r"-27\.\d+\(\d+\) eV/atom", page.text)
    for text in (
        "Certificate undecided",
        "exact; ",
        "independent samples",
        "2.31",
        "1,120 reference calls",
        "3000 K",
        "10.100 × 10.200 × 10.300 Å",
        "meV/atom",
        "2000 fs",
        "Si–O",
        "4 always",
        "Split R-hat",
        "90.0 min",
        "the guide does not trust itself",
        "doi.org/10.1103/PhysRevB.102.041124",
        "digest: 3f2a",
        "a < b & c",
    ):
        assert text in page.text, text
    assert page.tags.count("svg") == 5


def test_page_loads_nothing_and_ids_are_unique(content: str) -> None:
    page = Page(content)
    assert len(page.ids) == len(set(page.ids))
    assert all(address.startswith("#") for address in page.loaded)
    assert {address[1:] for address in page.loaded} <= set(page.ids)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "@import" not in content
    for target in re.findall(r"url\(([^)]*)\)", content):
        assert target[1:] in page.ids


def test_svg_is_well_formed_and_follows_the_page_colours(full: ReportData) -> None:
    for picture in draw_all(full).values():
        ET.fromstring(picture.svg)
        assert "currentColor" in picture.svg
        assert "#0072b2" not in picture.svg
        assert "metadata" not in picture.svg


def test_equal_data_give_equal_bytes(full: ReportData, content: str, tmp_path: Path) -> None:
    write_report(full, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == content
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_report(report(proposals(0, 0, 0.5)), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_escaped(full: ReportData) -> None:
    evil = '<script>alert("x")</script>'
    certificate = Certificate((Check(evil, False, evil, {evil: evil}),), evil)
    table = replace(full.proposals, veto=np.full(len(full.proposals), evil))
    content = render(
        replace(
            full, title=evil, input_text=evil, distribution=evil, notes=(evil,), proposals=table,
            certificate=certificate, system=replace(full.system, engine=evil, formula=evil),
        )
    )  # fmt: skip
    assert "<script" not in content
    page = Page(content)
    assert evil in page.text
    assert "Certificate failed" in page.text
    assert "not certified as exact" in page.text


@pytest.mark.parametrize(
    ("n_learn", "n_produce", "acceptance"),
    [(0, 0, 0.5), (1, 0, 1.0), (30, 0, 0.5), (0, 1, 1.0), (0, 5, 0.5), (10, 1, 0.0), (5, 40, 0.0)],
)
def test_small_and_unlucky_runs(n_learn: int, n_produce: int, acceptance: float) -> None:
    page = Page(render(report(proposals(n_learn, n_produce, acceptance))))
    assert "Certificate" in page.text
    assert " nan" not in page.text.lower()
    if n_produce == 0:
        assert "nothing produced so far" in page.text
    elif n_produce == 1 or acceptance == 0.0:
        assert "error unknown" in page.text
        assert "never vary" in page.text
    if n_learn + n_produce == 0:
        assert "No proposal has been made yet." in page.text


def test_a_structure_without_pairs_or_errors() -> None:
    lonely = quartz_like(1)
    page = Page(render(report(proposals(5, 5, 0.5), lonely)))
    assert "error unknown" in page.text
    near = RadialDistribution(0.5, 5).compute(
        [Configuration([18], [[0.0, 0.0, 0.0]], np.eye(3), [True] * 3, [1.0])]
    )
    Page(render(report(proposals(5, 5, 0.5), near)))


def test_many_proposals_stay_a_small_page() -> None:
    content = render(report(proposals(1000, 100_000, 0.7, n_walkers=8)))
    assert len(content) < 2_000_000
    assert Page(content).tags.count("svg") == 4


def test_decimation_keeps_extremes_and_order() -> None:
    y = np.random.default_rng(3).normal(size=100_000)
    x = np.arange(100_000)
    few_x, few_y = decimate(x, y)
    assert len(few_x) <= MOST_POINTS
    assert (np.diff(few_x) >= 0).all()
    assert (few_y.min(), few_y.max()) == (y.min(), y.max())


def test_running_statistics_are_the_direct_ones() -> None:
    y = np.random.default_rng(4).normal(5.0, 1.0, size=60)
    for k in (0, 7, 19, 20, 59):
        last = y[max(0, k - 19) : k + 1]
        assert running_mean(y)[k] == pytest.approx(last.mean())
        assert running_deviation(y)[k] == pytest.approx(last.std(), abs=1e-7)


def test_runs_of_one_ensemble_are_laid_side_by_side(full: ReportData) -> None:
    assert full.energy is not None
    ours = replace(full, guide="linear_density")
    moved = replace(full.energy, value=full.energy.value + 3.0 * np.sqrt(2.0) * full.energy.error)
    other = replace(
        report(proposals(300, 400, 0.4)), title="networks", guide="behler_parrinello", energy=moved
    )
    page = Page(render(with_others(ours, [other])))
    for text in ("Beside other runs", "networks", "behler_parrinello", "linear_density",
                 str(other.acceptance()), "they differ by 3.0 standard errors"):  # fmt: skip
        assert text in page.text
    nothing = replace(report(proposals(5, 0, 0.5)), title="at its start", energy=None)
    alone = Page(render(with_others(ours, [nothing]))).text
    assert "unknown" in alone
    assert "whatever the guide." in alone
    colder = replace(other, system=replace(other.system, temperature=300.0))
    with pytest.raises(InputError, match=r"in its temperature: 300\.0, not 3000\.0"):
        with_others(ours, [colder])


def test_creutz_and_acceptance(full: ReportData) -> None:
    creutz, acceptance = full.creutz(), full.acceptance()
    assert creutz is not None
    assert abs(creutz.value - 1.0) < 4.0 * creutz.error
    assert acceptance is not None
    assert acceptance.value == full.proposals.accepted[120:].mean()


def test_certificate_needs_every_check() -> None:
    yes, no, open_ = (Check("a", p, "") for p in (True, False, None))
    assert Certificate((yes, yes), "").passed is True
    assert Certificate((yes, open_), "").passed is None
    assert Certificate((open_, no), "").passed is False
    assert Certificate((), "").passed is None


def test_plain_errors() -> None:
    with pytest.raises(InputError, match="Did you mean 'hybrid Monte Carlo'"):
        citations_of(["hybrid Monte Carl"])
    table = proposals(2, 2, 0.5)
    with pytest.raises(InputError, match="Unknown phase 'rest'"):
        replace(table, phase=np.array(["rest"] * 4))
    with pytest.raises(InputError, match="'calls' of the proposals has 3 entries"):
        replace(table, calls=np.arange(3))


def test_citations_have_addresses() -> None:
    assert all(c.address.startswith("https://") and c.text for c in CITATIONS.values())
    assert len(citations_of(["JAX", "JAX"])) == 1
