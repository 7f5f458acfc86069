"""What all tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from pmom_mpi.cluster import launch
from pmom_mpi.cluster.mpirun import with_path
from pmom_mpi.data.library import cache_directory, import_dataset

MNIST_BESIDE = Path(__file__).parents[2] / "shared" / "data" / "mnist"
"""Where the real files may lie beside a checkout; without them and without a cache, tests of MNIST are skipped."""

# The first call of a kernel compiles it, which no deadline of hypothesis foresees.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")


@pytest.fixture(scope="session", autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What all jobs find: no width of a terminal, and a folder for temporary files that is taken away afterwards.

    Tests side by side are told the terminal's width, which tables would keep to. Open MPI's launcher does not start
    where another one with its process number has been killed and left its folder.
    """
    tmp_path_factory.getbasetemp()  # what tests have made is kept where it always is
    with (
        TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", folder)
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def mpirun() -> Callable[..., subprocess.CompletedProcess[str]]:
    """``mpirun(ranks, arguments)``: a real job of ``pmom``, or of another program."""

    def start(
        ranks: int, arguments: Sequence[str], module: bool = True, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        command = launch.launch_command(ranks, launch.pmom(*arguments) if module else arguments)
        environment = with_path(command.words[0]) | dict(command.variables)
        return subprocess.run(command.words, capture_output=True, text=True, timeout=timeout, env=environment)

    return start


@pytest.fixture(scope="session")
def _mnist_cache(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A cache with the real MNIST made of the files beside the checkout; None where the user's own has it."""
    if (cache_directory() / "mnist").exists():
        return None
    if not MNIST_BESIDE.is_dir():
        pytest.skip("needs the data set mnist: pmom data get mnist")
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PMOM_DATA_DIR", str(folder))
        import_dataset("mnist", MNIST_BESIDE)
    return folder


@pytest.fixture
def mnist(_mnist_cache: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set ``mnist`` is there, also for jobs that the test starts."""
    if _mnist_cache is not None:
        monkeypatch.setenv("PMOM_DATA_DIR", str(_mnist_cache))
