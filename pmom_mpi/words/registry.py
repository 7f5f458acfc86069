"""From ``kind: top_k`` in YAML to the class that does it.

Every kind is a dataclass: its fields are the keys that YAML may set, their annotations say what is valid. A kind is
either a name of the tables below or the user's own ``my_package.my_module:MyClass``. Classes are imported only when
used.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import re
import traceback
import typing
from typing import Any

import pydantic

from pmom_mpi.words.errors import UserError

PATTERNS = {r"^[^/\s]+$": "should have no slash and no space"}
"""Of texts, in words."""
PROBLEMS = {
    "mlp": "pmom_mpi.problems.mlp:MLP",
    "softmax_regression": "pmom_mpi.problems.softmax_regression:SoftmaxRegression",
    "cnn": "pmom_mpi.problems.cnn:CNN",
    "torch": "pmom_mpi.problems.torch_model:TorchModel",
    "least_squares": "pmom_mpi.problems.least_squares:LeastSquares",
    "logistic": "pmom_mpi.problems.logistic:Logistic",
    "nonconvex_logistic": "pmom_mpi.problems.logistic:NonconvexLogistic",
    "robust_regression": "pmom_mpi.problems.robust:RobustRegression",
    "phase_retrieval": "pmom_mpi.problems.phase_retrieval:PhaseRetrieval",
    "cartpole": "pmom_mpi.problems.cartpole:CartPole",
    "composite_regression": "pmom_mpi.problems.composite:CompositeRegression",
    "lqr": "pmom_mpi.problems.lqr:LQR",
    "maml_classes": "pmom_mpi.problems.maml_classes:MAMLClasses",
    "maml_sines": "pmom_mpi.problems.maml_sines:MAMLSines",
    "portfolio": "pmom_mpi.problems.composite:Portfolio",
}
BIAS = {
    "none": "pmom_mpi.bias.none:Identity",
    "clip_norm": "pmom_mpi.bias.clipping:ClipNorm",
    "clip_per_sample": "pmom_mpi.bias.clipping:ClipPerSample",
    "clip_value": "pmom_mpi.bias.clipping:ClipValue",
    "clip_smooth": "pmom_mpi.bias.clipping:ClipSmooth",
    "clip_adaptive": "pmom_mpi.bias.clipping:ClipAdaptive",
    "normalize": "pmom_mpi.bias.clipping:Normalize",
    "scale": "pmom_mpi.bias.scale:Scale",
    "gaussian_noise": "pmom_mpi.bias.noise:GaussianNoise",
    "local_momentum": "pmom_mpi.bias.local_momentum:LocalMomentum",
    "ef14": "pmom_mpi.bias.feedback:EF14",
    "ef21": "pmom_mpi.bias.feedback:EF21",
    "ef21_sgdm": "pmom_mpi.bias.feedback:EF21SGDM",
    "top_k": "pmom_mpi.bias.top_k:TopK",
    "rand_k": "pmom_mpi.bias.rand_k:RandK",
    "threshold": "pmom_mpi.bias.threshold:Threshold",
    "adaptive_threshold": "pmom_mpi.bias.threshold:AdaptiveThreshold",
    "power_sgd": "pmom_mpi.bias.power_sgd:PowerSGD",
    "scaled_sign": "pmom_mpi.bias.sign:ScaledSign",
    "sign_majority": "pmom_mpi.bias.sign:SignMajority",
    "qsgd": "pmom_mpi.bias.dithering:QSGD",
    "natural": "pmom_mpi.bias.natural:Natural",
    "terngrad": "pmom_mpi.bias.ternary:TernGrad",
    "cast": "pmom_mpi.bias.cast:Cast",
}
MOMENTUM = {
    "ema": "pmom_mpi.method.momentum:EMA",
    "sgd": "pmom_mpi.method.momentum:SGD",
    "heavy_ball": "pmom_mpi.method.momentum:HeavyBall",
    "nesterov": "pmom_mpi.method.momentum:Nesterov",
}
SCHEDULES = {
    "constant": "pmom_mpi.method.schedules:Constant",
    "step": "pmom_mpi.method.schedules:Step",
    "linear": "pmom_mpi.method.schedules:Linear",
    "cosine": "pmom_mpi.method.schedules:Cosine",
    "inverse_sqrt": "pmom_mpi.method.schedules:InverseSqrt",
}


def build(table: dict[str, str], where: str, raw: Any) -> Any:
    """Make the object that a config section describes.

    Parameters
    ----------
    table : dict
        One of the tables of this module.
    where : str
        The section's path in the config, for messages: ``"bias[0]"``.
    raw : dict or str
        ``{"kind": name, key: value, ...}``; a bare name is short for ``{"kind": name}``.

    Raises
    ------
    UserError
        When the kind is unknown, a key is unknown or missing, or a value has a wrong type or range.
    """
    if isinstance(raw, str):
        raw = {"kind": raw}
    if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
        raise UserError(f"{where}: {raw!r} needs a kind, one of {', '.join(sorted(table))}")
    parameters = {str(name): value for name, value in raw.items() if name != "kind"}
    return construct(_find(table, where, raw["kind"]), where, parameters)


def construct(cls: type, where: str, parameters: dict[str, Any]) -> Any:
    """Check ``parameters`` against the dataclass ``cls`` and make it; raises `UserError` with one clear line."""
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    for name in parameters:
        if name not in known:
            raise UserError(unknown(where, str(name), known))
    try:
        return _checker(cls).validate_python(parameters)
    except pydantic.ValidationError as error:
        raise UserError(explain(where, error)) from None


@functools.cache
def _checker(cls: type) -> pydantic.TypeAdapter[Any]:
    """What checks the fields of a class, made once: it takes a millisecond, and a sweep has thousands of sections."""
    return pydantic.TypeAdapter(cls)


def unknown(where: str, name: str, known: typing.Iterable[str]) -> str:
    """The line for an unknown key, with the nearest known one."""
    known = list(known)
    path = f"{where}.{name}" if where else name
    key, colon, _ = name.partition(":")
    if colon and key in known:
        return f"{path}: YAML wants a blank after the colon: '{key}: {name[len(key) + 1 :] or 'value'}'"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known) or 'no keys'}"
    return f"{path}: unknown key; {hint}"


def value(annotation: Any, where: str, raw: Any) -> Any:
    """Check a single value against a type annotation; raises `UserError` with one clear line."""
    try:
        return pydantic.TypeAdapter(annotation).validate_python(raw)
    except pydantic.ValidationError as error:
        raise UserError(explain(where, error)) from None


def explain(where: str, error: pydantic.ValidationError) -> str:
    """A validation error's first complaint as one line: key, what is wrong, value."""
    first = error.errors()[0]
    # Behind the key, pydantic also names the branch of a union it tried; only positions in lists mean something here.
    key = [str(part) for place, part in enumerate(first["loc"]) if place == 0 or isinstance(part, int)]
    path = ".".join([where, *key] if where else key)
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("a valid tuple", "a list")
    message = re.sub(r"(should be a valid \w+), (unable to parse|got) .*", r"\1", message)
    if first["type"] == "missing":
        return f"{path}: this key is required"
    if first["type"] == "value_error" and isinstance(first["input"], dict):
        return f"{path}: {message}"
    if first["type"] == "string_pattern_mismatch":
        pattern = first["ctx"]["pattern"]
        message = PATTERNS.get(pattern, f"should be like {pattern}")
    given = "empty" if first["input"] is None else repr(first["input"])
    return f"{path}: {message[0].lower()}{message[1:]}, not {given}"


