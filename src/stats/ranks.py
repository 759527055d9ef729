#!/usr/bin/env python3
"""Makes ranks.txt, by which the tests of ranks are checked: python3 ranks.py > ranks.txt

A line is a test: its kind, both sides' values (or the blocks' differences), a bound, the one-sided p values of
the shift being above and below it, the estimate of Hodges and Lehmann. Needs numpy and scipy."""
import numpy as np
from scipy.stats import mannwhitneyu, wilcoxon

random = np.random.default_rng(2026)


def values(count):
    # Of few decimals, so that a line shows precisely what was tested; ties are improbable.
    return np.round(random.normal(0, 1, count), 6)


def words(numbers):
    return " ".join(repr(float(number)) for number in numbers)


for _ in range(40):
    one, other = values(random.integers(1, 13)), np.round(values(random.integers(1, 13)) + 0.8, 6)
    bound = round(float(random.normal(0.8, 0.8)), 6)
    moved = other - bound
    above = mannwhitneyu(moved, one, alternative="greater", method="exact").pvalue
    below = mannwhitneyu(moved, one, alternative="less", method="exact").pvalue
    estimate = np.median(np.subtract.outer(other, one))
    print("independent", words(one), words(other), bound, repr(float(above)), repr(float(below)), repr(float(estimate)), sep="; ")
for _ in range(40):
    differences = np.round(values(random.integers(1, 21)) + 0.5, 6)
    bound = round(float(random.normal(0.5, 0.5)), 6)
    moved = differences - bound
    above = wilcoxon(moved, alternative="greater", method="exact").pvalue
    below = wilcoxon(moved, alternative="less", method="exact").pvalue
    pairs = np.add.outer(differences, differences)[np.triu_indices(len(differences))] / 2
    print("paired", words(differences), "", bound, repr(float(above)), repr(float(below)), repr(float(np.median(pairs))), sep="; ")
