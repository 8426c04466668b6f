"""Processes and what they cost: pinned to cores, measured by /proc, ended at the end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 2**20
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
# A started program has this long to listen; under valgrind it takes a while.
START_SECONDS_MAX = 120
END_SECONDS_MAX = 60
# No run of the caller takes longer.
RUN_SECONDS_MAX = 700


class Trouble(Exception):
    """What a person should read, without a trace."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def verdict(holds):
    return "holds" if holds else "BROKEN"


def cores():
    """The core of what is measured and the cores of what measures it, as taskset takes them."""
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        return None, None
    return str(mine[0]), ",".join(map(str, mine[1:]))


MEASURED, MEASURING = cores()


def pinned(core, command):
    return ["taskset", "-c", core, *command] if core else list(command)


class Process:
    """A program that runs until the `with` block ends."""

    def __init__(self, command, core, folder, ends_by, **options):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.ends_by = ends_by
        self.is_followed = command[0] == "strace"
        self.process = subprocess.Popen(
            pinned(core, command), cwd=folder, stderr=self.log, text=True, **options
        )

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Asks the program to end, and waits for it; at last makes it, and all below it."""
        if self.process.poll() is None:
            family = self.tree()
            # strace ends with the program that it follows, and takes no word itself.
            asked = family[1] if self.is_followed else family[0]
            os.kill(asked, self.ends_by)
            try:
                self.process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                for pid in family:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def until(self, is_so, what):
        ends_at = time.monotonic() + START_SECONDS_MAX
        while not is_so():
            if self.process.poll() is not None:
                raise Trouble(f"{what}: the program ended\n{self.said()}")
            if time.monotonic() > ends_at:
                raise Trouble(f"{what}: not within {START_SECONDS_MAX} s\n{self.said()}")
            time.sleep(0.05)

    def tree(self):
        """This process and all that descend from it."""
        children = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(entry.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.parent.name))
        found, left = [], [self.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            left.extend(children.get(pid, []))
        return found

    def cpu_seconds(self):
        """User and system time of the tree so far."""
        ticks = 0
        for pid in self.tree():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_A_SECOND

    def memory_bytes(self):
        """Resident memory of the tree (RSS)."""
        kib = 0
        for pid in self.tree():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    kib += int(line.split()[1])
        return kib * 1024


def ask(program, *arguments):
    """Runs the caller to its end and gives what it found; a wrong or missing answer is trouble."""
    run = subprocess.run(
        pinned(MEASURING, [program, *map(str, arguments)]),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
    )
    if run.returncode != 0:
        raise Trouble(run.stderr.strip())
    found = json.loads(run.stdout)
    if found.get("wrong") or found.get("missing"):
        raise Trouble(f"{' '.join(map(str, arguments))}: {found}")
    return found


def started(program, *arguments, folder):
    """A program that says a line of JSON once it is ready, and ends when its input does."""
    process = Process(
        [program, *map(str, arguments)],
        MEASURING,
        folder,
        ends_by=signal.SIGTERM,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    line = process.process.stdout.readline()
    if not line:
        process.process.wait()
        raise Trouble(process.said())
    return process, json.loads(line)


def counts(node):
    """What a started node has counted: `connections`, and `calls` of `eth_call`."""
    pipes = node.process
    pipes.stdin.write("\n")
    pipes.stdin.flush()
    return json.loads(pipes.stdout.readline())
