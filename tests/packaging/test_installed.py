"""The installed package in an empty folder: the first hour of three users, without a checkout."""

from __future__ import annotations

import pytest
import yaml

from pmom_mpi.analysis import read
from pmom_mpi.config import places

SHORT = "-s iterations=6 -s evaluate.every=3"


def test_a_student_runs_looks_and_begins_an_experiment_of_their_own(installed):
    assert "quickstart" in installed("pmom configs")
    installed(f"pmom launch -n 3 quickstart {SHORT}")
    assert "finished" in installed("pmom show results/quickstart-0.h5")
    installed("pmom plot results/quickstart-0.h5 -o curves.png")
    assert (installed.work / "curves.png").stat().st_size > 10_000
    installed("pmom init")
    assert "valid" in installed("pmom validate quickstart.yaml -s bias.0.k=100")
    installed(f"pmom run quickstart.yaml {SHORT} -s momentum.beta=1 -o sgd.h5")
    assert read.load(installed.work / "sgd.h5").config["momentum"]["beta"] == 1


def test_a_student_writes_a_compressor_of_their_own(installed):
    installed("pmom init own-operators")
    source = (installed.work / "my_operators.py").read_text()
    (installed.work / "mine.py").write_text(source)
    changed = (installed.work / "my_operators.yaml").read_text().replace("my_operators:", "mine:")
    (installed.work / "mine.yaml").write_text(changed)
    assert "mine:BlockTop" in installed("pmom bias mine.yaml --nodes 1 --repeats 3")
    installed(f"pmom launch -n 2 mine.yaml {SHORT} -o mine.h5")
    assert read.load(installed.work / "mine.h5").status == "finished"


def test_an_engineer_writes_batch_scripts_and_looks_at_them(installed):
    assert "mpirun" in installed("pmom launch -n 3 --dry-run quickstart")
    asked = "--ntasks-per-node 4 --time 01:00:00 --requeue --dry-run"
    script = installed(f"pmom submit quickstart {asked}")
    assert "#SBATCH --time=01:00:00\n" in script and "pmom launch" in script and "--array" not in script
    installed("pmom init --template sweep")
    assert "20 runs" in installed("pmom sweep sweep.yaml --dry-run")
    script = installed(f"pmom submit sweep.yaml {asked} --array-limit 2")
    assert "#SBATCH --array=" in script and "%2" in script
    assert [path.name for path in installed.work.rglob("*") if path.is_file()] == ["sweep.yaml"]


def test_somebody_with_a_problem_of_their_own(installed):
    installed("pmom init own-problem")
    assert "bad" not in installed("pmom check-problem localization.yaml")
    installed(f"pmom run localization.yaml {SHORT}")
    assert (installed.work / "results" / "localization-0.h5").exists()
    assert "here already" in installed("pmom init own-problem", status=2)


def test_data_beside_a_config_are_found_from_anywhere(installed):
    installed(f"pmom run logistic-svmlight {SHORT} -o svm.h5")
    installed("mkdir away && cd away && pmom init logistic-svmlight")
    installed(f"pmom run away/logistic-svmlight.yaml {SHORT} -o moved.h5")
    moved = read.load(installed.work / "moved.h5").config["data"]["name"]
    assert moved == str(installed.work / "away" / "digits-3-8.svm")


def test_python_in_any_folder(installed):
    script = "import pmom_mpi; done = pmom_mpi.run('quickstart', ['iterations=3'], 'r.h5'); print(done.status)"
    assert "finished" in installed(f'python -c "{script}"')


def test_every_ready_config_is_listed_and_its_parts_are_found(installed):
    listed = installed("pmom configs")
    for name, path in places.ready().items():
        assert name in listed
        assert yaml.safe_load(path.read_text())["iterations"]


def test_a_name_that_is_none_is_one_line_with_the_nearest(installed):
    said = installed("pmom run quickstrat", status=2)
    assert said.splitlines() == [
        "pmom: error: quickstrat: neither a file nor a ready config; did you mean 'quickstart'? "
        "'pmom configs' lists the ready ones"
    ]


def test_a_file_of_the_same_name_goes_before_a_ready_config(installed):
    installed("pmom init quickstart && sed -i 's/^seed: 0/seed: 7/' quickstart.yaml")
    assert "results/quickstart-7.h5" in installed("pmom validate quickstart")


def test_nothing_is_left_behind_when_it_is_removed(installed, environment, wheel):
    installed("pmom run my_operators -s iterations=2 -o own.h5")
    assert list(installed.cache.rglob("*.nbi"))
    installed(f"{environment} -m pip uninstall --yes pmom-mpi")
    try:
        assert list(environment.parents[1].rglob("*pmom*")) == []
    finally:
        installed(f"{environment} -m pip install --no-deps --no-index --force-reinstall {wheel}")


def test_methods_and_seeds_are_a_figure_in_four_commands(installed):
    installed("pmom init --template sweep")
    assert "20 runs" in installed("pmom sweep sweep.yaml --dry-run")
    small = "s/iterations: 200/iterations: 4/; s/every: 10/every: 2/; s/^seeds: 5/seeds: 2/; /^    .*top1:/d"
    installed(f"sed -i '{small}' sweep.yaml")
    assert "4 of 4 done" in installed("pmom sweep sweep.yaml")
    assert "ef14 + scaled_sign" in (said := installed("pmom compare results/sweep")) and said.count("  2  ") >= 2
    installed("pmom plot results/sweep -o sweep.svg")
    assert (installed.work / "sweep.svg").read_text().count("2 seeds") >= 2


@pytest.mark.slow
def test_four_methods_and_five_seeds_are_a_figure_with_bands_in_four_commands(installed):
    installed("pmom init --template sweep")
    assert "20 of 20 done" in installed("pmom sweep sweep.yaml")
    said = installed("pmom compare results/sweep --target test_accuracy=0.88")
    assert len([line for line in said.splitlines() if "  5  " in line]) == 4
    installed("pmom plot results/sweep -x iteration -x bits -o sweep.svg")
    assert (installed.work / "sweep.svg").read_text().count("5 seeds") >= 4
    assert len(installed.lines) < 5
