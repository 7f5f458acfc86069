"""pmom check-operator finds what is wrong, says where, and leaves right operators alone."""

import importlib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pmom_mpi.check.finding import BAD
from pmom_mpi.check.operator import check
from pmom_mpi.cli import main
from pmom_mpi.words.errors import UserError

HERE = Path(__file__).parent
BROKEN = {
    "SmallestK": ("contraction", "random, float32: the error is"),
    "FirstK": ("contraction", "one-hot, float32: the error is 1 |g|^2"),
    "Overflows": ("contraction", "tiny"),
    "TooGood": ("contraction", "the error is"),
    "TooSteady": ("unbiasedness", "the error is"),
    "ForgotTheScale": ("unbiasedness", "leans along g"),
    "LeansABit": ("unbiasedness", "leans along g"),
    "NotZeroAtZero": ("contraction", "zeros, float32: Q(0) is not 0"),
    "WritesGradient": ("gradient", "only reads it"),
    "GlobalRandom": ("global random numbers", "drawn from"),
    "OwnRandom": ("same again, float32", "another payload"),
    "EveryIterationAlike": ("draws", "the same for every iteration"),
    "SharedMemory": ("same again, float32", "another payload"),
    "ScratchMemory": ("beside another node, float32", "carried over"),
    "OwnScratch": ("saved and restored, float64", "goes on otherwise"),
    "GrowingMemory": ("memory, float32", "0.seen is not as init made it"),
    "DropsNaN": ("NaN", "vanishes"),
    "ClampsInfinity": ("infinity", "vanishes"),
    "DoubleValues": ("type of the values", "float64 for random, float32"),
    "MoreThanMost": ("most", "10 for random"),
    "NewArray": ("apply, float32", "changes the gradient in place"),
    "NoStatistics": ("compress, float32", "returned a Message: needs (Message, a tuple"),
    "TooFewNumbers": ("compress, float32", "('kept',)"),
    "PlainArray": ("quantize, float32", "needs (Values, a tuple"),
    "TheoryIsANumber": ("theory", "returned 0.1: needs contractive(alpha)"),
    "InitIsNothing": ("init", "returned None: needs a dict of arrays"),
    "CallsTwice": ("compress", "called 2 times: call it once"),
    "SendsAnother": ("message", "not as compress made it"),
    "ChangesMessage": ("message", "not as compress made it"),
    "Unsorted": ("determinism", "strictly ascending"),
    "Raises": ("purity", "zeros, float32: ZeroDivisionError"),
    "Misreads": ("decode", "add reads 0 at coordinate"),
    "TooSmallBuffers": ("payload", "must say the most"),
}
RIGHT = ["Right", "RightRandom", "RightUnbiased", "RightMemory", "RightFeedback"]


@pytest.fixture(autouse=True)
def own(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.syspath_prepend(str(HERE.parent / "bias"))


def bad(findings):
    return [finding.what for finding in findings if finding.state == BAD]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found(name):
    what, text = BROKEN[name]
    found = [finding for finding in check(f"broken_operators:{name}") if finding.state == BAD]
    assert any(finding.what == what and text in finding.text for finding in found), found


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_one_passes(name):
    assert bad(check(f"broken_operators:{name}")) == []


def built_in():
    """Every kind with the keys of tests/bias; those that need others stand in a config."""
    cases = importlib.import_module("test_every_kind")
    return [(kind, keys) for kind, variants in cases.CASES.items() for keys in variants]


def test_every_built_in_kind_passes():
    for kind, keys in built_in():
        words = [f"{key}={'null' if value is None else value}" for key, value in keys.items()]
        assert bad(check(kind, words)) == [], (kind, keys)


def test_every_broken_one_is_a_case():
    module = importlib.import_module("broken_operators")
    classes = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    assert classes - {"kept", "OffByOne"} == {*BROKEN, *RIGHT}


def test_a_config_stage_by_stage_and_together(tmp_path):
    raw = {
        "iterations": 1, "step_size": 0.1, "problem": {"kind": "mlp", "hidden": [8]},
        "data": {"name": "digits", "nodes": 4},
        "bias": [{"kind": "clip_per_sample", "tau": 1.0}, {"kind": "gaussian_noise", "multiplier": 0.5},
                 {"kind": "ef14"}, {"kind": "scale"}, {"kind": "rand_k", "fraction": 0.2, "scale": "unbiased"},
                 {"kind": "qsgd", "bucket": 16}],
        "downlink": [{"kind": "top_k", "fraction": 0.1}],
    }  # fmt: skip
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(raw))
    findings = check(path)
    assert bad(findings) == []
    assert {"bias[4] unbiasedness", "bias operator", "downlink[0] contraction"} <= {found.what for found in findings}
    own = ["bias.5=broken_operators:PlainArray"]
    assert "bias[5] quantize, float32" in bad(check(path, own))


def test_exit_status_and_table(tmp_path):
    done = CliRunner().invoke(main, ["check-operator", "broken_operators:Right", "-s", "k=90"])
    assert done.exit_code == 0 and "contraction" in done.output
    done = CliRunner().invoke(main, ["check-operator", "broken_operators:SmallestK"])
    assert done.exit_code == 1 and "theory says" in done.output
    for words, said in (
        (["top_k"], "top_k: give exactly one of k and fraction"),
        (["top_k", "-s", "fraction=2"], "top_k.fraction"),
        (["top_k", "-s", "k=1000000000"], "top_k.k: 1000000000 is more than d"),
        (["tops_k"], "tops_k: neither a kind nor a config; did you mean 'top_k'?"),
        (["broken_operators:Nothing"], "cannot import"),
    ):
        done = CliRunner().invoke(main, ["check-operator", *words])
        assert done.exit_code == 2 and said in done.output, done.output


def test_kinds_cannot_be_used_without_what_they_need():
    with pytest.raises(UserError, match="scale.factor: auto needs an unbiased operator"):
        check("scale")
