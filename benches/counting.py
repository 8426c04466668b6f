"""What a call costs in instructions, allocations and system calls.

Each is the difference of two runs of the same program, divided by the difference of their calls:
what starting and ending cost falls out.
"""

import re
from collections import Counter

from machine import Trouble, ask

# The allocator as Rust's code calls it.
ALLOCATOR = re.compile(r"__rust_(alloc|alloc_zeroed|realloc)$")


class Profile:
    """What callgrind has counted."""

    def __init__(self, path):
        self.instructions = 0
        self.allocations = 0
        names, callee = {}, ""
        for line in path.read_text().splitlines():
            if line.startswith("cfn="):
                number, _, name = line[4:].partition(" ")
                if name:
                    names[number] = name
                callee = names.get(number, "")
            elif line.startswith("fn="):
                number, _, name = line[3:].partition(" ")
                if name:
                    names[number] = name
            elif line.startswith("calls=") and ALLOCATOR.search(callee):
                self.allocations += int(line[6:].split()[0])
            elif line.startswith("totals:"):
                self.instructions = int(line.split()[1])
        if not self.instructions:
            raise Trouble(f"{path} holds no profile")


def callgrind(path):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={path}"]


def strace(path):
    return ["strace", "-f", "-c", "-o", str(path)]


def system_calls(path):
    """The sum of what `strace -c` has counted."""
    counted = Counter()
    for line in path.read_text().splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[0].replace(".", "").isdigit() and fields[-1] != "total":
            counted[fields[-1]] += int(fields[3])
    return counted


def a_call(read, run, few, many):
    """`read` of a run with `many` calls less that with `few`, for one call."""
    counts = [read(run(calls)) for calls in (few, many)]
    return (counts[1] - counts[0]) / (many - few)


def run_counted(server, wrapper, ends, calls, port, connections, kind=(), **options):
    """Starts `server` inside `wrapper`, has it answer so many calls, and ends it."""
    with server.start(wrapper, **options):
        ask(
            ends, "call", "--to", f"127.0.0.1:{port}", "--calls", calls,
            "--connections", connections, *kind,
        )
