"""What the tests of a claim stand on: the paper's sets, other sets, other networks."""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import pandas as pd

from clustlib.published.tables import AVERAGE, table, tables

_CIRCUMSTANCE = re.compile(r" \([^)]*\)")  # of "mnist (2-D)" or "ytf (10k)->lfw"


@dataclass(frozen=True)
class Coverage:
    """What the tests of a claim stand on: the paper's sets, counted, and what stands in for some of them.

    ``of`` is how many sets the paper prints for the claim, 0 where it prints no numbers; ``by_network`` counts those of
    its sets that were seen through another network than the paper's, ``stand_ins`` other sets, whatever the network.
    ``averaged`` is what a claim on averages stands on: "mean of coil-20, umist".
    """

    sets: tuple[str, ...] = ()
    of: int = 0
    by_network: int = 0
    stand_ins: int = 0
    averaged: str = ""

    def __str__(self) -> str:
        """The coverage in words: "on 1 of the paper's 4 sets; 1 through another network; 2 stand-ins"."""
        own = self._of(len(self.sets)) if self.of else ", ".join(self.sets)
        counted = self._of(self.by_network) if self.of else f"{self.by_network} of the paper's sets"
        seen = f"{self.by_network if self.sets else counted} through another network"
        beside = f"{self.stand_ins} stand-in{'s' if self.stand_ins > 1 else ''}"
        if self.averaged:
            return f"on the {self.averaged}" + (f" ({self.stand_ins} by a stand-in)" if self.stand_ins else "")
        there = ((own, self.sets), (seen, self.by_network), (beside, self.stand_ins))
        said = "; ".join(words for words, any_of_them in there if any_of_them)
        if not said:
            return ""
        return f"on {said}{'' if self.sets or self.by_network else ' alone'}"

    def _of(self, count: int) -> str:
        return "the paper's one set" if count == self.of == 1 else f"{count} of the paper's {self.of} sets"


def coverage(sets: Iterable[str], parts: Sequence[pd.DataFrame], printed: Set[str], paper: str) -> Coverage:
    """How many of the paper's sets a claim was tested on, how many by another network, and how many other sets.

    Parameters
    ----------
    sets : the data sets of its tests. parts : the cells that it rests on.
    printed : the sets that the paper prints cells of it for; where there are none, all of ``paper``'s sets are its own.
    """
    from clustlib.datasets.registry import names, stand_in_of

    by_network = {name for part in parts if "network" in part for name in part.loc[part["network"] != "", "dataset"]}
    tested = [name for name in dict.fromkeys(sets) if name != AVERAGE]
    if not tested:
        return _averaged(parts)
    theirs = printed or {
        set_of(name) for key in (tables(paper) if paper else ()) for name in table(paper, key)["dataset"]
    }
    substitutes = {substitute for name in theirs if (substitute := stand_in_of(name))} - theirs
    known, registered = printed or (theirs - substitutes), set(names())
    made_up = {  # the paper's own examples
        set_of(name) for name in tested if name not in by_network and not any(real in name for real in registered)
    }
    every = list(dict.fromkeys(map(set_of, tested)))
    others = {name for name in every if name in substitutes or (known and name not in known | made_up)}
    seen = {set_of(name) for name in tested if name in by_network} - others
    own = tuple(name for name in every if name not in others | seen)
    return Coverage(own, len(printed), len(seen), len(others))


def _averaged(parts: Iterable[pd.DataFrame]) -> Coverage:
    """What averages stand on: the sets of the first cell that names them."""
    for part in parts:
        if {"reason", "stand_in"} <= set(part):
            told = part[part["reason"].astype(str).str.startswith("mean of ")]
            for reason, stand_ins in zip(told["reason"], told["stand_in"]):
                return Coverage(averaged=str(reason), stand_ins=len(list(filter(None, str(stand_ins).split("+")))))
    return Coverage()


def set_of(name: str) -> str:
    """A data set without the circumstances of its use."""
    return _CIRCUMSTANCE.sub("", name)
