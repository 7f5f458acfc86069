"""Text of the svmlight format to arrays: ``label index:value index:value ... # comment`` a line."""

from __future__ import annotations

import numba
import numpy as np

SPACE, TAB, NEWLINE, RETURN, HASH, COLON, PLUS, MINUS, DOT = 32, 9, 10, 13, 35, 58, 43, 45, 46
ZERO, NINE, UPPER_E, LOWER_E = 48, 57, 69, 101

GOOD, BAD_INDEX, NOT_ASCENDING = range(3)
"""What `parse` found."""

POWERS = 10.0 ** np.arange(23)
"""The powers of ten that float64 holds exactly."""
EXACT = 1 << 53
"""Integers up to this are float64 numbers."""
MAX_INDEX = (1 << 31) - 2


@numba.njit(cache=True)
def count(text):
    """Upper bounds: of the number of samples (lines) and of entries (colons)."""
    lines, colons = 1, 0
    for byte in text:
        lines += byte == NEWLINE
        colons += byte == COLON
    return lines, colons


@numba.njit(cache=True)
def parse(text, labels, starts, indices, values, slow):
    """Read every line of ``text`` that is not empty or only a comment.

    A number of at most 2^53 as an integer with at most 22 places after (or zeros behind) the point is one exact integer
    times or divided by one exact power of ten, so it is rounded once, correctly (Clinger, 1990). Where numbers of
    other forms lie is noted for the caller.

    Parameters
    ----------
    text : ndarray of uint8
        Ends with a newline.
    labels : ndarray of float64, shape (lines,)
    starts : ndarray of int64, shape (lines + 1,)
    indices : ndarray of uint32, shape (entries,)
    values : ndarray of float64, shape (entries,)
        All overwritten.
    slow : ndarray of int64, shape (entries + lines, 3)
        Of a number that is left to the caller: entry (or -1 - sample for a label), first byte, byte behind the last.

    Returns
    -------
    code : int
        One of the constants above.
    place : int
        The byte where the wrong token begins.
    samples, entries, slows : int
    """
    samples, entries, slows = 0, 0, 0
    at = _skip(text, 0)
    while at < text.size:
        if text[at] == NEWLINE or text[at] == HASH:
            at = _skip(text, _line_end(text, at) + 1)
            continue
        end = _token_end(text, at)
        fast, labels[samples] = _number(text, at, end)
        if not fast:
            slow[slows, 0], slow[slows, 1], slow[slows, 2] = -1 - samples, at, end
            slows += 1
        starts[samples] = entries
        samples += 1
        last, at = -1, _skip(text, end)
        while text[at] != NEWLINE and text[at] != HASH:
            end, colon = _token_end(text, at), at
            while colon < end and text[colon] != COLON:
                colon += 1
            if colon == end:
                return BAD_INDEX, at, samples, entries, slows
            if not (colon - at == 3 and text[at] == 113 and text[at + 1] == 105 and text[at + 2] == 100):  # qid
                index = _index(text, at, colon)
                if index < 0:
                    return BAD_INDEX, at, samples, entries, slows
                if index <= last:
                    return NOT_ASCENDING, at, samples, entries, slows
                fast, values[entries] = _number(text, colon + 1, end)
                if not fast:
                    slow[slows, 0], slow[slows, 1], slow[slows, 2] = entries, colon + 1, end
                    slows += 1
                indices[entries] = index
                last = index
                entries += 1
            at = _skip(text, end)
    starts[samples] = entries
    return GOOD, 0, samples, entries, slows


@numba.njit(cache=True)
def _skip(text, at):
    while at < text.size and (text[at] == SPACE or text[at] == TAB or text[at] == RETURN):
        at += 1
    return at


@numba.njit(cache=True)
def _token_end(text, at):
    while text[at] > SPACE and text[at] != HASH:
        at += 1
    return at


@numba.njit(cache=True)
def _line_end(text, at):
    while text[at] != NEWLINE:
        at += 1
    return at


@numba.njit(cache=True)
def _index(text, at, end):
    """A number of digits only; -1 for anything else, and for what is too large."""
    if at == end:
        return -1
    index = 0
    for place in range(at, end):
        digit = np.int64(text[place]) - ZERO
        if digit < 0 or digit > 9:
            return -1
        index = 10 * index + digit
        if index > MAX_INDEX:
            return -1
    return index


@numba.njit(cache=True)
def _number(text, at, end):
    """Whether the number could be read exactly by the simple way, and the number."""
    negative = at < end and text[at] == MINUS
    if at < end and (text[at] == MINUS or text[at] == PLUS):
        at += 1
    mantissa, places, digits, point = 0, 0, 0, False
    while at < end and (text[at] == DOT or ZERO <= text[at] <= NINE):
        if text[at] == DOT:
            if point:
                return False, 0.0
            point = True
        else:
            mantissa = 10 * mantissa + (np.int64(text[at]) - ZERO)
            digits += 1
            places += point
            if mantissa > EXACT:
                return False, 0.0
        at += 1
    if digits == 0:
        return False, 0.0
    if at < end and (text[at] == LOWER_E or text[at] == UPPER_E):
        at += 1
        below = at < end and text[at] == MINUS
        if at < end and (text[at] == MINUS or text[at] == PLUS):
            at += 1
        exponent = _index(text, at, end)
        if exponent < 0:
            return False, 0.0
        places += exponent if below else -exponent
        at = end
    if at != end or abs(places) >= POWERS.size:
        return False, 0.0
    value = float(mantissa)
    value = value / POWERS[places] if places >= 0 else value * POWERS[-places]
    return True, -value if negative else value
