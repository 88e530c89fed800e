"""Walkers that go on at their own pace: none waits for another, as none needs to."""

from collections.abc import Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

from hyperatom.campaign.chain_store import Step
from hyperatom.campaign.stepping import Moved, Stepper
from hyperatom.contracts import Proposal
from hyperatom.sampling.metropolis import ChainState


def at_own_pace(
    stepper: Stepper,
    pool: Executor,
    latest: Mapping[int, Step],
    proposal: Proposal,
    guide: str,
    end: int,
) -> Generator[Moved, None, None]:
    """Production steps of all walkers as they are made, after the `latest` of each, up to `end`.

    A walker's next step begins when the one before it has been taken. `guide` is the digest of the
    guide inside the proposal. Raises `ReferenceFailure` as `Stepper.require_cheap_word`.
    """
    ahead = {walker: stepper.prefetch(walker, proposal, end) for walker in latest}
    waiting: dict[Future[Moved], int] = {}

    def submit(walker: int, number: int, state: ChainState) -> None:
        if number <= end:
            task = pool.submit(
                stepper.step, walker, number, "produce", state, proposal, guide, ahead[walker]
            )
            waiting[task] = walker

    for walker, step in latest.items():
        state = stepper.state_after(step)
        stepper.require_cheap_word(state, walker)
        submit(walker, step.number + 1, state)
    try:
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for task in done:
                walker = waiting.pop(task)
                state, step, spent = task.result()
                yield state, step, spent
                submit(walker, step.number + 1, state)
    finally:
        for task in waiting:
            task.cancel()
