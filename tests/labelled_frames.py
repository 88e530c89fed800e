"""Labelled frames whose energies are known: soft pairs of two species, in many cells."""

from itertools import product

import numpy as np

from hyperatom.configuration import Configuration
from hyperatom.evaluation import Evaluation
from hyperatom.geometry.neighbours import pairs
from hyperatom.potentials.family import LabelledFrame

REACH = 3.4
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def soft_pairs(here):
    """sum_ij (1 + z_i z_j / 20) (1 - r/REACH)^3, a constant for each atom; its derivatives."""
    i, j, lattice = pairs(here.positions, here.cell, here.periodic, REACH)
    vectors = here.positions[j] + lattice @ here.cell - here.positions[i]
    r = np.linalg.norm(vectors, axis=1)
    strength = 1.0 + here.numbers[i] * here.numbers[j] / 20.0
    window = 1.0 - r / REACH
    energy = float(np.sum(strength * window**3) - 2.0 * np.sum(here.numbers))
    slope = (-3.0 / REACH * strength * window**2 / r)[:, None] * vectors
    forces = np.zeros_like(here.positions)
    np.add.at(forces, i, slope)
    np.add.at(forces, j, -slope)
    stress = None
    if here.periodic.all():
        stress = (vectors.T @ slope)[VOIGT] / here.volume
    return Evaluation(energy, forces, stress)


def labelled_frames(n_frames, seed=0, species=(1, 8), spread=0.08):
    """Eight atoms in a box that differs from frame to frame."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(n_frames):
        cell = 2.0 * 1.9 * (np.eye(3) + rng.uniform(-0.04, 0.04, (3, 3)))
        grid = np.array(list(product((0.0, 0.5), repeat=3)))
        positions = (grid + rng.uniform(-spread, spread, grid.shape)) @ cell
        numbers = np.array([species[k % len(species)] for k in range(8)])
        here = Configuration(numbers, positions, cell, np.ones(3, bool), np.full(8, 10.0))
        evaluation = soft_pairs(here)
        frames.append(LabelledFrame(here, evaluation, source=f"frame {number}", group="soft"))
    return frames
