"""What to cite: the methods that a run used, and nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from hyperatom.errors import InputError


@dataclass(frozen=True)
class Citation:
    """A method, the text to cite for it, and a permanent address."""

    method: str
    text: str
    address: str


_ALL = (
    Citation(
        "self-learning hybrid Monte Carlo",
        "Y. Nagai, M. Okumura, K. Kobayashi and M. Shiga, Self-learning hybrid Monte Carlo: "
        "a first-principles approach, Phys. Rev. B 102, 041124(R) (2020).",
        "https://doi.org/10.1103/PhysRevB.102.041124",
    ),
    Citation(
        "hybrid Monte Carlo",
        "S. Duane, A. D. Kennedy, B. J. Pendleton and D. Roweth, Hybrid Monte Carlo, "
        "Phys. Lett. B 195, 216 (1987).",
        "https://doi.org/10.1016/0370-2693(87)91197-X",
    ),
    Citation(
        "atomic cluster expansion",
        "R. Drautz, Atomic cluster expansion for accurate and transferable interatomic "
        "potentials, Phys. Rev. B 99, 014104 (2019).",
        "https://doi.org/10.1103/PhysRevB.99.014104",
    ),
    Citation(
        "smooth overlap of atomic positions",
        "A. P. Bartók, R. Kondor and G. Csányi, On representing chemical environments, "
        "Phys. Rev. B 87, 184115 (2013).",
        "https://doi.org/10.1103/PhysRevB.87.184115",
    ),
    Citation(
        "evidence maximisation",
        "D. J. C. MacKay, Bayesian interpolation, Neural Computation 4, 415 (1992).",
        "https://doi.org/10.1162/neco.1992.4.3.415",
    ),
    Citation(
        "ring polymers",
        "D. Chandler and P. G. Wolynes, Exploiting the isomorphism between quantum theory and "
        "classical statistical mechanics of polyatomic fluids, J. Chem. Phys. 74, 4078 (1981).",
        "https://doi.org/10.1063/1.441588",
    ),
    Citation(
        "centroid virial",
        "J. Cao and B. J. Berne, On energy estimators in path integral Monte Carlo simulations: "
        "Dependence of accuracy on algorithm, J. Chem. Phys. 91, 6359 (1989).",
        "https://doi.org/10.1063/1.457403",
    ),
    Citation(
        "GFN1-xTB",
        "S. Grimme, C. Bannwarth and P. Shushkov, A robust and accurate tight-binding quantum "
        "chemical method for structures, vibrational frequencies, and noncovalent interactions "
        "of large molecular systems parametrized for all spd-block elements (Z = 1-86), "
        "J. Chem. Theory Comput. 13, 1989 (2017).",
        "https://doi.org/10.1021/acs.jctc.7b00118",
    ),
    Citation(
        "statistical inefficiency",
        "J. D. Chodera, W. C. Swope, J. W. Pitera, C. Seok and K. A. Dill, Use of the weighted "
        "histogram analysis method for the analysis of simulated and parallel tempering "
        "simulations, J. Chem. Theory Comput. 3, 26 (2007).",
        "https://doi.org/10.1021/ct0502864",
    ),
    Citation(
        "waste recycling",
        "D. Frenkel, Speed-up of Monte Carlo simulations by sampling of rejected states, Proc. "
        "Natl. Acad. Sci. U.S.A. 101, 17571 (2004).",
        "https://doi.org/10.1073/pnas.0407950101",
    ),
    Citation(
        "delayed acceptance",
        "J. A. Christen and C. Fox, Markov chain Monte Carlo using an approximation, J. Comput. "
        "Graph. Stat. 14, 795 (2005).",
        "https://doi.org/10.1198/106186005X76983",
    ),
    Citation(
        "penalty method",
        "D. M. Ceperley and M. Dewing, The penalty method for random walks with uncertain "
        "energies, J. Chem. Phys. 110, 9812 (1999).",
        "https://doi.org/10.1063/1.478034",
    ),
    Citation(
        "pseudo-marginal Monte Carlo",
        "C. Andrieu and G. O. Roberts, The pseudo-marginal approach for efficient Monte Carlo "
        "computations, Ann. Stat. 37, 697 (2009).",
        "https://doi.org/10.1214/07-AOS574",
    ),
    Citation(
        "equilibration detection",
        "J. D. Chodera, A simple method for automated equilibration detection in molecular "
        "simulations, J. Chem. Theory Comput. 12, 1799 (2016).",
        "https://doi.org/10.1021/acs.jctc.5b00784",
    ),
    Citation(
        "split R-hat",
        "A. Vehtari, A. Gelman, D. Simpson, B. Carpenter and P.-C. Bürkner, Rank-normalization, "
        "folding, and localization: an improved R-hat for assessing convergence of MCMC, "
        "Bayesian Analysis 16, 667 (2021).",
        "https://doi.org/10.1214/20-BA1221",
    ),
    Citation(
        "ASE",
        "A. Hjorth Larsen et al., The atomic simulation environment: a Python library for "
        "working with atoms, J. Phys.: Condens. Matter 29, 273002 (2017).",
        "https://doi.org/10.1088/1361-648X/aa680e",
    ),
    Citation(
        "JAX",
        "J. Bradbury et al., JAX: composable transformations of Python+NumPy programs (2018).",
        "https://github.com/jax-ml/jax",
    ),
)
CITATIONS = MappingProxyType({citation.method: citation for citation in _ALL})
"""Citations by the name of the method."""


def citations_of(methods: Iterable[str]) -> tuple[Citation, ...]:
    """The citations of `methods`, each once, in the order given.

    Raises `InputError` for a method that has none.
    """
    names = dict.fromkeys(methods)
    for name in names:
        if name not in CITATIONS:
            near = get_close_matches(name, CITATIONS, n=1)
            raise InputError(
                f"There is no citation for a method called '{name}'.",
                f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(CITATIONS)}.",
            )
    return tuple(CITATIONS[name] for name in names)
