"""How fast histories are checked: 10,000 operations by 8 clients, as they overlap more and more, sound and corrupted.

    python benchmarks/linearize_rate.py [--operations 10000] [--clients 8] [--rounds 3] [--seed 0]
    python benchmarks/linearize_rate.py --detangle 1000    # beside detangle.lin, where that is installed

The histories are made without threads (tests/support/histories.py): an order is drawn, and intervals around it. A
window is the shortest, unless a question mark follows its length. With ``--detangle`` both checkers are given the same
history on one account, of that many operations, with the same model.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from histories import simulate

from capsound_checker.histories.linearize import linearize
from capsound_checker.histories.sequential import ON_HOLD, Operation


def off_by_one(history: list[Operation], seed: int) -> list[Operation]:
    """Return the history with one amount in the last tenth off by one: of a settlement, or else of a read."""
    late = [(i, op) for i, op in enumerate(history) if i > 0.9 * len(history)]
    holds = {op.new for op in history if op.do == "reserve" and op.on == 0}
    settled = [i for i, op in late if op.do == "settle" and op.on in holds]
    read = [i for i, op in late if op.do == "held" and op.on == 0]
    at = random.Random(seed).choice(settled or read)
    changed = history[at]
    wrong = (
        replace(changed, value=(changed.value or 0) + 1) if not settled else replace(changed, amount=changed.amount + 1)
    )
    return [*history[:at], wrong, *history[at + 1 :]]


def timed(rounds: int, run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median of the seconds that ``run`` takes, and what it returned last."""
    took, result = [], None
    for _ in range(rounds):
        start = perf_counter()
        result = run()
        took.append(perf_counter() - start)
    return median(took), result


def rates(operations: int, clients: int, rounds: int, seed: int) -> None:
    print(f"{operations} operations, {clients} clients{'':14} {'seconds':>8} {'tried':>9} {'window':>7}  verdict")
    for overlap in (1, 4, 16):
        for cap, bill, reads in ((10 * operations, 60, 0.2), (10 * operations, 60, 0.02), (20 * clients, 0, 0.2)):
            sound = simulate(operations, clients=clients, seed=seed, cap=cap, bill=bill, reads=reads, overlap=overlap)
            for name, history in (("sound", sound), ("corrupted", off_by_one(sound, seed))):
                run = lambda history=history: linearize(history, strict=True, complete=True)  # noqa: E731
                seconds, found = timed(rounds, run)
                window = ""
                if found.offence is not None:
                    window = f"{len(found.offence.window)}{'' if found.offence.shortest else '?'}"
                label = f"{name}, overlap {overlap}, cap {cap}, reads {reads:.0%}"
                print(f"{label:46} {seconds:8.2f} {found.steps:>9} {window:>7}  {found.verdict}")


def beside_detangle(operations: int, clients: int, rounds: int, seed: int) -> None:
    try:
        from detangle import lin  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise SystemExit("detangle is not installed: pip install detangle") from None

    class Ledger(lin.Model):  # type: ignore[misc, name-defined, unused-ignore]
        """The same books for one account: available, held, spent, and the open holds."""

        def init(self) -> Any:
            return (0, 0, 0, frozenset())

        def step(self, state: Any, op: Any) -> tuple[bool, Any]:
            available, held, spent, holds = state
            said: Operation = op.arg
            match said.do:
                case "open":
                    return True, (said.amount, 0, 0, holds)
                case "spent":
                    return said.value == spent, state
                case "held":
                    return said.value == held, state
                case "remaining":
                    return said.value == available, state
                case "sent":
                    return True, state
                case "reserve" if said.outcome == "refused":
                    return said.amount > available, state
                case "reserve":
                    one = (said.new, said.amount)
                    after = (available - said.amount, held + said.amount, spent, holds | {one})
                    return said.amount <= available, after
            one = next((h for h in holds if h[0] == said.on), None)
            if one is None:
                return False, state
            cost = {"settle": said.amount, "release": 0, "forfeit": one[1]}[said.do]
            return True, (available + one[1] - cost, held - one[1], spent + cost, holds - {one})

    print(f"\n{operations} operations on one account{'':10} {'capsound':>10} {'detangle':>10}")
    for overlap in (1, 4, 16):
        sound = flat(simulate(2 * operations, clients=clients, seed=seed, cap=10 * operations, overlap=overlap))
        sound = sound[:operations]
        for name, history in (("sound", sound), ("corrupted", off_by_one(sound, seed))):
            recorded = [
                lin.Operation(i, op.client, op.do, op, 2 * op.called, 0.0, None, "ok", 2 * (op.returned or 0) + 1)
                for i, op in enumerate(history)
            ]
            ours, _ = timed(rounds, lambda history=history: linearize(history, strict=True, complete=True))
            try:
                theirs = f"{timed(1, lambda recorded=recorded: lin.check(recorded, Ledger()))[0]:10.3f}"
            except RuntimeError as error:
                theirs = f"  {error}"
            print(f"{name + ', overlap ' + str(overlap):37} {ours:10.3f} {theirs}")


def flat(history: list[Operation]) -> list[Operation]:
    """Return what was done on the root only."""
    holds = {op.new for op in history if op.do == "reserve" and op.on == 0}
    slices = ("delegate", "close", "merge")
    return [op for op in history if op.do not in slices and (op.on in holds if op.do in ON_HOLD else op.on == 0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--detangle", type=int, default=0, metavar="OPERATIONS", help="compare with detangle.lin")
    args = parser.parse_args()
    if args.detangle:
        beside_detangle(args.detangle, args.clients, args.rounds, args.seed)
    else:
        rates(args.operations, args.clients, args.rounds, args.seed)


if __name__ == "__main__":
    main()
