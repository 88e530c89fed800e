"""What a run holds for sharp averages: judgements of the reference and samples of the guide."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperatom.analysis.control_variate import Judgements, sharpen, sharpen_mean
from hyperatom.analysis.radial_distribution import RadialDistribution, RadialDistributionResult
from hyperatom.analysis.reweighting import Overlap, reweight
from hyperatom.analysis.statistics import Estimate
from hyperatom.campaign.chain_store import ChainStore, Step
from hyperatom.campaign.guide_chain import BURN_IN, GuideChainStore
from hyperatom.campaign.states import States
from hyperatom.campaign.weighing import log_weights
from hyperatom.units import BOLTZMANN

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampled:
    """The reference's chain and the guide's, side by side.

    | field            | shape                | unit | meaning                               |
    |------------------|----------------------|------|---------------------------------------|
    | `judgements`     | of n transitions     | -    | see `Judgements`                      |
    | `labels`         | (n, 2)               | -    | keys: proposed, and before            |
    | `energies`       | (n, 2)               | eV   | the reference's                       |
    | `guide_energies` | (n, 2)               | eV   | the guide's                           |
    | `free_energies`  | (n_free,)            | eV   | the guide's own chain of each walker  |
    | `free_positions` | (n_free, n_atoms, 3) | Å    | the same                              |
    | `free_cells`     | (n_free, 3, 3)       | Å    | the same                              |
    """

    judgements: Judgements
    labels: NDArray[np.str_]
    energies: Array
    guide_energies: Array
    free_energies: list[Array]
    free_positions: list[Array]
    free_cells: list[Array]

    def energy(self, n_atoms: int) -> Estimate:
        """Mean energy of the reference, eV/atom."""
        return sharpen_mean(
            self.energies / n_atoms,
            self.guide_energies / n_atoms,
            self.judgements,
            [one / n_atoms for one in self.free_energies],
            "eV/atom",
        )

    def distribution(
        self, plain: RadialDistributionResult, states: States
    ) -> RadialDistributionResult:
        """`plain` with its curves and error bands sharpened; `states` are those judged."""
        keys, where = np.unique(self.labels, return_inverse=True)
        judged = [states[str(key)].configuration for key in keys]
        settings = RadialDistribution(float(plain.r[-1] + plain.r[0]), len(plain.r))
        found = settings.compute(judged)
        free = [
            settings.compute([states.start.with_cell(*one) for one in zip(*walker, strict=True)])
            for walker in zip(self.free_positions, self.free_cells, strict=True)
        ]
        g, error = dict(plain.g), dict(plain.error)
        for pair in plain.pairs:
            curves = found.curves(pair)[where.reshape(self.labels.shape)]
            sharp = sharpen(curves, curves, self.judgements, [one.curves(pair) for one in free])
            if sharp.helped:
                g[pair], error[pair] = sharp.value, sharp.error
        return replace(plain, g=g, error=error)


def weighed_energy(
    produced: Sequence[Sequence[Step]], n_atoms: int
) -> tuple[Estimate, Overlap] | None:
    """Mean energy of weighed samples in eV/atom, and their overlap; None where none is there."""
    logarithms = log_weights(produced)
    if logarithms is None:
        return None
    energies = [np.array([step.state_energy for step in walker]) / n_atoms for walker in produced]
    return reweight(energies, logarithms, "eV/atom")


def gather(chain: ChainStore, guide_chain: GuideChainStore, temperature: float) -> Sampled | None:
    """Production and the guide's chain as far as they are on disk; None where that is too short.

    `temperature` in K.
    """
    frozen = chain.frozen()
    if frozen is None or frozen.get("strategy") == "reweighting":
        return None
    words = guide_chain.words(frozen["guide"])
    thermal_energy = BOLTZMANN * temperature
    rows = []
    walkers: list[int] = []
    latest: dict[int, Step] = {}
    for step in chain.steps():
        before = latest.get(step.walker)
        latest[step.walker] = step
        if step.phase != "produce" or before is None:
            continue
        if before.state_label not in words:
            return None
        present = (before.state_label, before.state_energy)
        probability = 0.0
        proposed = present
        if step.log_acceptance is not None and step.proposed_label in words:
            assert step.proposed_energy is not None
            probability = float(np.exp(min(0.0, step.log_acceptance)))
            proposed = (step.proposed_label, step.proposed_energy)
        walkers.append(step.walker)
        rows.append((probability, proposed, present))
    if not rows:
        return None
    order = np.argsort(walkers, kind="stable")
    accepted = np.array([row[0] for row in rows])[order]
    labels = np.array([[row[1][0], row[2][0]] for row in rows])[order]
    energies = np.array([[row[1][1], row[2][1]] for row in rows])[order]
    heard = np.array([[words[key] for key in pair] for pair in labels])
    inside = heard[:, :, 1] <= frozen["largest_error"]
    free = [guide_chain.samples(frozen["guide"], walker) for walker in sorted(latest)]
    if min(len(one) for one, _, _ in free) <= BURN_IN:
        return None
    return Sampled(
        Judgements(
            np.stack([accepted, 1.0 - accepted], axis=1),
            np.where(inside, (energies - heard[:, :, 0]) / thermal_energy, -np.inf),
            np.array(walkers)[order],
        ),
        labels,
        energies,
        heard[:, :, 0],
        *([one[k][BURN_IN:] for one in free] for k in range(3)),
    )
