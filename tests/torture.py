"""Runs are killed at random and gone on with until they have finished: nothing may be lost, no bit may differ.

    make torture                                  # 200 kills, by seed 0
    python tests/torture.py --kills 60 --seed 7 --folder /tmp/torture
    make torture ARGS='--fault-tolerant --kills 20'

Whoever is killed (a rank, or mpirun), when (at a random moment since the start, or when a random row has been written),
and by what (SIGKILL, SIGTERM, SIGINT) is drawn; the number of ranks is drawn anew for every leg. With --fault-tolerant
one rank is killed, or a second soon after it, and the run goes on by itself (ULFM) or is gone on with.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np
import yaml

from pmom_mpi.analysis import read
from pmom_mpi.cluster import launch
from pmom_mpi.cluster.mpirun import with_path
from pmom_mpi.record.head import Head
from pmom_mpi.runtime import experiment
from pmom_mpi.words.errors import UserError

T = TypeVar("T")

ITERATIONS, NODES = 40, 5
RANKS = (1, 2, 3, 4)
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LOOK_SECONDS = 0.05
"""So often processes are looked for: all of /proc is read for it, by a core that the job could use."""
START_SECONDS = 3.0
"""About what a job takes to come to its iterations."""
END_SECONDS = 90.0
"""Longer no job may take, killed or not."""
STARTS = 2
"""How often a leg is begun whose launcher itself did not start; more is no chance."""

RANK = "\0".join(launch.pmom()).encode()
"""How a rank's command begins; that of mpirun holds this, too."""
EXAMPLES = Path(__file__).parents[1] / "examples"
COMMON = {
    "iterations": ITERATIONS, "step_size": 0.1, "momentum": {"kind": "ema", "beta": 0.3},
    "problem": {"kind": "mlp", "hidden": [16, 16]}, "data": {"name": "digits", "nodes": NODES},
    "evaluate": {"every": 2}, "checkpoint": {"every": 3}, "record": {"flush_seconds": 0, "nodes": True},
}  # fmt: skip
TOP = {"kind": "top_k", "fraction": 0.05}
METHODS = {
    "ef14": {"bias": [{"kind": "ef14"}, TOP]},
    "ef21_sgdm": {"bias": [{"kind": "ef21_sgdm", "beta": 0.5}, TOP], "gradient": {"batch": 32}},
    "power_sgd": {"bias": [{"kind": "power_sgd"}]},
    "adaptive clip": {"bias": [{"kind": "clip_adaptive"}], "gradient": {"batch": 16}},
    "compressed downlink": {"bias": [{"kind": "ef21"}, TOP], "downlink": [TOP]},
    "minibatches": {"bias": [{"kind": "rand_k", "fraction": 0.2}], "gradient": {"batch": 8}},
    "nesterov": {"momentum": {"kind": "nesterov", "beta": 0.5}, "step_size": 0.05},
    "batch norms": {
        "problem": {"kind": "torch", "model": "convnet:make_model", "arguments": {"width": 4},
                    "input_shape": [1, 8, 8]},
        "gradient": {"batch": 8}, "evaluate": {"every": 10}, "iterations": 20,
    },
}  # fmt: skip
TOLERANT = {"ef21": {"bias": [{"kind": "ef21"}, TOP]}, "top_k": {"bias": [TOP]}}
"""What is killed with --fault-tolerant: all go back to a checkpoint, or repeat an iteration."""
TOLERANT_RANKS = (3, 4)
SECOND_SECONDS = 0.3
"""About what a recovery takes."""


@dataclass
class Tally:
    """What was seen."""

    kills: int = 0
    legs: int = 0
    unstarted: int = 0
    """Jobs whose launcher failed before any rank began; they were begun again and are no legs."""
    seen: Counter[str] = field(default_factory=Counter)


