"""Keeps a call as cheap as it is: instructions and allocations, counted and compared.

Counted with callgrind, of a build that is the same everywhere (the profile `budget`), by the
difference of two runs. More than the budget allows fails, and so does much less: a gain is kept by
writing it down.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import counting
from machine import MEASURED, Trouble, pinned, started
from servers import Forebay

BUDGET = Path(__file__).with_name("budget.json")
TOLERANCE = 0.05
# Less than this of an allocation is none.
ALLOCATIONS_TOLERANCE = 0.25
THINKING_FEW, THINKING_MANY = 500, 2500
# Thinking over so many nodes may cost so many times the thinking over few.
NODES_FEW, NODES_MANY, NODES_SHARE_MAX = 3, 1000, 1.1
BATCH, BATCH_CALLS = "batch of 100", 100
# The padded one has the params of the call whose answer is kept, so that both are as long to read.
KEPT, PADDED = "kept answer", "padded local answer"
# A call that is asked for the first time, and then kept, may cost so many times a forwarded one (as long as those
# that are counted are fewer than it takes to see that none is asked again); and so many, once that was seen, after so
# many calls.
FORWARDED, FRESH, FRESH_SHARE_MAX = "forwarded call", "call that is kept", 1.08
SINGLE, SINGLE_SHARE_MAX, SINGLE_AFTER = "call that isn't asked again", 1.05, 1100
# An answer that is kept may cost so many times one that is made here: its params are written in one form
# and hashed, and it is longer.
KEPT_SHARE_MAX = 1.18
# One that is asked for by params that aren't written in that form: they are hashed as they are meant.
KEPT_AS_VIEM, KEPT_AS_VIEM_SHARE_MAX = "kept answer, asked as viem does", 1.3
# A batch may cost so many times what the thinking of its calls costs alone.
BATCH_SHARE_MAX = 2
# A call of one of so many chains may cost so many times that of one chain alone.
CHAINS, CHAINS_SHARE_MAX = 50, 1.02
# Few and many take the same time, so that what happens unasked for 50 chains falls out.
CHAINS_FEW, CHAINS_MANY, CHAINS_SECONDS = 100, 1100, 12
# What is asked, how often a second, and how many of it. Between them, and until the node answers,
# the balancer has time to fall asleep: so it is always woken as often for each.
KINDS = {
    FORWARDED: (("--method", "eth_call"), 60, (50, 150)),
    "local answer": (("--method", "eth_chainId"), 60, (50, 150)),
    PADDED: (("--method", "eth_chainId", "--padded", "yes"), 60, (50, 150)),
    BATCH: (("--batch", BATCH_CALLS), 10, (5, 15)),
    KEPT: (("--same", "yes"), 60, (50, 150)),
    KEPT_AS_VIEM: (("--same", "as-viem"), 60, (50, 150)),
    FRESH: (("--method", "eth_call"), 60, (50, 150)),
    SINGLE: (("--method", "eth_call"), 60, (50, 150)),
}
# Those that are asked with a cache.
CACHED = {KEPT, KEPT_AS_VIEM, FRESH, SINGLE}
DELAY_MS = 5
# Nothing else of the caller's surroundings is seen.
SURROUNDINGS = {"PATH": "/usr/local/bin:/usr/bin:/bin", **counting.CHOSEN_ALIKE}


def thinking(folder, programs, *nodes):
    """The pure way of a call, in a program of its own; over so many nodes."""
    profiles = []
    for calls in (THINKING_FEW, THINKING_MANY):
        path = folder / f"thinking-{calls}"
        command = [*counting.callgrind(path), programs / "thinking-path", str(calls), *map(str, nodes)]
        done = subprocess.run(
            pinned(MEASURED, command), env=SURROUNDINGS, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise Trouble(done.stderr)
        profiles.append(counting.Profile(path))
    less, more = profiles
    calls = THINKING_MANY - THINKING_FEW
    return {
        "instructions": (more.instructions - less.instructions) / calls,
        "allocations": (more.allocations - less.allocations) / calls,
    }


def served(folder, programs, node_port):
    """Whole calls and batches through the real program, by kind."""
    found = {}
    for name, (kind, rate, (few, many)) in KINDS.items():
        place = Path(tempfile.mkdtemp(dir=folder))
        cache = "16MiB" if name in CACHED else "0"
        server = Forebay(place, programs / "forebay", [node_port], is_quiet=True, cache=cache)
        how = ("--connections", 1, *kind)
        is_fresh, before = name in (FRESH, SINGLE), SINGLE_AFTER if name == SINGLE else 0
        call = counting.asker(
            programs / "ends", *how, rate=rate, is_fresh=is_fresh, before=before
        )
        found[name] = counting.calls_counted(
            server, server.port, call, few, many, env=SURROUNDINGS
        )
    return found


def of_chains(folder, programs, chains):
    """Instructions of a forwarded call, as one of so many chains gets it."""
    how = ["--delay", DELAY_MS, "--nodes", chains, "--block-time", 3600]
    node, said = started(programs / "ends", "node", *how, folder=folder)
    with node:
        place = Path(tempfile.mkdtemp(dir=folder))
        server = Forebay(place, programs / "forebay", said["ports"], True, chains=chains)
        path = "/" if chains == 1 else f"/c{chains // 2}"
        how = ("--connections", 1, "--method", "eth_call", "--path", path)
        call = counting.asker(programs / "ends", *how, seconds=CHAINS_SECONDS)
        ends = (CHAINS_FEW, CHAINS_MANY)
        found = counting.calls_counted(server, server.port, call, *ends, env=SURROUNDINGS)
    return found["instructions"]


def judge_chains(folder, programs):
    """Prints what other chains add to a call; says whether it is little."""
    alone, beside = (of_chains(folder, programs, chains) for chains in (1, CHAINS))
    share = beside / alone
    print(
        f"budget: a forwarded call of one of {CHAINS} chains: {beside:,.0f} instructions, {share:.3f} times the "
        f"{alone:,.0f} of one alone, at most {CHAINS_SHARE_MAX}"
    )
    return share <= CHAINS_SHARE_MAX


def judge_nodes(folder, programs):
    """Prints what many nodes add to the thinking; says whether it is little."""
    few, many = (thinking(folder, programs, nodes)["instructions"] for nodes in (NODES_FEW, NODES_MANY))
    print(
        f"budget: thinking over {NODES_MANY:,} nodes: {many:,.0f} instructions, {many / few:.3f} times the {few:,.0f} "
        f"over {NODES_FEW}, at most {NODES_SHARE_MAX}"
    )
    return many / few <= NODES_SHARE_MAX


def counted(folder, programs):
    node, said = started(programs / "ends", "node", "--delay", DELAY_MS, folder=folder)
    with node:
        found = {
            "thinking": thinking(folder, programs),
            **served(folder, programs, said["ports"][0]),
        }
    return {
        part: {
            "instructions": round(counts["instructions"]),
            "allocations": round(counts["allocations"], 1),
        }
        for part, counts in found.items()
    }


def judge(found, budget):
    """Prints every count beside its budget; says whether all keep to it."""
    holds = True
    for part, counts in found.items():
        for what, count in counts.items():
            allowed = budget.get(part, {}).get(what)
            word = verdict(what, count, allowed)
            holds = holds and word == "within"
            print(f"budget: {part}: {count:,} {what}, {word} the budget of {allowed}")
    share = found[BATCH]["instructions"] / (BATCH_CALLS * found["thinking"]["instructions"])
    print(f"budget: {BATCH}: {share:.2f} times the thinking of its calls, at most {BATCH_SHARE_MAX}")
    shares = [share <= BATCH_SHARE_MAX]
    for part, other, most in (
        (KEPT, PADDED, KEPT_SHARE_MAX),
        (KEPT_AS_VIEM, PADDED, KEPT_AS_VIEM_SHARE_MAX),
        (FRESH, FORWARDED, FRESH_SHARE_MAX),
        (SINGLE, FORWARDED, SINGLE_SHARE_MAX),
    ):
        share = found[part]["instructions"] / found[other]["instructions"]
        print(f"budget: {part}: {share:.3f} times a {other}, at most {most}")
        shares.append(share <= most)
    return holds and all(shares)


def verdict(what, count, allowed):
    if allowed is None:
        return "without"
    tolerance = allowed * TOLERANCE
    if what == "allocations":
        tolerance = max(tolerance, ALLOCATIONS_TOLERANCE)
    if abs(count - allowed) <= tolerance:
        return "within"
    return "MORE than" if count > allowed else "much LESS than"


def main():
    parser = argparse.ArgumentParser(prog="./dev budget", description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help="where they were built")
    parser.add_argument("--write", action="store_true", help="what is found is the budget")
    parser.add_argument(
        "--chains", action="store_true", help=f"a call of one of {CHAINS} chains, and nothing else"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forebay-budget-") as folder:
        if options.chains:
            is_little = judge_chains(Path(folder), options.programs)
            sys.exit(0 if is_little else "budget: other chains make a call dearer")
        found = counted(Path(folder), options.programs)
        is_little = judge_nodes(Path(folder), options.programs)
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    if options.write:
        BUDGET.write_text(json.dumps({"compiler": compiler, **found}, indent=2) + "\n")
        print(f"budget: written: {json.dumps(found)}")
        return
    budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    if judge(found, budget) and is_little:
        return
    if budget.get("compiler") != compiler:
        print(f"budget: it was written with {budget.get('compiler')}, this is {compiler}")
    sys.exit(
        "budget: mend what costs more, or say why in a commit that renews the budget: "
        "`./dev budget --write`. What costs less is kept by the same."
    )


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"budget: {trouble}")
