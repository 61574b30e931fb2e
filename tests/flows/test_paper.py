"""The paper's evaluation: what comes out, what it is compared with, and what is left in the folder."""

import csv
import json
import math
import re
import sys
from html.parser import HTMLParser
from statistics import geometric_mean
from types import ModuleType

import pytest

from adagp.cost.energy import TABLES
from adagp.cost.grid import network_cost
from adagp.cost.schedules import Shares
from adagp.cost.workloads import CLASSIFIERS, DATASETS
from adagp.spec.config import Design
from adagp_flows import paper, paper_page
from adagp_flows.paper_entries import ENTRIES
from adagp_flows.paper_evaluation import batches_of_epoch, evaluate, values
from adagp_flows.paper_published import PUBLISHED, REASONS, TITLES
from adagp_flows.paper_reasons import _needed_gp, _near_epochs, compare, needed_b
from adagp_flows.paper_tables import tables

pytestmark = pytest.mark.xdist_group("paper")  # evaluated once

RTL = [{"layer": "3×3 <16>", "pass": "forward", "design": "baseline", "model_cycles": 1100, "rtl_cycles": 1000,
        "model_bytes": 400, "rtl_bytes": 400}]


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(lambda text: None)


@pytest.fixture(scope="module")
def folder(evaluation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    paper.write(evaluation, RTL, folder, lambda text: None)
    return folder


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)


# the report

def test_report_has_every_speedup_and_its_geometric_mean(report):
    assert list(report["speedup"]) == list(DATASETS)
    for dataset, flows in report["speedup"].items():
        assert list(flows) == ["WS", "RS", "IS", "OS"]
        for flow, designs in flows.items():
            assert list(designs) == ["LOW", "EFFICIENT", "MAX"]
            for speedups in designs.values():
                networks = [name for name in speedups if name != "geomean"]
                assert networks == list(DATASETS[dataset].networks) and all(0.9 < speedups[name] < 2 for name in networks)
                assert speedups["geomean"] == pytest.approx(geometric_mean(speedups[name] for name in networks))
            assert all(designs["LOW"][name] <= designs["EFFICIENT"][name] for name in designs["LOW"])


def test_pipelines_take_the_papers_steps(report):
    for name, baseline, pair, speedup, whole in (("gpipe", 21, 25, 1.68, 1.628), ("dapple", 21, 25, 1.68, 1.628),
                                                 ("chimera", 16, 20, 1.60, 1.556)):
        own = report["pipeline"][name]
        assert (own["baseline_steps"], own["pair_steps"]) == (baseline, pair) and set(own) == {
            "baseline_steps", "pair_steps", "speedup", "speedup_with_warmup"}
        assert round(own["speedup"], 3) == speedup and round(own["speedup_with_warmup"], 3) == whole
    assert list(report["pipeline"]) == ["gpipe", "dapple", "chimera"]


def test_report_has_savings_by_table_and_rows_of_the_rtl_as_they_were_measured(report):
    assert list(report["energy_saving"]) == list(TABLES) and report["rtl_check"] == RTL
    for savings in report["energy_saving"].values():
        assert list(savings) == [*CLASSIFIERS, "mean"]
        assert savings["mean"] == pytest.approx(sum(savings[name] for name in CLASSIFIERS) / len(CLASSIFIERS))
        assert all(0.2 < saving < float(Shares.paper().gp) for saving in savings.values())  # all of Phase GP would be that


def test_weight_stationary_averages_are_within_0_02_of_the_papers(report):
    for dataset, average in (("cifar10", 1.46), ("cifar100", 1.46), ("imagenet", 1.48)):
        assert abs(report["speedup"][dataset]["WS"]["MAX"]["geomean"] - average) < 0.02


# the published numbers

def test_every_figure_and_table_of_sections_6_2_to_6_6_has_an_entry():
    names = {entry.name for entry in ENTRIES if re.match("6.[2-6]", entry.section)}
    assert names >= {*(f"figure{number}" for number in range(16, 22)), *(f"table{number}" for number in range(2, 6))}
    assert {"figure10", "figure11", "figure12"} <= {entry.name for entry in ENTRIES if entry.section == "3.8"}
    assert set(claim.entry for claim in PUBLISHED) <= {entry.name for entry in ENTRIES}


def test_every_published_number_has_one_of_ours(evaluation):
    keys = [claim.key for claim in PUBLISHED]
    assert len(set(keys)) == len(keys) and set(keys) <= set(values(evaluation))
    assert all(math.isfinite(value) for value in values(evaluation).values())


def test_every_reason_is_given_and_only_where_something_differs(evaluation):
    comparisons = compare(evaluation)
    assert {each.published.reason for each in comparisons if not each.agrees} == set(REASONS)
    for each in comparisons:
        assert bool(each.reason) is not each.agrees and not re.search("[{}]|nan|inf ", each.reason), each.reason
        assert each.agrees == (abs(each.ours - each.published.value) <= each.published.step / 2 + 1e-9)


def test_what_a_speedup_asks_for_gives_it():
    for b in (1.5, 2, 4.1):
        assert needed_b(float(Shares.paper().speedup(b))) == pytest.approx(b)
    for gp in (0.2, 0.5):
        assert _needed_gp(Shares(warmup=0, bp=1 - gp, gp=gp).speedup(2.1, 0.03), 2.1, 0.03) == pytest.approx(gp)
    assert [_near_epochs(float(Shares.paper(epochs).gp)) for epochs in (12, 30, 90)] == [12, 30, 90]


