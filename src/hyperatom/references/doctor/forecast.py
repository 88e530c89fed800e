"""Time per call, and what the whole run will take: hours and disk."""

from hyperatom.references.doctor.finding import Finding, Patient

LONGEST = 30.0 * 24.0
"""h; a run that takes longer is a mistake."""


def forecast(patient: Patient, seconds: float) -> Finding:
    """`seconds` of the slowest call so far."""
    hours = patient.planned_calls * seconds / patient.at_once / 3600.0
    # Positions, forces, masses and numbers of a label, and its row in the chain.
    label = 100 * patient.configuration.n_atoms + 3000
    disk = 2.0 * patient.planned_calls * label / 1.0e6
    told = (
        f"{seconds:.2g} s a call: at most {patient.planned_calls} calls, {patient.at_once} at a "
        f"time, {hours:.2g} h, {disk:.2g} MB on disk"
    )
    numbers = {"seconds_per_call": seconds, "hours": hours, "disk_MB": disk}
    if seconds > 0.5 * patient.time_out:
        return Finding(
            "time",
            "fault",
            f"{told}; half the time-out of {patient.time_out:g} s is used up",
            "Raise reference.time_out, or choose cheaper settings.",
            numbers,
        )
    if hours > LONGEST:
        return Finding(
            "time",
            "fault",
            f"{told}: longer than {LONGEST / 24:.0f} days",
            "Choose cheaper settings or a smaller cell, ask for fewer proposals, or share the "
            "walkers among more processors.",
            numbers,
        )
    return Finding("time", "fine", told, "", numbers)
