"""Multilayer perceptrons of many replicates on plain arrays, for loops that are compiled as a whole.

The same numbers as ``models/stacked_mlp.py`` up to rounding. For small networks, whose arithmetic costs
less than calling a library; larger ones are better off there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from theory_check.kernels.bradley_terry import Floats

ACTIVATIONS = ("tanh", "gelu", "relu", "sigmoid", "silu", "softplus")
"""Names of the activations, in the order of their numbers."""

TANH, GELU, RELU, SIGMOID, SILU = range(5)

SOFTPLUS_THRESHOLD = 40.0
"""From here on softplus is the identity in float64."""

_POWERS_OF_TWO = 2.0 ** np.arange(60)


class Networks(NamedTuple):
    """Networks that differ in their parameters alone: layer after layer, weights, then biases.

    Attributes
    ----------
    inputs
        One row per input, shape (row, input).
    sizes
        Inputs, units of every hidden layer, and outputs, shape (layer + 1,).
    biased
        Whether layers have biases.
    activation
        Place in ``ACTIVATIONS``.
    """

    inputs: Floats
    sizes: NDArray[np.int64]
    biased: bool
    activation: int


class Signals(NamedTuple):
    """What layers hand on, padded to the widest one.

    Attributes
    ----------
    before, after
        Before and after the activation, shape (network, layer, row, unit). The outputs are what is before
        that of the last layer, which has none.
    """

    before: Floats
    after: Floats


@numba.njit(cache=True, error_model="numpy")
def signals_of(networks: Networks, parameters: Floats) -> Signals:
    """Return the signals of all networks on all inputs.

    Parameters
    ----------
    networks
        The networks.
    parameters
        Those of each, shape (network, parameter).
    """
    layers, rows = networks.sizes.size - 1, networks.inputs.shape[0]
    before = np.empty((parameters.shape[0], layers, rows, networks.sizes[1:].max()))
    after = np.empty_like(before)
    for network in range(parameters.shape[0]):
        start = 0
        for layer in range(layers):
            fan_in, fan_out = networks.sizes[layer], networks.sizes[layer + 1]
            biases = start + fan_in * fan_out
            for row in range(rows):
                own = before[network, layer, row, :fan_out]
                for unit in range(fan_out):
                    own[unit] = parameters[network, biases + unit] if networks.biased else 0.0
                received = networks.inputs[row] if layer == 0 else after[network, layer - 1, row]
                for source in range(fan_in):
                    signal = received[source]
                    weights = parameters[network, start + source * fan_out : biases]
                    for unit in range(fan_out):
                        own[unit] += signal * weights[unit]
                if layer < layers - 1:
                    _activate(networks.activation, own, after[network, layer, row, :fan_out])
            start = biases + (fan_out if networks.biased else 0)
    return Signals(before, after)


@numba.njit(cache=True, error_model="numpy")
def add_outputs(networks: Networks, signals: Signals, tables: Floats) -> None:
    """Add the outputs of every network to a table of shape (network, row * output)."""
    outputs = networks.sizes[-1]
    for network in range(tables.shape[0]):
        for row in range(networks.inputs.shape[0]):
            for unit in range(outputs):
                tables[network, row * outputs + unit] += signals.before[network, -1, row, unit]


@numba.njit(cache=True, error_model="numpy")
def add_network_pullback(
    networks: Networks, signals: Signals, cotangents: Floats, factor: float, parameters: Floats
) -> None:
    """Add ``factor`` times the gradient of ``sum(cotangent * outputs)`` to the parameters.

    Parameters
    ----------
    networks
        The networks.
    signals
        Of :func:`signals_of` at these parameters.
    cotangents
        Shape (network, row * output).
    factor
        A number.
    parameters
        Shape (network, parameter); moved in place.
    """
    layers, rows = networks.sizes.size - 1, networks.inputs.shape[0]
    widest = networks.sizes.max()
    gradient = np.empty(parameters.shape[1])
    back = np.empty((2, widest))
    for network in range(parameters.shape[0]):
        gradient[:] = 0.0
        for row in range(rows):
            end, side = parameters.shape[1], 0
            outputs = networks.sizes[layers]
            back[0, :outputs] = cotangents[network, row * outputs : (row + 1) * outputs]
            for layer in range(layers - 1, -1, -1):
                fan_in, fan_out = networks.sizes[layer], networks.sizes[layer + 1]
                biases = end - fan_out if networks.biased else end
                start = biases - fan_in * fan_out
                own = back[side, :fan_out]
                if networks.biased:
                    for unit in range(fan_out):
                        gradient[biases + unit] += own[unit]
                received = (
                    networks.inputs[row] if layer == 0 else signals.after[network, layer - 1, row]
                )
                for source in range(fan_in):
                    signal = received[source]
                    slopes = gradient[start + source * fan_out : biases]
                    for unit in range(fan_out):
                        slopes[unit] += signal * own[unit]
                if layer > 0:
                    for source in range(fan_in):
                        total = 0.0
                        weights = parameters[network, start + source * fan_out : biases]
                        for unit in range(fan_out):
                            total += own[unit] * weights[unit]
                        before = signals.before[network, layer - 1, row, source]
                        slope = _slope(networks.activation, before, received[source])
                        back[1 - side, source] = total * slope
                end, side = start, 1 - side
        for place in range(gradient.size):
            parameters[network, place] += factor * gradient[place]


@numba.njit(cache=True, error_model="numpy")
def _activate(activation, signals, found):  # type: ignore[no-untyped-def]
    if activation == TANH:
        for unit in range(signals.size):
            found[unit] = tanh(signals[unit])
    else:
        for unit in range(signals.size):
            found[unit] = _activated(activation, signals[unit])


@numba.njit(cache=True, error_model="numpy", forceinline=True)
def tanh(x):  # type: ignore[no-untyped-def]
    """Return the hyperbolic tangent, to two roundings; calls of ``math.tanh`` take several times as long.

    The rational functions are those of S. Moshier's Cephes library, ``tanh.c`` and ``exp.c``. Beyond 20
    it is 1 in float64.
    """
    doubled = min(2.0 * abs(x), 40.0)
    number = np.floor(doubled * 1.4426950408889634 + 0.5)
    rest = (doubled - number * 6.93145751953125e-1) - number * 1.42860682030941723212e-6
    square = rest * rest
    odd = rest * (
        (1.26177193074810590878e-4 * square + 3.02994407707441961300e-2) * square
        + 9.99999999999999999910e-1
    )
    even = (
        (3.00198505138664455042e-6 * square + 2.52448340349684104192e-3) * square
        + 2.27265548208155028766e-1
    ) * square + 2.0
    # Of no number there is no power either.
    power = _POWERS_OF_TWO[np.int64(number) if number >= 0.0 else 0]
    exponential = power * (1.0 + 2.0 * odd / (even - odd))
    far = 1.0 - 2.0 / (exponential + 1.0)
    square = x * x
    top = (-9.64399179425052238628e-1 * square - 9.92877231001918586564e1) * square
    top -= 1.61468768441708447952e3
    bottom = (square + 1.12811678491632931402e2) * square + 2.23548839060100448583e3
    bottom = bottom * square + 4.84406305325125486048e3
    near = x + x * square * top / bottom
    return near if abs(x) < 0.625 else math.copysign(far, x)


@numba.njit(cache=True, error_model="numpy")
def _activated(activation, x):  # type: ignore[no-untyped-def]
    if activation == GELU:
        return 0.5 * x * (1.0 + math.erf(x * math.sqrt(0.5)))
    if activation == RELU:
        return max(x, 0.0)
    if activation == SIGMOID:
        return 1.0 / (1.0 + math.exp(-x))
    if activation == SILU:
        return x / (1.0 + math.exp(-x))
    return x if x > SOFTPLUS_THRESHOLD else math.log1p(math.exp(x))


@numba.njit(cache=True, error_model="numpy")
def _slope(activation, x, y):  # type: ignore[no-untyped-def]
    """Return the derivative of an activation at x, where it is y."""
    if activation == TANH:
        return 1.0 - y * y
    if activation == GELU:
        density = math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
        return 0.5 * (1.0 + math.erf(x * math.sqrt(0.5))) + x * density
    if activation == RELU:
        return 1.0 if y > 0.0 else 0.0
    if activation == SIGMOID:
        return y * (1.0 - y)
    chance = 1.0 / (1.0 + math.exp(-x))
    if activation == SILU:
        return chance * (1.0 + x * (1.0 - chance))
    return 1.0 if x > SOFTPLUS_THRESHOLD else chance
