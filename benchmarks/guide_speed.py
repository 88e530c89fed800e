"""Speed of the guide: microseconds per atom and step, against what the same core can do at best.

The guide is a network (80 density features: 8 radial functions, l <= 4, 2 species, diagonal power
spectrum; two hidden layers of 32) with random weights above a pair energy that makes bonds.
It runs silica with a time step of 1 fs at 300 K and 3000 K, neighbour lists and integrator
included. `over_limit` is the time of a step over that in which the same core does the same
operations in a large dense product of matrices; `loop_over_bare` is the step over one evaluation of
energy and forces with a given list. Times of one core are processor times, so that what else runs
on the machine counts as little as possible; ratios are medians over rounds in which both sides are
measured one after the other.

    python benchmarks/guide_speed.py
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from figures import Figure, report

SIZES = (72, 216, 1728)
CUTOFF = 6.0
SKIN = {300: 0.3, 3000: 0.35}
MASSES = np.array([28.085, 15.999])
RADII = np.array([[2.9, 1.7], [1.7, 2.5]])
# A pair energy t^2 (a t - b), t = 1 - (r / range)^2: bonds of 3 eV at 1.62 Å between silicon and
# oxygen, repulsion otherwise. It makes atoms move as in silica: most of them in cages.
RANGES = np.array([[3.4, 2.6], [2.6, 3.0]])
CUBIC = np.array([[10.0, 13.1], [13.1, 10.0]])
SQUARE = np.array([[0.0, 12.0], [12.0, 0.0]])
HIDDEN = 32
ROUNDS = 7
FEMTOSECOND = 0.09822694788464063
BOLTZMANN = 8.617330337217213e-05


def silica(n_atoms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random silica of 2.2 g/cm^3, relaxed until no pair overlaps: positions, cell, species."""
    from hyperatom.geometry.neighbours import pairs

    rng = np.random.default_rng(0)
    species = np.repeat([0, 1], [n_atoms // 3, 2 * n_atoms // 3]).astype(np.int32)
    edge = (MASSES[species].sum() * 1.66054 / 2.2) ** (1.0 / 3.0)
    cell, periodic = edge * np.eye(3), np.ones(3, dtype=bool)
    positions = rng.random((n_atoms, 3)) * edge
    for _ in range(300):
        i, j, lattice = pairs(positions, cell, periodic, 2.9)
        vectors = positions[j] + lattice @ cell - positions[i]
        distances = np.linalg.norm(vectors, axis=1)
        overlap = np.clip(RADII[species[i], species[j]] - distances, 0.0, None)
        push = 0.3 * (overlap / distances)[:, None] * vectors
        np.add.at(positions, i, -push)
        np.add.at(positions, j, push)
    return positions, cell, species


def network(precision: type) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The atomic energy and its random weights."""
    import jax.numpy as jnp

    from hyperatom.potentials.features.density import DensityFeatures, DensitySettings

    features = DensityFeatures(
        DensitySettings((14, 8), CUTOFF, 8, 4, radial=False, power_spectrum_diagonal=True)
    )
    n_features = features.n_features
    rng = np.random.default_rng(1)
    weights = {
        "first": 0.01 * rng.normal(size=(n_features, HIDDEN)),
        "first_bias": rng.normal(size=(2, HIDDEN)),
        "second": 0.2 * rng.normal(size=(HIDDEN, HIDDEN)),
        "second_bias": rng.normal(size=(2, HIDDEN)),
        "last": 0.1 * rng.normal(size=HIDDEN),
        "inverse_square": RANGES**-2,
        "cubic": CUBIC,
        "square": SQUARE,
    }

    def atomic_energy(weights, displacements, central_species, slots):
        values = features(displacements, slots)
        hidden = jnp.tanh(values @ weights["first"] + weights["first_bias"][central_species])
        hidden = jnp.tanh(hidden @ weights["second"] + weights["second_bias"][central_species])

        x, y, z = displacements
        square = x * x + y * y + z * z
        energies = hidden @ weights["last"]
        ends = np.cumsum((0, *slots))
        for kind in range(len(slots)):
            inverse, cubic, quadratic = (
                weights[name][central_species, kind, None]
                for name in ("inverse_square", "cubic", "square")
            )
            t = jnp.maximum(1.0 - square[:, ends[kind] : ends[kind + 1]] * inverse, 0.0)
            energies += 0.5 * jnp.sum(t * t * (cubic * t - quadratic), axis=1)
        return energies

    return atomic_energy, {name: value.astype(precision) for name, value in weights.items()}


def seconds(function: Callable[[], Any]) -> float:
    """Processor time of a call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def repeat(function: Callable[[], Any], times: int) -> None:
    """Call a compiled function several times and wait for the last result."""
    import jax

    for _ in range(times):
        result = function()
    jax.block_until_ready(result)


class Walker:
    """Silica of one size, with everything it needs to be evaluated and moved."""

    def __init__(self, n_atoms: int, precision: type) -> None:
        import jax

        from hyperatom.dynamics.compiled_dynamics import CompiledDynamics
        from hyperatom.potentials.local_energy import energy_and_forces, energy_forces_virial

        self.precision = precision
        self.positions, self.cell, self.species = silica(n_atoms)
        self.masses = MASSES[self.species]
        atomic_energy, self.weights = network(precision)

        def forces(weights, positions, neighbours):
            return energy_and_forces(atomic_energy, weights, positions, self.species, neighbours)

        def of_dynamics(weights, positions, _cell, neighbours):
            return energy_forces_virial(
                atomic_energy, weights, positions, self.species, neighbours
            ).of_dynamics()

        self.forces = forces
        self.bare = jax.jit(forces)
        self.dynamics = CompiledDynamics(of_dynamics, precision)

    def lists(self, skin: float) -> Any:
        from hyperatom.geometry.neighbour_lists import NeighbourLists

        return NeighbourLists(self.cell, np.ones(3, bool), self.species, 2, CUTOFF, skin)

    def n_neighbours(self) -> float:
        from hyperatom.geometry.neighbours import pairs

        found = pairs(self.positions, self.cell, np.ones(3, bool), CUTOFF)
        return 2.0 * len(found[0]) / len(self.species)

    def settle(self, temperature: float, lists: Any) -> np.ndarray:
        """Momenta of the temperature after a short trajectory, which also compiles."""
        rng = np.random.default_rng(2)
        size = (len(self.masses), 3)
        for _ in range(10):
            momenta = (
                rng.normal(size=size) * np.sqrt(BOLTZMANN * temperature * self.masses)[:, None]
            )
            path = self.run(momenta, lists, 40)
            if np.isfinite(path.positions).all():
                self.positions = path.positions
        return rng.normal(size=size) * np.sqrt(BOLTZMANN * temperature * self.masses)[:, None]

    def run(self, momenta: np.ndarray, lists: Any, n_steps: int) -> Any:
        from hyperatom.dynamics.compiled_dynamics import at_rest

        motion = at_rest(self.positions, momenta, self.cell)
        return self.dynamics.run(
            self.weights, motion, self.masses, FEMTOSECOND, n_steps, n_steps, lists
        )


def one_core(precision_name: str) -> dict[str, Any]:
    """Everything measured on one core, in one process and one precision."""
    import jax
    import jax.numpy as jnp

    precision = np.dtype(precision_name).type
    results: dict[str, Any] = {}
    with jax.enable_x64(precision is np.float64):
        square = jnp.ones((2048, 2048), dtype=np.float32)
        dense = jax.jit(lambda a: a @ a)
        dense_call = partial(dense, square)
        repeat(dense_call, 1)
        for n_atoms in SIZES:
            walker = Walker(n_atoms, precision)
            n_neighbours = walker.n_neighbours()
            features = 3 * 2 * 16 * 25 * n_neighbours
            operations = features + 3 * 2 * (80 * HIDDEN + HIDDEN * HIDDEN + HIDDEN)
            entry: dict[str, Any] = {"neighbours": n_neighbours, "operations": operations}
            for temperature, skin in SKIN.items():
                lists = walker.lists(skin)
                momenta = walker.settle(temperature, lists)
                neighbours = jax.device_put(lists.make(walker.positions))
                neighbours = jax.tree.map(
                    lambda a: a.astype(precision) if a.dtype.kind == "f" else a, neighbours
                )
                positions = jnp.asarray(walker.positions, dtype=precision)
                bare = partial(walker.bare, walker.weights, positions, neighbours)
                n_steps = max(150, 60000 // n_atoms)
                n_calls = n_steps // 4
                run = partial(walker.run, momenta, lists, n_steps)
                repeat(bare, 1)
                run()
                rounds = []
                # Compared within a round, the steps between two measurements of what they are
                # compared with: the speed of a shared machine changes.
                for _ in range(ROUNDS):
                    product = seconds(partial(repeat, dense_call, 2))
                    evaluation = seconds(partial(repeat, bare, n_calls))
                    step = seconds(run)
                    evaluation += seconds(partial(repeat, bare, n_calls))
                    product += seconds(partial(repeat, dense_call, 2))
                    rate = 4 * 2 * 2048**3 / product
                    evaluation /= 2 * n_calls * n_atoms
                    rounds.append((rate, evaluation, step / n_steps / n_atoms))
                rates, evaluations, steps = np.array(rounds).T
                path = run()
                entry[f"{temperature} K"] = {
                    "step": 1e6 * float(steps.min()),
                    "bare": 1e6 * float(evaluations.min()),
                    "over_limit": float(np.median(steps * rates)) / operations,
                    "over_bare": float(np.median(steps / evaluations)),
                    "operations_per_second": float(rates.max()),
                    "steps_per_list": n_steps / path.n_lists,
                    "slots": lists.capacity,
                    "finite": bool(np.isfinite(path.positions).all()),
                }
            results[str(n_atoms)] = entry
    return results


def two_cores() -> dict[str, float]:
    """Two walkers at once, a thread each, on two cores; against one walker on one core."""
    n_steps = 300
    walkers = [Walker(216, np.float32) for _ in range(2)]
    tasks = []
    for walker in walkers:
        lists = walker.lists(SKIN[3000])
        momenta = walker.settle(3000, lists)
        walker.run(momenta, lists, n_steps)
        tasks.append(partial(walker.run, momenta, lists, n_steps))
    both, single = [], []
    cores = sorted(os.sched_getaffinity(0))[:2]
    for _ in range(5):
        # Threads inherit and keep the cores of the process: all of them move together.
        _move({cores[0]})
        start = time.perf_counter()
        tasks[0]()
        single.append(time.perf_counter() - start)
        _move(set(cores))
        threads = [threading.Thread(target=task) for task in tasks]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        both.append(time.perf_counter() - start)
    return {"gain": 2.0 * min(single) / min(both), "machine": _gain_of_the_machine(cores)}


def _gain_of_the_machine(cores: list[int]) -> float:
    """What the second core is worth to two processes that share nothing and stay in the cache."""
    loop = (
        "import os, time, numpy; os.sched_setaffinity(0, {%d}); x = numpy.random.rand(4000);"
        "input(); end = time.perf_counter() + 2.0; n = 0\n"
        "while time.perf_counter() < end: numpy.exp(x); n += 1\n"
        "print(n)"
    )

    def rate(used: list[int]) -> int:
        programs = [
            subprocess.Popen(
                [sys.executable, "-c", loop % core],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for core in used
        ]
        time.sleep(1.0)
        for program in programs:
            assert program.stdin is not None
            program.stdin.write("go\n")
            program.stdin.flush()
        return sum(int(program.communicate()[0]) for program in programs)

    return rate(cores) / rate(cores[:1])


def _move(cores: set[int]) -> None:
    for thread in os.listdir("/proc/self/task"):
        # A thread may end between the list and its turn.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


def accelerator() -> dict[str, Any]:
    """On a GPU: single walkers, and 64 walkers of 216 atoms evaluated together."""
    import jax
    import jax.numpy as jnp

    results: dict[str, Any] = {"device": str(jax.devices()[0])}
    for n_atoms in (*SIZES, 64 * 216):
        walker = Walker(min(n_atoms, 1728) if n_atoms != 64 * 216 else 216, np.float32)
        neighbours = jax.device_put(walker.lists(SKIN[300]).make(walker.positions))
        positions = jnp.asarray(walker.positions, dtype=np.float32)
        bare = walker.bare
        if n_atoms == 64 * 216:
            positions = jnp.tile(positions, (64, 1, 1))
            neighbours = jax.tree.map(lambda a: jnp.tile(a, (64,) + (1,) * a.ndim), neighbours)
            bare = jax.jit(jax.vmap(walker.forces, in_axes=(None, 0, 0)))
        jax.block_until_ready(bare(walker.weights, positions, neighbours))
        times = []
        for _ in range(20):
            start = time.perf_counter()
            jax.block_until_ready(bare(walker.weights, positions, neighbours))
            times.append(time.perf_counter() - start)
        results["64 walkers" if n_atoms == 64 * 216 else str(n_atoms)] = 1e6 * min(times) / n_atoms
    return results


def in_process(task: str, cores: set[int], platform: str = "cpu") -> dict[str, Any]:
    """Run one part of this script in a process of its own, on the given cores."""
    done = subprocess.run(
        [sys.executable, __file__, task],
        env={**os.environ, "JAX_PLATFORMS": platform} if platform else dict(os.environ),
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    single = in_process("float32", {cores[-1]})
    double = in_process("float64", {cores[-1]})
    figures = []
    ratios = []
    for n_atoms in SIZES:
        entry = single[str(n_atoms)]
        over = max(entry[f"{temperature} K"]["over_limit"] for temperature in SKIN)
        figures.append(Figure(f"guide_speed.over_limit.{n_atoms}", over, "ratio"))
        for name, results in (("float32", single), ("float64", double)):
            for temperature in SKIN:
                value = results[str(n_atoms)][f"{temperature} K"]
                label = f"guide_speed.microseconds.{n_atoms}.{name}.{temperature}K"
                figures.append(Figure(label, value["step"], "us/atom/step"))
                if name == "float32":
                    ratios.append(value["over_bare"])
    figures.append(Figure("guide_speed.loop_over_bare", max(ratios), "ratio"))
    details: dict[str, Any] = {"float32": single, "float64": double}
    if len(cores) > 1:
        details["two_cores"] = in_process("two_cores", set(cores[-2:]))
        figures.append(Figure("guide_speed.two_cores", details["two_cores"]["gain"], "ratio"))
        machine = details["two_cores"]["machine"]
        figures.append(Figure("guide_speed.two_cores_of_the_machine", machine, "ratio"))
    details["accelerator"] = in_process("accelerator", set(cores), platform="")
    if details["accelerator"]:
        for name in ("216", "1728", "64 walkers"):
            label = f"guide_speed.accelerator.{name.replace(' ', '_')}"
            figures.append(Figure(label, details["accelerator"][name], "us/atom"))
    else:
        print("No GPU here: only the processor was measured.")
    report(figures, "guide_speed", details)


def part(task: str) -> dict[str, Any]:
    if task == "two_cores":
        return two_cores()
    if task == "accelerator":
        import jax

        return accelerator() if jax.default_backend() != "cpu" else {}
    return one_core(task)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(part(sys.argv[1])))
    else:
        main()