class Torture:
    """Kills runs below ``folder``, drawn by ``seed``; raises AssertionError where something is lost or differs."""

    def __init__(self, folder: Path, seed: int, tolerant: bool = False) -> None:
        self._folder = folder
        self._tolerant = tolerant
        self._known = TOLERANT if tolerant else METHODS
        self._rng = np.random.default_rng(seed)
        self._whole: dict[str, dict[str, bytes]] = {}
        self.tally = Tally()
        self.methods = [name for name in self._known if name != "batch norms" or find_spec("torch")]
        shutil.copy(EXAMPLES / "convnet.py", folder)

    def run(self, number: int, most_kills: int) -> int:
        """One run, killed once or more, then let be; how often it was killed."""
        rng, method = self._rng, self.methods[number % len(self.methods)]
        config = self._config(method)
        whole, total = self._undisturbed(method, config), int(yaml.safe_load(config.read_text())["iterations"])
        path = self._folder / f"run-{number}.h5"
        changes = ["-s", f"checkpoint.every={rng.choice([1, 3])}"]
        changes += ["-s", "transport.fault_tolerant=true"] if self._tolerant else []
        kills = min(most_kills, int(rng.integers(1, 4)))
        for _ in range(kills):
            self._killed_leg(["run", "--resume", str(config), *changes, "-o", str(path)], path, total, whole)
        self._leg(["run", "--resume", str(config), *changes, "-o", str(path), "-q"], lambda job: job.finish(expected=0))
        assert contents(path) == whole, f"{path}: {method} differs from the undisturbed run"
        left = [item.name for item in self._folder.glob(f".run-{number}.*partial")]
        assert not left, f"left over: {left}"
        for item in self._folder.glob(f"run-{number}.*"):
            item.unlink()
        self.tally.kills += kills
        return kills

    def _config(self, method: str) -> Path:
        path = self._folder / f"{method.replace(' ', '-')}.yaml"
        path.write_text(yaml.safe_dump(COMMON | self._known[method] | {"name": method.replace(" ", "-")}))
        return path

    def _undisturbed(self, method: str, config: Path) -> dict[str, bytes]:
        if method not in self._whole:
            path = self._folder / f"{config.stem}-whole.h5"
            experiment.run(config, output=path, overwrite=True)
            self._whole[method] = contents(path)
        return self._whole[method]

    def _leg(self, arguments: list[str], act: Callable[[Job], T]) -> T:
        """What comes of one job; where its launcher did not start, of another."""
        ranks = int(self._rng.choice(TOLERANT_RANKS if self._tolerant else RANKS))
        for _ in range(STARTS):
            try:
                with Job(ranks, arguments, self._tolerant) as job:
                    done = act(job)
            except Unstarted as error:
                self.tally.unstarted += 1
                print(f"mpirun did not start, once more: {error}", file=sys.stderr, flush=True)
            else:
                self.tally.legs += 1
                return done
        raise AssertionError(f"mpirun did not start {STARTS} times running")

    def _killed_leg(self, arguments: list[str], path: Path, total: int, whole: dict[str, bytes]) -> None:
        rng = self._rng
        wait = float(rng.uniform(0, START_SECONDS)) if rng.random() < 1 / 3 else 0.0
        until, pause = int(rng.integers(1, total + 1)), float(rng.uniform(0, 0.02))
        number, victim = signal.Signals(rng.choice(SIGNALS)), int(rng.integers(0, max(RANKS) + 1))
        second = self._tolerant and rng.random() < 1 / 2
        if self._tolerant:
            number, victim = signal.SIGKILL, int(rng.integers(0, min(TOLERANT_RANKS)))
            later, other = float(rng.uniform(0, SECOND_SECONDS)), int(rng.integers(0, min(TOLERANT_RANKS) - 1))

        def act(job: Job) -> tuple[int, str]:
            seen = 0
            if wait:
                job.sleep(wait)
            else:
                seen = job.until_rows(path, until)
                time.sleep(pause)
            whom = job.kill(victim % (job.ranks + 1), number)
            if second:
                job.sleep(later)
                whom += f", then {job.kill(other, number)}"
            job.finish()
            return seen, whom

        seen, whom = self._leg(arguments, act)
        after = rows(path)
        self.tally.seen[f"{number.name} to {whom}"] += 1
        if not self._tolerant:  # those that go back to a checkpoint make rows again
            assert after >= seen, f"{path}: {seen} rows were flushed, {after} are left"
        if path.exists():
            run = read.load(path)
            assert set(run.metrics["iteration"]) <= set(range(total))
            for name, values in run.metrics.items():
                expected = whole.get(name)
                if expected is not None and not name.startswith("test_"):
                    assert expected.startswith(values.tobytes()), f"{path}: {name} differs before its end"
            self.tally.seen["ended " + run.status.partition(" ")[0]] += 1
        else:
            self.tally.seen["ended before the run file was made"] += 1


class Unstarted(Exception):
    """A launcher failed before it had begun any rank: nothing of this package has run."""


