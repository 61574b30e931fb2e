"""Pictures of pipelines, in which every event can be found again."""

from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest

from adagp.cost.pipelines import LayerTime, Pipeline, PipelineCost, timeline
from adagp.spec.config import Design
from adagp.spec.schedule import Phase
from adagp_flows.pipeline_picture import PHASES, draw, figures

BP, GP = Phase.BP, Phase.GP


def texts(path):
    return Counter("".join(element.itertext()) for element in ElementTree.parse(path).iter(
        "{http://www.w3.org/2000/svg}text"))


def pixels(path, colour):
    from matplotlib import image

    picture = (255 * image.imread(path)[..., :3]).round().astype(int)
    return np.count_nonzero((picture == [int(colour[place:place + 2], 16) for place in (1, 3, 5)]).all(-1))


def test_the_papers_figures_have_its_panels_and_steps(tmp_path):
    paths = figures(tmp_path)
    assert [path.name for path in paths] == ["figure10.png", "figure10.svg", "figure11.png", "figure11.svg",
                                             "figure12.png", "figure12.svg"]
    for path, batch, pair, three in zip(paths[1::2], (21, 21, 16), (25, 25, 20), (15, 15, 14)):
        found = texts(path)
        for title in (f"(a) Phase BP: {batch} steps", f"(b) Phase GP: {three} steps",
                      f"(c) from Phase GP to Phase BP: {pair} steps"):
            assert found[title] == 1


@pytest.mark.parametrize("pipeline", Pipeline)
def test_every_micro_batch_is_in_its_cells(tmp_path, pipeline):
    done = timeline(pipeline, [GP, BP], devices=6, micro_batches=6)
    draw({"all": done}, tmp_path / "picture.svg")
    found = texts(tmp_path / "picture.svg")
    for number in (1, 2, 3, 4):           # of Phase GP, and not a label of the time axis
        assert found[str(number)] == 6    # forward on every device
    for number in (6, 7, 8, 9, 11):
        assert found[str(number)] == 12   # forward and backward


def test_colours_say_what_is_done(tmp_path):
    blue, green, orange, purple, black = "#4477aa", "#44aa77", "#ee8866", "#882255", "#222222"
    inks = {}
    for name, phases in (("bp", [BP]), ("gp", [GP])):
        path = tmp_path / f"{name}.png"
        draw({name: timeline(Pipeline.GPIPE, phases, devices=4, micro_batches=4)}, path)
        inks[name] = {colour: pixels(path, colour) for colour in (blue, green, orange, purple, black)}
    for name, used in (("bp", {blue, orange, black}), ("gp", {green, purple})):
        assert {colour for colour, count in inks[name].items() if count > 100} == used
    assert 1.9 < inks["bp"][orange] / inks["bp"][blue] < 2.3  # backward passes are twice as long


def test_a_predictor_array_has_a_lane_of_its_own(tmp_path):
    layers = [LayerTime(forward=20, backward=40, prediction=10, training=30)] * 8
    inks = {}
    for design in (Design.EFFICIENT, Design.MAX):
        runs = {title: timeline(Pipeline.DAPPLE, phases, devices=4, micro_batches=4,
                                costs=PipelineCost.of(layers, 4, design)) for title, phases in PHASES.items()}
        draw(runs, tmp_path / f"{design.name}.png", unit="cycles")
        inks[design] = pixels(tmp_path / f"{design.name}.png", "#882255")
    assert 0 < inks[Design.MAX] < 0.6 * inks[Design.EFFICIENT]  # lower than a row, as long or longer
    draw(runs, tmp_path / "max.svg", unit="cycles")
    assert texts(tmp_path / "max.svg")["time in cycles"] == 1