def test_maxima_above_the_ceiling_name_networks_that_have_the_b(evaluation, folder):
    rows = list(csv.DictReader((folder / "ceiling.csv").open()))
    assert len(rows) == 6 and all(float(row["limit with b = 2"]) == pytest.approx(270 / 184.27, abs=1e-3) for row in rows)
    for row in rows:
        dataset = {"CIFAR10": "cifar10", "CIFAR100": "cifar100", "ImageNet": "imagenet"}[row["data set"]]
        able = {name for name, result in evaluation.grid.networks[dataset].items()
                if float(Shares.paper().speedup(result.b[row["dataflow"]])) >= float(row["paper's maximum"])}
        named = {part.rsplit(" ", 1)[0] for part in row["networks with that b"].split(", ")}
        assert able and {TITLES[name] for name in able} == named


def test_layers_of_vgg13_add_up_to_the_network(evaluation):
    cost, run = network_cost("imagenet", "vgg13"), 90 * batches_of_epoch("imagenet")
    baseline = sum(layer.baseline for layer in evaluation.layers)
    ours = sum(layer.warmup + layer.bp + layer.gp for layer in evaluation.layers)
    assert baseline == pytest.approx(run * cost.mean_cycles(Design.BASELINE, Shares.paper()))
    assert ours == pytest.approx(run * cost.mean_cycles(Design.EFFICIENT, Shares.paper()))
    assert batches_of_epoch("imagenet") == 10_010 and len(evaluation.layers) == 13


# what is left

def test_every_entry_has_its_pictures_and_tables(folder):
    for entry in ENTRIES:
        for name in entry.pictures:
            assert all((folder / f"{name}{suffix}").stat().st_size > 10_000 for suffix in (".png", ".svg"))
        for name in entry.tables:
            head, *rows = csv.reader((folder / f"{name}.csv").open())
            assert rows and all(len(row) == len(head) for row in rows)
    assert {"claims.png", "claims.csv", "rtl-check.csv"} <= {path.name for path in folder.iterdir()}


class Page(HTMLParser):
    """Opens and closes every element, and knows its links and pictures."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.pictures, self.anchors, self.text = [], [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        self.links += [attributes["href"]] if "href" in attributes else []
        self.pictures += [attributes["src"]] if "src" in attributes else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_needs_nothing_else(folder):
    text = (folder / "index.html").read_text()
    found = Page(text)
    assert not found.open and "http" not in text and "<script" not in text and len(text) < 2_000_000
    assert len(found.pictures) == 1 + sum(len(entry.pictures) for entry in ENTRIES)
    assert all(picture.startswith("data:image/png;base64,") for picture in found.pictures)
    for link in found.links:
        assert link[1:] in found.anchors if link.startswith("#") else (folder / link).exists()


def test_page_tells_every_number_reason_and_deviation(evaluation, folder):
    shown = "".join(Page((folder / "index.html").read_text()).text)
    for each in compare(evaluation):
        assert each.published.what in shown and each.reason in shown
    assert "3×3 <16>" in shown and "10.000" in shown  # the model's cycles are off by ten per cent


def test_without_rtl_the_page_has_no_such_section(evaluation, folder):
    own = tables(evaluation, compare(evaluation), [])
    assert "rtl-check" in (folder / "index.html").read_text()
    assert "rtl-check" not in paper_page.page(compare(evaluation), own, folder, "")


def test_failed_run_leaves_the_former_result(evaluation, folder, tmp_path, monkeypatch):
    def draw(evaluation, comparisons, folder, progress):
        (folder / "figure17.png").write_text(str(len(list(folder.iterdir()))))

    monkeypatch.setattr(paper.paper_pictures, "draw", draw)
    monkeypatch.setattr(paper, "page", lambda *_: "page")
    paper.write(evaluation, [], tmp_path, lambda text: None)
    assert {"index.html", "report.json", "figure17.png", "figure17.csv"} <= {path.name for path in tmp_path.iterdir()}
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_):
        raise RuntimeError("no page")

    monkeypatch.setattr(paper, "page", fail)
    with pytest.raises(RuntimeError, match="no page"):
        paper.write(evaluation, RTL, tmp_path, lambda text: None)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.fixture
def quick(evaluation, monkeypatch):
    """The command with what has been evaluated; what it writes is left out."""
    written = []
    monkeypatch.setattr(paper, "evaluate", lambda progress: evaluation)
    monkeypatch.setattr(paper, "write", lambda evaluation, rtl, folder, progress: written.append((rtl, folder)))
    return written


def test_command_measures_random_layers_on_the_rtl(quick, monkeypatch, capsys, tmp_path):
    asked = []

    def measure(*, seed, count, progress):
        asked.append((seed, count))
        progress(RTL[0])
        return [row | {"more": 1} for row in RTL]

    module = ModuleType("adagp_flows.machine_check")
    module.measure = measure
    monkeypatch.setitem(sys.modules, "adagp_flows.machine_check", module)
    monkeypatch.setattr("adagp_flows.machine_check", module, raising=False)
    assert paper.main(["--seed", "3", "--rtl-cases", "5", "-o", str(tmp_path)]) == 0
    assert asked == [(3, 5)] and quick == [([row | {"more": 1} for row in RTL], tmp_path)]
    assert "3×3 <16>, forward, baseline: 1,100 cycles, RTL 1,000" in capsys.readouterr().out
    assert paper.main(["--without-rtl"]) == 0 and quick[1][0] == [] and len(asked) == 1


def test_no_layers_on_the_rtl_are_refused(quick, capsys):
    with pytest.raises(SystemExit):
        paper.main(["--rtl-cases", "0"])
    assert capsys.readouterr().err == "paper: --rtl-cases must be at least 1, not 0\n" and not quick
