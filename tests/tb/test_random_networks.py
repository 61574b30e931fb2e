"""A sample of the random networks on random configurations; ``nox -s fuzz`` runs two hundred."""

import pytest

from adagp_tb.fuzz import NETWORKS_PER_CONFIG, compare
from adagp_tb.random_networks import random_config


@pytest.mark.parametrize("group", (1, 14, 19))
def test_training_on_rtl_and_golden_machine_agree_in_every_bit(group):
    first = group * NETWORKS_PER_CONFIG
    for seed in range(first, first + 4):
        print(compare(seed, random_config(group)))
