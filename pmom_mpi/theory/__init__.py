"""Bounds of docs/theory.md, as functions of numbers. What they are given has the same name in all of them:

iterations : int or ndarray
    K; what is returned has its shape.
gap : float
    f(x^0) - f*, or anything larger.
first_bias : float
    |eta^0|^2, or |b^0|^2 where noise is apart; instead |grad f(x^0)|^2 where the momentum starts from zero.
B, C : float
    Of the affine bias, |eta^k|^2 <= B |grad f(x^k)|^2 + C (of the mean bias b^k where noise is apart); see
    `pmom_mpi.theory.bias`.
smoothness, pl : float
    L and mu.
step_size, beta : float
    gamma, and the momentum's parameter; 1 is SGD.
first_gradient : float, optional
    |grad f(x^0)|^2, for a momentum that starts from zero (``momentum.start: zero``); without it, v^0 = g^0.
values : ndarray, shape (K + 1,)
    f(x^0), ..., f(x^K).

Every bound raises `UserError` when the step size is larger than any with a bound. Certificates have shape (K,): after
1, ..., K iterations.
"""
