"""The state of the committed records, and what keeps them: ``python -m clustlib.records``."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from clustlib.errors import UsageError, ended

if TYPE_CHECKING:
    from clustlib.records.carry import Outcome
    from clustlib.records.judgement import Verdict


def status(arguments: argparse.Namespace) -> int:
    """A line a run function; 1 where a record is stale."""
    from clustlib.records.status import by_function, lines

    frame = by_function()
    print("\n".join(lines(frame)))
    return int(frame["stale"].sum() > 0)


def show(arguments: argparse.Namespace) -> int:
    """One record: its run function, settings, metrics, origin and state, and the line that runs it again."""
    from clustlib.records.show import lines

    print("\n".join(lines(arguments.key)))
    return 0


def _moved(given: Sequence[str]) -> dict[str, str]:
    pairs = [pair.split("=") for pair in given]
    if any(len(pair) != 2 or not all(":" in place for place in pair) for pair in pairs):
        raise UsageError("--moved takes OLD=NEW, each as module:function")
    return {before: after for before, after in pairs}


def _told(verdict: "Verdict") -> Iterator[str]:
    """What the witnesses said, a line a witness that differs and a line a definition."""
    yield f"{len(verdict.agreeing)} witnesses give the same bits"
    yield from (f"{witness}: DIFFERS, {what}" for witness, what in sorted(verdict.differences.items()))
    for trial in verdict.trials:
        tried = len(trial.noticed) + len(trial.missed)
        missed = f"; not {', '.join(map(str, trial.missed))}" if trial.missed else ""
        yield f"{trial.definition}: {len(trial.noticed)} of {tried} faults noticed{missed}"


def carry(arguments: argparse.Namespace) -> int:
    """Let the witnesses judge the working tree; 1 where a run function is refused."""
    from clustlib.records.carry import carry

    first = carry(arguments.base, arguments.note, _moved(arguments.moved), arguments.withdraw)
    for outcome in (first, *first.later):
        _print_outcome(outcome)
    return int(any(outcome.refused for outcome in (first, *first.later)))


def _print_outcome(outcome: "Outcome") -> None:
    print(f"from {outcome.base[:12]} to the working tree")
    for line in _told(outcome.verdict) if outcome.verdict else ["no definition behind a record changed on the CPU"]:
        print(line)
    for place in sorted({change.after.on_cpu.place for change in outcome.carried}):
        records = [change for change in outcome.carried if change.after.on_cpu.place == place]
        unseen = sum(change.unseen for change in records)
        print(f"{place}: same bits, {len(records)} records carried" + (f", {unseen} on the CPU only" if unseen else ""))
    for place, reasons in sorted(outcome.refused.items()):
        print(f"{place}: NOT carried")
        print("\n".join(f"  {reason}" for reason in reasons))
    print("one line added to the ledger" if outcome.entry else "nothing to add to the ledger")


A_YEAR = 3.2e7  # seconds


def audit(arguments: argparse.Namespace) -> int:
    """Compute the cheapest record of every run function again; 1 where one differs by more than the tolerance."""
    from clustlib._validation import check_number
    from clustlib.records.audit import audit

    check_number("--seconds", arguments.seconds, most=A_YEAR)
    return int(not audit(arguments.seconds, arguments.anew)["agrees"].all())


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    top = argparse.ArgumentParser(prog="python -m clustlib.records", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("status", help="which records today's code stands for").set_defaults(call=status)
    shown = commands.add_parser("show", help="one record: what ran, with what, what came of it, how to run it again")
    shown.add_argument("key", metavar="KEY", help="its key, or the path of its JSON file")
    shown.set_defaults(call=show)
    one = commands.add_parser("carry", help="carry records across a change that witnesses show to be harmless")
    one.add_argument("--from", dest="base", default="", metavar="REVISION", help="default: the last all-fresh commit")
    one.add_argument("--note", default="", help="what changed, in a sentence, for the ledger")
    one.add_argument("--moved", action="append", default=[], metavar="OLD=NEW", help="a run function's new place")
    one.add_argument(
        "--withdraw", action="append", default=[], metavar="SEAL", help="an entry that is to carry nothing"
    )
    one.set_defaults(call=carry)
    again = commands.add_parser("audit", help="compute a record of every run function again, and compare")
    again.add_argument("--seconds", type=float, default=600.0, help="of a processor, after which a record is left off")
    again.add_argument("--anew", action="store_true", help="also what the last audit under these versions has")
    again.set_defaults(call=audit)
    arguments = top.parse_args(argv)
    return ended(lambda: arguments.call(arguments))


if __name__ == "__main__":
    sys.exit(main())