class Job:
    """A real job in a session, and with a folder for temporary files, of its own."""

    def __init__(self, ranks: int, arguments: list[str], tolerant: bool = False) -> None:
        self.ranks = ranks
        self._folder = tempfile.mkdtemp(prefix="leg-")  # what a killed mpirun leaves may trip the next one
        self._killed = False
        words, environment = launch.pmom(*arguments), dict(os.environ)
        if ranks > 1:
            command = launch.launch_command(ranks, words, fault_tolerant=tolerant)
            words, environment = list(command.words), with_path(command.words[0]) | dict(command.variables)
        environment["TMPDIR"] = self._folder
        self._process = subprocess.Popen(
            words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        os.set_blocking(self._process.stderr.fileno(), False)
        self._known: set[int] = {self._process.pid}
        self._began = False
        """Whether a rank has been seen."""
        self._look_at = 0.0
        self.errors = b""

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _running(self, look: bool = False) -> bool:
        """Whether it goes on; now and then, and where it is asked to, with a look at who belongs to it."""
        self.errors += self._process.stderr.read() or b""
        if look or time.monotonic() >= self._look_at:
            self._known |= below(self._known)
            self._began |= any(cmdline(pid).startswith(RANK) for pid in self._known)
            self._look_at = time.monotonic() + LOOK_SECONDS
        return self._process.poll() is None

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._running():
            time.sleep(0.01)

    def until_rows(self, path: Path, count: int) -> int:
        """Wait until this job has written so many rows, or has ended; how many there were at last."""
        old, seen = identity(path), 0
        while self._running() and seen < count:
            if identity(path) != old:  # until then it is the file of the leg before
                seen = rows(path)
            time.sleep(0.005)
        return seen

    def kill(self, victim: int, number: signal.Signals) -> str:
        """Signal a rank, or mpirun (the last), if it is there; who that was."""
        self._running(look=True)
        pids = sorted((pid for pid in self._known if cmdline(pid).startswith(RANK)), key=rank_of)
        whom, pid = "mpirun" if self.ranks > 1 else "the process", self._process.pid
        if victim < len(pids) and self.ranks > 1:
            whom, pid = "the server" if victim == 0 else "a worker", pids[victim]
        if self._process.poll() is not None:
            return "nobody (it has ended)"
        self._killed = True
        send(pid, number)
        return whom

    def finish(self, expected: int | None = None) -> None:
        """Wait for the end of every process; ranks whose mpirun was killed are ended as a batch system would."""
        end = time.monotonic() + END_SECONDS
        while self._running():
            assert time.monotonic() < end, f"hangs: {self.errors.decode()[-2000:]}"
            time.sleep(0.01)
        self._running(look=True)
        code = self._process.returncode
        if code != 0 and self.ranks > 1 and not self._killed and not self._began:
            raise Unstarted(f"exit status {code}: {' '.join(self.errors.decode(errors='replace').split())[:300]}")
        assert expected is None or code == expected, f"exit status {code}: {self.errors.decode()[-2000:]}"
        self._end()

    def _end(self) -> None:
        """No process is left over."""
        grace = time.monotonic() + 1.0
        while alive := {pid for pid in self._known if cmdline(pid) and pid != self._process.pid}:
            if time.monotonic() > grace:
                for pid in alive:
                    send(pid, signal.SIGKILL)
            time.sleep(0.01)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def identity(path: Path) -> int:
    """Which file has this name now; 0 for none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def below(parents: set[int]) -> set[int]:
    """The children of these processes, and theirs."""
    ppids = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            ppids[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found = set(parents)
    while more := {pid for pid, parent in ppids.items() if parent in found} - found:
        found |= more
    return found


def cmdline(pid: int) -> bytes:
    """A process's command, empty for one that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def rank_of(pid: int) -> int:
    """Which rank a process is; -1 for one that is gone."""
    with suppress(OSError):
        for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = word.partition(b"=")
            if name in (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK"):
                return int(value)
    return -1


def rows(path: Path) -> int:
    """How many rows a reader sees now; every file that is there must open."""
    for attempt in range(100):
        if not path.exists():
            return 0
        try:
            return Head.read(path).rows
        except UserError:
            if attempt == 99:
                raise
            time.sleep(0.002)  # it grows at this very moment
    raise AssertionError


def contents(path: Path) -> dict[str, bytes]:
    """Everything in a run file that must not depend on who made it: the bytes by name."""
    with h5py.File(path, "r") as file:
        found = {name: data[()] for name, data in file["metrics"].items() if not name.startswith(("time_", "overhead"))}
        found |= {f"nodes/{name}": data[()] for name, data in file["nodes"].items()}
        assert file.attrs["status"] == "finished"
        return {name: values.tobytes() for name, values in (found | {"x": file["final/x"][()]}).items()}


def torture(folder: Path, kills: int, seed: int, say: bool = False, tolerant: bool = False) -> Tally:
    """At least so many kills."""
    tortured, number = Torture(folder, seed, tolerant), 0
    while (left := kills - tortured.tally.kills) > 0:
        killed = tortured.run(number, left)
        if say:
            method = tortured.methods[number % len(tortured.methods)]
            print(f"{tortured.tally.kills:>4}/{kills}  {method}: killed {killed} times, same bits", flush=True)
        number += 1
    return tortured.tally


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--fault-tolerant", action="store_true", help="ranks only, of jobs that go on without (ULFM)")
    asked = parser.parse_args()
    place = asked.folder or Path(tempfile.mkdtemp(prefix="torture-"))
    place.mkdir(parents=True, exist_ok=True)
    found = torture(place, asked.kills, asked.seed, say=True, tolerant=asked.fault_tolerant)
    print(f"mpirun did not start {found.unstarted} times; those jobs were begun again")
    print(f"{found.kills} kills in {found.legs} legs; every run finished with the undisturbed run's bits")
    for what, count in sorted(found.seen.items()):
        print(f"{count:>6}  {what}")
    if asked.folder is None:
        shutil.rmtree(place)
    sys.exit(0)
