"""The page of `pmom report`: what it says, what it must not do, and how it behaves in a real browser."""

from __future__ import annotations

import copy
import re
import shutil
import time

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pmom_mpi.analysis import read
from pmom_mpi.analysis.concerns import concerns
from pmom_mpi.cli import main
from pmom_mpi.report import page
from pmom_mpi.report.thin import kept
from pmom_mpi.runtime import experiment

from .browser import PROGRAM, Browser

RAW = {
    "name": "seen", "iterations": 12, "step_size": 0.5, "nodes": 4,
    "problem": {"kind": "softmax_regression"}, "data": {"name": "digits", "nodes": 4},
    "momentum": {"kind": "ema", "beta": 0.1}, "bias": [{"kind": "top_k", "fraction": 0.1}],
    "evaluate": {"every": 2}, "record": {"flush_seconds": 0},
}  # fmt: skip
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
RIDGE = {"kind": "least_squares", "positive": [5, 6, 7, 8, 9], "l2": 0.01}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        for beta in (0.1, 1.0):
            raw = copy.deepcopy(RAW) | {"seed": seed, "momentum": {"kind": "ema", "beta": beta}}
            experiment.run(raw, output=made / f"beta{beta}-{seed}.h5")
    return made


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory):
    raw = RAW | {"problem": RIDGE, "diagnostics": {"every": 1}, "step_size": 0.001, "dtype": "float64"}
    return experiment.run(raw, output=tmp_path_factory.mktemp("theory") / "ridge.h5").path


def said(*words):
    done = CliRunner().invoke(main, list(map(str, words)), catch_exceptions=False)
    return done.exit_code, done.output


def test_a_page_of_a_run_and_of_a_folder(folder, diagnosed, tmp_path):
    assert said("report", diagnosed, "-o", tmp_path / "one")[0] == 0
    text = (tmp_path / "one.html").read_text()
    assert "certificate" in text and "Theory" in text and "A2: f is L-smooth" in text
    assert said("report", folder, "-o", tmp_path / "all.html")[0] == 0
    text = (tmp_path / "all.html").read_text()
    assert re.search(r"beta = 0\.1 \(2 seeds\)", text) and "what varies" in text and "4 finished" in text
    assert len(text) < 5_000_000 and not re.search(r"""(src|href)=["'](?!data:)""", text)


def test_what_a_file_holds_is_no_script(folder, tmp_path, request):
    file = tmp_path / "evil.h5"
    shutil.copy(folder / "beta0.1-0.h5", file)
    with h5py.File(file, "r+") as opened:
        opened.attrs["config"] = opened.attrs["config"].replace("name: seen", f'name: "{HOSTILE}"')
        opened.attrs["message"] = HOSTILE
        opened.attrs["status"] = "diverged"
        opened["provenance"].attrs["host"] = HOSTILE
        opened["metrics/train_loss"].attrs["unit"] = HOSTILE
    runs = [read.load(file), read.load(folder / "beta1.0-1.h5")]
    text = page.page(runs, [HOSTILE])
    assert HOSTILE not in text and "<img" not in text and "owned" in text
    assert text.count("<script") == 3 == text.count("</script")
    if PROGRAM:
        place = page.write(text, tmp_path / "evil.html")
        browser = request.getfixturevalue("browser")
        browser.open(place)
        assert browser.run("document.title").startswith("</script>") and not browser.complaints


def test_a_run_of_one_iteration_that_was_not_evaluated(tmp_path):
    run = experiment.run(RAW | {"iterations": 1, "evaluate": {"every": 0}}, output=tmp_path / "one.h5")
    text = page.page([read.load(run.path)])
    assert "first iteration is left out" not in text and " ms</b><small>" in text and "training loss" in text


def test_what_cannot_be_read_is_said_and_the_rest_shown(folder, tmp_path):
    (tmp_path / "junk.h5").write_bytes(b"junk")
    assert said("report", tmp_path / "junk.h5", "-o", tmp_path / "x.html")[0] == 2
    shutil.copy(folder / "beta0.1-0.h5", tmp_path)
    assert said("report", tmp_path, "-o", tmp_path / "x.html")[0] == 0
    assert "junk.h5: not an HDF5 file, or damaged" in (tmp_path / "x.html").read_text()
    code, text = said("report", tmp_path / "beta0.1-0.h5", "-o", tmp_path / "junk.h5" / "x.html")
    assert code == 2 and "cannot write the page" in text


def test_what_is_to_be_minded(folder, tmp_path):
    wild = experiment.run(RAW | {"step_size": 1e39, "momentum": "sgd"}, output=tmp_path / "wild.h5").path
    assert [one.kind for one in concerns(read.load(wild)) if one.weight == "bad"] == ["diverged"]
    shutil.copy(folder / "beta0.1-0.h5", tmp_path / "slow.h5")
    with h5py.File(tmp_path / "slow.h5", "r+") as file:
        rows = len(file["metrics/iteration"])
        for name in ("gradient", "bias", "encode", "send", "evaluate"):
            file[f"workers/{name}"] = np.tile([1.0, 1.0, 4.0], (rows, 1))
        file["workers/wait"] = np.tile([90.0, 3.0, 0.0], (rows, 1))  # those who are not busy
        for name in file["workers"]:
            file[f"workers/{name}"].attrs.update(unit="s", description="", better="", headline=0, role="time")
        file["provenance"].attrs.update(runs_at_once="3")
    kinds = {one.kind: one.what for one in concerns(read.load(tmp_path / "slow.h5"))}
    assert kinds["straggler"] == "rank 3 is busy 4 times as long as the median worker"
    assert kinds["shared machine"].startswith("3 runs")


