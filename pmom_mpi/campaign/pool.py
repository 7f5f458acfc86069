"""Runs a sweep: processes of ``pmom run --resume``, so many at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Protocol

from pmom_mpi import config as configs
from pmom_mpi.campaign import folder, states
from pmom_mpi.campaign.states import FAILED, State
from pmom_mpi.campaign.sweep_file import Planned, Sweep
from pmom_mpi.cluster import launch
from pmom_mpi.cluster.mpirun import with_path
from pmom_mpi.record.provenance import AT_ONCE

LOOK_SECONDS = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Watcher(Protocol):
    """Who wants to see a sweep as it goes."""

    def look(self, pool: Pool) -> None:
        """Called several times a second."""

    def begun(self, run: Planned) -> None: ...

    def ended(self, run: Planned, outcome: str) -> None: ...


@dataclass(frozen=True)
class Options:
    """How a sweep is run.

    Attributes
    ----------
    at_once : int
        Runs at a time.
    ranks : int
        MPI ranks of each; 1: one process.
    stop_first : bool
        Begin no run after one has failed.
    retry : bool
        Run again what has failed before.
    wait : bool
        Wait for runs that somebody else is running, and take over those that he leaves.
    """

    at_once: int = 1
    ranks: int = 1
    stop_first: bool = False
    retry: bool = False
    wait: bool = True


@dataclass
class _Child:
    run: Planned
    process: subprocess.Popen[bytes]
    claim: IO[str]
    stopped: bool = False


@dataclass
class Pool:
    """The runs of a sweep by what has become of them, as they go.

    Attributes
    ----------
    sweep : Sweep
    options : Options
    done : set of str
        Stems of runs that are complete, skipped ones included.
    skipped : set of str
        Of those, the ones that were complete before.
    failed : dict of str to str
        Why, by stem.
    failed_before : set of str
        Of those, the ones that had failed before and were not tried again.
    elsewhere : set of str
        Runs that another process is running.
    arrived : int
        The signal that ends the sweep; 0: none.
    """

    sweep: Sweep
    options: Options
    done: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    failed_before: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    arrived: int = 0
    began: float = field(default_factory=time.monotonic)
    _children: list[_Child] = field(default_factory=list)
    _left: list[Planned] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """128 + signal when one came; else 1 where a run is not complete, or, not waiting for others, one of ours."""
        if self.arrived:
            return 128 + self.arrived
        if not self.options.wait:
            return int(len(self.failed) > len(self.failed_before))
        return int(len(self.done) < len(self.sweep.runs))

    @property
    def running(self) -> list[Planned]:
        return [child.run for child in self._children]

    @property
    def waiting(self) -> int:
        """Runs that are still to be begun."""
        return len(self._left)

    def run(self, watcher: Watcher) -> None:
        """Run all that is not complete; returns when nothing is left, or when a signal has ended all runs."""
        folder.write_configs(self.sweep)
        self._left = list(self.sweep.runs)
        previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            while self._left or self._children:
                self._begin(watcher)
                self._end(watcher)
                watcher.look(self)
                if self._children or self._left:
                    time.sleep(LOOK_SECONDS)
        finally:
            for child in self._children:  # only an error of ours leaves any
                child.process.kill()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.arrived:  # the second one: do not wait for them to save themselves
            for child in self._children:
                child.process.kill()
        self.arrived = number

    def _begin(self, watcher: Watcher) -> None:
        """Begin runs while there is room; what others run stays in line."""
        if self.arrived or (self.options.stop_first and self.failed):
            self._left.clear()
            for child in self._children if self.arrived else ():
                self._stop(child)
            return
        for run in list(self._left):
            if len(self._children) >= self.options.at_once:
                return
            claim = folder.claim(self.sweep.folder, run)
            if claim is None:
                self.elsewhere.add(run.stem)
                if not self.options.wait:
                    self._left.remove(run)
                continue
            self._left.remove(run)
            self.elsewhere.discard(run.stem)
            if self._over(run):
                claim.close()
                continue
            self._children.append(_Child(run, self._start(run, claim), claim))
            watcher.begun(run)

    def _over(self, run: Planned) -> bool:
        """Whether the run is complete, or has failed and is not to be tried again."""
        path = self.sweep.file(run)
        state = states.of_file(path)
        if self._is_complete(run, state):
            self.done.add(run.stem)
            self.skipped.add(run.stem)
            return True
        if state.state == "failed" and not self.options.retry:
            self.failed_before.add(run.stem)
            self.failed[run.stem] = f"{state.message} (before; --retry-failed tries it again)"
            return True
        path.with_suffix(FAILED).unlink(missing_ok=True)
        return False

    def _is_complete(self, run: Planned, state: State) -> bool:
        """Whether a run has all iterations that are wanted, which may be more than it was begun with."""
        return state.complete and state.planned >= run.iterations

    def _start(self, run: Planned, claim: IO[str]) -> subprocess.Popen[bytes]:
        """The run as a process in a group of its own, so that Ctrl-C reaches it through us only.

        It keeps the claim open: should we be killed, the run stays claimed for as long as it goes on.
        """
        config = self.sweep.folder / f"{run.stem}.yaml"
        program = launch.pmom("run", "--resume", str(config))
        variables: Mapping[str, str] = dict.fromkeys(launch.THREAD_VARIABLES, "1")
        environment = dict(os.environ)
        if self.options.ranks > 1:
            survives = configs.from_raw(run.raw, run.stem).transport.fault_tolerant
            alone = self.options.at_once == 1
            command = launch.launch_command(self.options.ranks, program, alone=alone, fault_tolerant=survives)
            program, variables = list(command.words), command.variables
            environment = with_path(program[0])
        inherited = os.environ.get("PYTHONPATH", "")
        environment |= {**variables, AT_ONCE: str(self.options.at_once)}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [*map(str, self.sweep.modules), inherited]))
        with config.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(
                program, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                pass_fds=(claim.fileno(),),
            )  # fmt: skip

    def _stop(self, child: _Child) -> None:
        """Let a run save itself and end. mpirun hands USR1 on and waits; after a TERM it would kill the ranks."""
        if not child.stopped and child.process.poll() is None:
            child.stopped = True
            child.process.send_signal(signal.SIGUSR1 if self.options.ranks > 1 else signal.SIGTERM)

    def _end(self, watcher: Watcher) -> None:
        for child in [child for child in self._children if child.process.poll() is not None]:
            self._children.remove(child)
            outcome = self._outcome(child)
            child.claim.close()
            watcher.ended(child.run, outcome)

    def _outcome(self, child: _Child) -> str:
        """How a run has ended; why it failed is kept, unless its file says it or it can simply go on."""
        run, code = child.run, child.process.returncode
        path = self.sweep.file(run)
        state = states.of_file(path)
        if self._is_complete(run, state):
            self.done.add(run.stem)
            return state.state
        if child.stopped:
            return "stopped"
        if state.state == "failed":
            reason = state.message
        elif code < 0:
            reason = f"killed by {signal.Signals(-code).name}; it goes on when the sweep is started again"
        elif state.state in ("killed", "interrupted") and code != 2:
            reason = f"{state.message or state.state}; it goes on when the sweep is started again"
        else:
            reason = _last_line(path.with_suffix(".log")) or f"exit status {code}"
            path.with_suffix(FAILED).write_text(reason + "\n")
        self.failed[run.stem] = reason
        return f"failed: {reason}"


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("pmom: error: ")]
    return (ours or lines or [""])[-1].removeprefix("pmom: error: ").strip()