def _find(table: dict[str, str], where: str, kind: str) -> type:
    target = kind if ":" in kind else table.get(kind)
    if target is None:
        near = difflib.get_close_matches(kind, table, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(
            f"{where}.kind: unknown kind {kind!r}; {hint}known: {', '.join(sorted(table))}, or your own 'module:Class'"
        )
    module = target.partition(":")[0]
    if not module or module.startswith("."):  # importlib has no word for these, it raises ValueError or TypeError
        raise UserError(f"{where}.kind: {kind!r} names no module; write 'my_package.my_module:MyClass'")
    found = imported(f"{where}.kind", target, kind)
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise UserError(f"{where}.kind: {kind!r} must have a method {missing}, as its base class says")
    if not dataclasses.is_dataclass(found) or not isinstance(found, type):
        raise UserError(f"{where}.kind: {kind!r} is not a dataclass, so its keys are unknown")
    return found


def imported(where: str, target: str, name: str) -> Any:
    """What ``module:attribute`` stands for, which the config calls ``name``; often the user's own.

    Raises
    ------
    UserError
        When there is no such thing, or its module does not run: that names the line of the module.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise UserError(f"{where}: cannot import {name!r}: {error}") from None
    except Exception as error:  # whatever the module does
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{place.filename}:{place.lineno}: {type(error).__name__}: {error}"
        raise UserError(f"{where}: cannot import {name!r}: {said}") from None
