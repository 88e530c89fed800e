"""Fits committees of any family of potentials (see `families/committee.py`).

Members share their shape, so the mean is one compiled program in which what does not depend on the
parameters (the density of the neighbours, say) is computed once for all.
"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from hyperatom.errors import InputError
from hyperatom.potentials.compiled_potential import CompiledModel
from hyperatom.potentials.family import FitResult, FitStep, FitTask, family_of
from hyperatom.potentials.fitted import FittedPotential
from hyperatom.potentials.frame_errors import frame_errors
from hyperatom.potentials.local_energy import AtomicEnergy
from hyperatom.potentials.member_spread import (
    member_of,
    spread_errors,
    spread_knowledge,
    stacked,
)


class MeanEnergy:
    """Mean of an atomic energy over `members`: parameters with an axis of members in front."""

    def __init__(self, member: AtomicEnergy) -> None:
        self.member = member

    def __call__(
        self,
        parameters: Any,
        displacements: jax.Array,
        central_species: jax.Array,
        slots: tuple[int, ...],
    ) -> jax.Array:
        """Energies (n_block,) in eV; see `AtomicEnergy`."""

        def of_member(own: Any) -> jax.Array:
            return self.member(own, displacements, central_species, slots)

        return jax.vmap(of_member)(parameters["members"]).mean(axis=0)


def fit_bootstrap(task: FitTask) -> FitResult:
    """All members, one after the other; the curve has a step for each.

    Raises `InputError` for members that cannot be averaged.
    """
    settings = task.settings
    family = family_of(settings.member)
    fitted: list[FittedPotential] = []
    curve: list[FitStep] = []
    for number in range(settings.members):
        rng = np.random.default_rng([task.seed, number])
        drawn = np.bincount(
            rng.integers(len(task.training), size=len(task.training)), minlength=len(task.training)
        )
        sample = [
            replace(frame, weight=frame.weight * times)
            for frame, times in zip(task.training, drawn, strict=True)
            if times
        ]
        result = family.fit(
            replace(
                task,
                settings=settings.member,
                training=sample,
                seed=task.seed + number,
                seconds=task.seconds / settings.members,
                start=None if task.start is None else _member(task.start, number),
                checkpoint=task.checkpoint
                and task.checkpoint.with_name(f"member-{number}-{task.checkpoint.name}"),
                watch=lambda step: None,  # noqa: ARG005
            )
        )
        fitted.append(result.potential)
        curve.append(replace(result.curve[-1], amount=float(number + 1)))
        task.watch(curve[-1])
    try:
        members = stacked([potential.parameters for potential in fitted])
    except ValueError as problem:
        raise InputError(
            f"Members of kind '{settings.member.kind}' have parameters of unequal shapes.",
            "Choose settings that fix their number, or another kind of member.",
        ) from problem
    mean = assemble_bootstrap(settings, task.species, {"members": members}, None)
    known, wrong = frame_errors(mean, task.training)
    unseen, wrong_unseen = frame_errors(mean, task.validation)
    knowledge = spread_knowledge(mean, wrong, task.training, wrong_unseen, task.validation)
    curve.append(FitStep(float(settings.members), known, unseen))
    task.watch(curve[-1])
    return FitResult(replace(mean, knowledge=knowledge), tuple(curve), "members")


def assemble_bootstrap(
    settings: Any, species: tuple[int, ...], parameters: Any, knowledge: Any
) -> FittedPotential:
    """The mean of `members`, whose parameters are stacked along a first axis.

    Raises `InputError` for members that are not sums over neighbourhoods alone.
    """
    first = member_of(parameters["members"], 0)
    member = family_of(settings.member).assemble(settings.member, species, first, None).model
    if member.atomic_energy is None or member.long_range is not None:
        raise InputError(
            f"Potentials of kind '{settings.member.kind}' cannot be members of a committee.",
            "Choose members that are sums over neighbourhoods.",
        )
    return FittedPotential(
        CompiledModel(
            species, member.cutoff, MeanEnergy(member.atomic_energy), precision=settings.precision
        ),
        parameters,
        f"committee of {settings.member.kind} potentials",
        family="committee",
        settings=settings,
        knowledge=knowledge,
        known_errors=spread_errors,
    )


def _member(committee: FittedPotential, number: int) -> FittedPotential:
    settings = committee.settings.member
    parameters = member_of(committee.parameters["members"], number)
    member: FittedPotential = family_of(settings).assemble(
        settings, committee.species, parameters, None
    )
    return member