@given(st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=400), st.integers(4, 100))
def test_thinning_keeps_ends_peaks_and_dips(values, points):
    curve = np.array([values])
    chosen = kept(curve, points)
    assert chosen[0] == 0 and chosen[-1] == len(values) - 1 and len(chosen) <= max(points + 2, 4)
    assert (np.diff(chosen) > 0).all()
    if not np.isnan(curve).any():
        assert curve[0, chosen].max() == curve.max() and curve[0, chosen].min() == curve.min()


@pytest.mark.slow
def test_a_campaign_of_120_runs(folder, tmp_path):
    """Of 2000 iterations each, in at most 5 MB."""
    for place in range(120):
        made = tmp_path / f"r{place}.h5"
        shutil.copy(folder / "beta0.1-0.h5", made)
        with h5py.File(made, "r+") as file:
            text = file.attrs["config"].replace("seed: 0", f"seed: {place % 5}")
            file.attrs["config"] = text.replace("step_size: 0.5", f"step_size: {1 + place // 5}")
            for name, data in file["metrics"].items():
                data.resize(2000, axis=0)
                data[:] = np.arange(2000) if name == "iteration" else np.random.default_rng(place).random(2000)
    began = time.monotonic()
    assert said("report", tmp_path, "-o", tmp_path / "x.html")[0] == 0
    print(f"{time.monotonic() - began:.1f} s, {(tmp_path / 'x.html').stat().st_size / 1e6:.2f} MB")
    assert (tmp_path / "x.html").stat().st_size < 5e6


@pytest.fixture(scope="module")
def browser():
    if PROGRAM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def shown(folder, diagnosed, tmp_path_factory):
    made = tmp_path_factory.mktemp("pages")
    runs = [read.load(path) for path in sorted(folder.glob("*.h5"))]
    return page.write(page.page(runs), made / "all.html"), page.write(
        page.page([read.load(diagnosed)]), made / "one.html"
    )


def test_values_stand_under_the_pointer(browser, shown):
    for place in shown:
        browser.open(place)
        browser.move(*browser.middle(".plot .u-over"))
        told = browser.run("document.getElementById('tip').innerText")
        assert not browser.run("document.getElementById('tip').hidden") and re.search(r"^k = \d+\s", told), told
        loss = float(re.findall(r"\d+\.\d+", told)[0])
        assert 0.01 < loss < 5
    assert browser.complaints == [] and browser.requests == [shown[1].as_uri()]


@pytest.mark.slow
def test_switches_switch(browser, shown):
    browser.open(shown[0])

    def axis():
        return browser.run("document.querySelector('.u-axis') && uPlot ? true : false")

    def paint():
        return browser.run("document.querySelector('.plot canvas').toDataURL().length + ':' + "
                           "document.querySelector('.plot canvas').toDataURL().slice(-4000)")  # fmt: skip

    assert axis()
    seen = [paint()]
    for selector in ("[data-axis=bits]", "[data-axis=seconds]", ".chart .log", "[data-line='0']", "#theme"):
        browser.click(selector)
        seen.append(paint())
        assert seen[-1] != seen[-2], selector
    browser.move(*browser.middle(".plot .u-over"))
    assert re.match(r"[\d.e-]+ s", browser.run("document.getElementById('tip').innerText"))
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    name = browser.run("(s => { s.value = 'gradient_norm'; s.dispatchEvent(new Event('change')); return s.value })"
                       "(document.querySelector('.chart select'))")  # fmt: skip
    browser.settle()
    assert name == "gradient_norm" and paint() != seen[-1] and browser.complaints == []


def test_a_phone_scrolls_down_only_and_dark_is_dark(browser, shown):
    for place in shown:
        browser.open(place, 360, 740, dark=True)
        assert browser.run("document.documentElement.scrollWidth") == 360
        color = browser.run("getComputedStyle(document.body).backgroundColor")
        assert sum(map(int, re.findall(r"\d+", color))) < 150 and browser.complaints == []


@pytest.mark.slow
def test_it_prints(browser, shown):
    browser.open(shown[1], dark=True)
    assert len(browser.ask("Page.printToPDF")["data"]) > 20_000 and browser.complaints == []
    browser.ask("Emulation.setEmulatedMedia", media="print")
    browser.ask("Emulation.setDeviceMetricsOverride", width=688, height=900, deviceScaleFactor=1, mobile=False)
    wide = "(c => c.getBoundingClientRect().right)(document.querySelector('.charts .chart:nth-child(2) canvas'))"
    browser.run("document.querySelectorAll('.u-wrap').forEach(one => one.style.width = '900px')")  # as on a wide screen
    assert browser.run(wide) <= 688 and browser.run("document.documentElement.scrollWidth") == 688
    browser.ask("Emulation.setEmulatedMedia", media="")
