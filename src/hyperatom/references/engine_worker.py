"""The other side: a process that holds one ASE calculator and answers requests.

Started by `engine_process` as `python -m hyperatom.references.engine_worker SOCKET LIFELINE`, both
file descriptors. Everything the engine prints goes to a log file; answers leave by the socket.

The calculator is made new for each request. Nothing of an earlier wave function survives, so that
the energy is a function of the configuration alone, bit for bit, whatever was computed before.
"""

import contextlib
import difflib
import faulthandler
import gc
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
import resource
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hyperatom.references.engine_message import Message, pack, receive, send, unpack


def main() -> None:
    """Load the engine that the first message names, then answer until the parent is gone."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    lifeline = int(sys.argv[2])
    # Programs that the engine starts must not keep our ends open after our death.
    channel.set_inheritable(False)
    os.set_inheritable(lifeline, False)
    _die_with_parent(lifeline)
    faulthandler.enable()
    _raise_stack_limit()

    hello = receive(channel)
    sys.path[:] = [os.path.abspath(folder) for folder in sys.path]
    os.chdir(hello["scratch"])
    if hello["cores"] and hasattr(os, "sched_setaffinity"):
        # Before the engine is loaded: its libraries count their cores once.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, hello["cores"])
    try:
        engine = _Engine(_find(hello["calculator"]), hello["keywords"])
    except _UnusableError as unusable:
        send(channel, {"problem": unusable.problem, "cure": unusable.cure})
        return
    send(channel, {"version": _version(engine.make, hello)})

    # What is loaded by now stays: the collector, run after each request, need not look at it again.
    gc.freeze()
    while True:
        try:
            request = receive(channel)
        except EOFError:
            return
        send(channel, engine.answer(request))
        gc.collect()


class _Engine:
    def __init__(self, make: Callable[..., Any], keywords: Message) -> None:
        _check_spelling(make, keywords)
        try:
            make(**keywords)
        except Exception as error:
            traceback.print_exc()
            raise _UnusableError(
                f"The engine does not accept its keywords: {type(error).__name__}: {error}.",
                f"Correct them; they were {keywords}.",
            ) from error
        self.make = make
        self.has_stress = True

    def answer(self, request: Message) -> Message:
        """Energy, forces and stress, or the exception that the engine raised."""
        try:
            if self.has_stress and all(unpack(request["periodic"])):
                try:
                    return self._compute(request, stress=True)
                except NotImplementedError:  # announced by the engine, but not for these settings
                    self.has_stress = False
            return self._compute(request, stress=False)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            traceback.print_exc()
            sys.stderr.flush()
            return {"exception": f"{type(error).__name__}: {error}"}

    def _compute(self, request: Message, *, stress: bool) -> Message:
        from ase import Atoms

        atoms = Atoms(
            numbers=unpack(request["numbers"]),
            positions=unpack(request["positions"]),
            cell=unpack(request["cell"]),
            pbc=unpack(request["periodic"]),
            masses=unpack(request["masses"]),
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            calculator = self.make(**request["keywords"])
            known = getattr(calculator, "implemented_properties", ["stress"])
            results = _results(calculator, atoms, stress=stress and "stress" in known)
        if getattr(calculator, "converged", None) is False:
            raise RuntimeError("the engine says that it has not converged")
        answer = {name: pack(np.asarray(value, np.float64)) for name, value in results.items()}
        noise = dict(getattr(calculator, "results", None) or {}).get("energy_error")
        if noise is not None:
            answer["energy_error"] = pack(np.asarray(noise, np.float64))
        answer["positions"] = pack(np.asarray(atoms.positions, np.float64))
        answer["cell"] = pack(np.asarray(atoms.cell, np.float64))
        answer["numbers"] = pack(np.asarray(atoms.numbers, np.int64))
        answer["notes"] = _notes(calculator, caught)
        return answer


def _notes(calculator: Any, caught: "list[warnings.WarningMessage]") -> dict[str, Any]:
    """What is worth keeping beside the numbers: cycles of self-consistency, warnings."""
    notes: dict[str, Any] = {}
    with contextlib.suppress(Exception):
        cycles = calculator.get_number_of_iterations()
        if cycles is not None:
            notes["scf_cycles"] = int(cycles)
    said = list(dict.fromkeys(str(warning.message)[:200] for warning in caught))
    if said:
        sys.stderr.write("".join(f"warning: {one}\n" for one in said))
        notes["warnings"] = said[:10]
    return notes


def _results(calculator: Any, atoms: Any, *, stress: bool) -> dict[str, Any]:
    """Energy, forces and perhaps stress.

    All three are asked for in one call where the calculator allows: asked one by one, engines
    driven by input files would run once for each.
    """
    from ase.calculators.calculator import PropertyNotImplementedError, all_changes

    wanted = ["energy", "forces", *(["stress"] if stress else [])]
    if hasattr(calculator, "calculate") and hasattr(calculator, "implemented_properties"):
        calculator.calculate(atoms, wanted, all_changes)
        found = dict(calculator.results)
        if all(found.get(name) is not None for name in wanted):
            # The free energy is the one whose gradient the forces are, where electrons are smeared.
            found["energy"] = found.get("free_energy", found["energy"])
            return {name: found[name] for name in wanted}
    atoms.calc = calculator
    found = {"forces": atoms.get_forces()}
    if stress:
        with contextlib.suppress(PropertyNotImplementedError):
            found["stress"] = atoms.get_stress()
    try:
        found["energy"] = atoms.get_potential_energy(force_consistent=True)
    except (PropertyNotImplementedError, TypeError):
        found["energy"] = atoms.get_potential_energy()
    return found


class _UnusableError(Exception):
    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.cure = cure


# Where the name to install differs from the name to import, and the engines worth suggesting.
_INSTALLED_AS = {
    "ase": "ase",
    "chgnet": "chgnet",
    "deepmd": "deepmd-kit",
    "dftd4": "dftd4",
    "gpaw": "gpaw",
    "mace": "mace-torch",
    "pyscf": "pyscf",
    "quippy": "quippy-ase",
    "tblite": "tblite",
    "xtb": "xtb",
}


def _find(path: str) -> Callable[..., Any]:
    module_path, _, name = path.rpartition(".")
    if not module_path:
        raise _UnusableError(
            f"'{path}' is not an import path.",
            "Write package.module.Class, for example tblite.ase.TBLite.",
        )
    module = _load(module_path)
    make = getattr(module, name, None)
    if not callable(make):
        raise _UnusableError(
            f"'{module_path}' has no calculator called '{name}'.",
            _suggestion(name, [known for known in dir(module) if not known.startswith("_")]),
        )
    return make  # type: ignore[no-any-return]


def _load(module_path: str) -> ModuleType:
    try:
        return importlib.import_module(module_path)
    except ModuleNotFoundError as error:
        missing = error.name or module_path
        if not f"{module_path}.".startswith(f"{missing}."):
            raise _UnusableError(
                f"The engine '{module_path}' needs '{missing}', which is not installed.",
                f"Install it: pip install {_INSTALLED_AS.get(missing, missing)}.",
            ) from error
        package, _, last = missing.rpartition(".")
        if not package:
            near = difflib.get_close_matches(missing, _INSTALLED_AS, 1)
            if missing in _INSTALLED_AS:
                cure = f"Install it: pip install {_INSTALLED_AS[missing]}."
            elif near:  # whoever mistypes a name must not be told to install a stranger's package
                cure = f"Did you mean '{near[0]}'?"
            else:
                cure = "Install the package that provides it, or correct its name."
            raise _UnusableError(f"The engine '{missing}' is not installed.", cure) from error
        folder = getattr(importlib.import_module(package), "__path__", [])
        raise _UnusableError(
            f"'{package}' has no module called '{last}'.",
            _suggestion(last, [found.name for found in pkgutil.iter_modules(folder)]),
        ) from error
    except Exception as error:
        traceback.print_exc()
        raise _UnusableError(
            f"The engine '{module_path}' is installed but does not load: {error}.",
            f"See whether `python -c 'import {module_path}'` works, and install it anew.",
        ) from error


def _suggestion(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return f"Did you mean '{near[0]}'?" if near else f"It has: {', '.join(known) or 'nothing'}."


def _check_spelling(make: Callable[..., Any], keywords: Message) -> None:
    """ASE calculators swallow unknown keywords; catch those that look like a slip of the pen."""
    known = list(getattr(make, "default_parameters", None) or ())
    if not known and inspect.isfunction(make):
        known = list(inspect.signature(make).parameters)
    for keyword in keywords:
        near = difflib.get_close_matches(keyword, known, 1, cutoff=0.85)
        if keyword not in known and near:
            raise _UnusableError(
                f"The engine has no keyword '{keyword}'.", f"Did you mean '{near[0]}'?"
            )


def _version(make: Callable[..., Any], hello: Message) -> str:
    """What the module of `make` says in its `engine_version`, or the package imported from."""
    spoken = getattr(sys.modules.get(getattr(make, "__module__", "")), "engine_version", None)
    return str(spoken(**hello["keywords"])) if spoken else package_version(hello["calculator"])


def package_version(path: str) -> str:
    """Name and version of the package behind an import path, or the digest of its source file."""
    package = path.partition(".")[0]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return f"{package} {importlib.metadata.version(package)}"
    for distribution in importlib.metadata.packages_distributions().get(package, ()):
        return f"{distribution} {importlib.metadata.version(distribution)}"
    source = getattr(sys.modules[path.rpartition(".")[0]], "__file__", None)
    if source is None:
        return f"{package} of unknown version"
    return f"{package} sha256:{hashlib.sha256(Path(source).read_bytes()).hexdigest()}"


def _die_with_parent(lifeline: int) -> None:
    """Kill our whole process group when the parent's end of the pipe `lifeline` closes.

    The kernel does it, even while the engine holds Python's lock. (PR_SET_PDEATHSIG would not do:
    it fires when the *thread* that started us ends.)
    """
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        return

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _raise_stack_limit() -> None:
    """Fortran engines keep large work arrays on the stack; a small limit makes them crash."""
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))


if __name__ == "__main__":
    main()
