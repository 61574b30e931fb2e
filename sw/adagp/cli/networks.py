"""Options that say which network, shared by the subcommands that need one: ``--network``, ``--dataset``, ``--model`` and
``--input``, each with several values or None."""

import argparse
import re

from . import UserError
from .user_model import user_model

ALL = "all"
"""Stands for all values of an option."""

SHAPE = "of a sample for each input of --model: such as 3x32x32; int:32 for 32 words"


def shape(text: str) -> tuple[bool, tuple[int, ...]]:
    """Whether these are integers, and the shape."""
    given = re.fullmatch(r"(int:)?([1-9]\d*(?:x[1-9]\d*)*)", text, re.ASCII)
    if not given:
        raise argparse.ArgumentTypeError(f"must be extents of at least 1 such as 3x32x32, or int:32, not {text!r}")
    return bool(given[1]), tuple(map(int, given[2].split("x")))


def models(arguments: argparse.Namespace) -> list:
    """Of each network its title, what makes it, and the shape of a sample."""
    from functools import partial

    from adagp.cost.workloads import workload
    from adagp.models import FORMS, build

    if arguments.model:
        if arguments.network or arguments.dataset:
            raise UserError("--model is instead of --network and --dataset")
        if not arguments.input or len(arguments.input) > 1:
            raise UserError("--model on this project's machine needs one --input, the shape of a sample such as 3x32x32")
        return [(arguments.model, partial(user_model, arguments.model), arguments.input[0][1])]
    models = []
    for network, dataset in pairs(arguments):
        of = workload(dataset)
        if of.form not in ("cifar", "imagenet"):
            raise UserError(f"--dataset on this project's machine must be of images with a class each, not {dataset}")
        fitting = [name for name, forms in FORMS.items() if of.form in forms]
        if network not in fitting:
            raise UserError(f"--network on {dataset} must be one of {', '.join(fitting)}, not {network!r}")
        models.append((f"{network} on {dataset}", partial(build, network, form=of.form, classes=of.classes),
                       (3, *[of.extent_of(network)] * 2)))
    return models


def pairs(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """Networks and data sets by name."""
    from adagp.cost.workloads import DATASETS, workload

    if arguments.input:
        raise UserError("--input is of --model, not of networks by name")
    datasets = list(DATASETS) if arguments.dataset == [ALL] else arguments.dataset
    if arguments.network == [ALL]:
        return [(network, dataset) for dataset in datasets or ["imagenet"] for network in workload(dataset).networks]
    return [(network, dataset) for network in arguments.network or ["vgg13"]
            for dataset in datasets or [_usual_dataset(network)]]


def _usual_dataset(network: str) -> str:
    from adagp.cost.workloads import DATASETS
    from adagp.models import FORMS

    forms = FORMS.get(network, ())
    return next((dataset for dataset in ("imagenet", *DATASETS) if DATASETS[dataset].form in forms), "imagenet")
