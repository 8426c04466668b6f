"""What a call costs in instructions, allocations and system calls.

Each is a difference: what so many calls cost, less what fewer cost, for each call more. What
starting, connecting and ending cost falls out.
"""

import re
import statistics
import subprocess

from machine import Trouble, ask

# The allocator as Rust's code calls it: mimalloc, through which link-time optimisation sees the rest.
ALLOCATOR = re.compile(r"^mi_(malloc|zalloc|realloc)_aligned$")
# Functions that glibc chooses by the processor are chosen alike: valgrind shows it what is there. And a copy by
# one instruction would be counted as one for each byte.
CHOSEN_ALIKE = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM"}
# The median of so many differences counts.
PAIRS = 3
DUMP_SECONDS_MAX = 60


class Profile:
    """What callgrind has counted."""

    def __init__(self, path):
        self.instructions = 0
        self.allocations = 0
        names, callee = {}, ""
        for line in path.read_text().splitlines():
            key, _, value = line.partition("=")
            if key in ("fn", "cfn"):
                # A name stands in full the first time, then its number alone.
                number, _, name = value.partition(" ")
                names[number] = name or names.get(number, "")
                callee = names[number]
            elif key == "calls" and ALLOCATOR.search(callee):
                self.allocations += int(value.split()[0])
            elif line.startswith("totals:"):
                self.instructions = int(line.split()[1])
        if not self.instructions:
            raise Trouble(f"{path} holds no profile")


def callgrind(path):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={path}"]


def dumped(process, path, number):
    """What was counted since the last dump; `number` counts them from 1."""
    command = ["callgrind_control", "--dump", str(process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DUMP_SECONDS_MAX)
    if done.returncode != 0:
        raise Trouble(f"callgrind_control: {done.stderr}")
    return Profile(path.with_name(f"{path.name}.{number}"))


def calls_counted(server, port, call, few, many, **options):
    """Instructions and allocations of one call to `server`. `call(port, n)` makes n calls."""
    path = server.folder / "callgrind"
    with server.start(callgrind(path), **options) as process:
        # The first ones make connections and fill pools.
        call(port, few)
        dumped(process, path, 1)
        profiles = []
        for number in range(2 * PAIRS):
            call(port, many if number % 2 else few)
            profiles.append(dumped(process, path, number + 2))
    pairs = list(zip(profiles[::2], profiles[1::2]))

    def a_call(of):
        return statistics.median((of(more) - of(less)) / (many - few) for less, more in pairs)

    return {
        "instructions": a_call(lambda profile: profile.instructions),
        "allocations": a_call(lambda profile: profile.allocations),
    }


def system_calls(make, call, few, many):
    """System calls of one call; `make()` gives a server that has never run, and its port."""
    sums = []
    for calls in (few, many):
        server, port = make()
        path = server.folder / "strace"
        with server.start(["strace", "-f", "-c", "-o", str(path)]):
            call(port, calls)
        sums.append(summed(path))
    return (sums[1] - sums[0]) / (many - few)


def summed(path):
    """The sum of what `strace -c` has counted: its fourth column."""
    for line in path.read_text().splitlines():
        fields = line.split()
        if fields and fields[-1] == "total":
            return int(fields[3])
    raise Trouble(f"{path} holds no sum")


def asker(ends, *how, rate=None, seconds=None, is_fresh=False, before=0):
    """Makes calls so, each answered as it must be; so many a second, or in so many seconds, however many they are.
    `is_fresh`: none like one of before. `before`: so many more ahead of the first, as fast as they are answered."""
    asked = 0

    def make(port, calls, rate):
        nonlocal asked
        rate = ("--rate", rate) if rate else ()
        after = ("--after", asked) if is_fresh else ()
        ask(ends, "call", "--to", f"127.0.0.1:{port}", "--calls", calls, *rate, *after, *how)
        asked += calls

    def call(port, calls):
        if before > asked:
            make(port, before, None)
        make(port, calls, calls / seconds if seconds else rate)

    return call
