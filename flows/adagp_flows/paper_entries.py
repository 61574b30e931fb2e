"""The figures and tables that are computed, in the order of the page."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A figure or table of the paper's ``section``, or one that belongs there: ``pictures`` and ``tables`` are names of
    files without a suffix."""

    name: str
    title: str
    section: str
    text: str
    pictures: tuple[str, ...]
    tables: tuple[str, ...]


def _figure(section: str, name: str, title: str, text: str, *tables: str) -> Entry:
    """``tables``: by default the one of the same name."""
    return Entry(name=name, title=title, section=section, text=text, pictures=(name,), tables=tables or (name,))


def _table(section: str, name: str, title: str, text: str) -> Entry:
    return Entry(name=name, title=title, section=section, text=text, pictures=(), tables=(name,))


_PIPELINED = (
    "A forward pass is a step, a backward pass two, predictions take none. In Phase GP nothing waits for a backward pass, "
    "and the first batch of Phase BP follows behind without a gap.")
_BARS = (
    "Baseline and three designs, networks in the paper's order, the geometric mean last. Dashed: the paper's average of "
    "ADA-GP-MAX; dotted: its maximum, where the text has one. The paper's bars have no numbers.")
_SYNTHESIS = "The paper's; nox -s synth has this accelerator's beside them."

ENTRIES = (
    Entry(section="3.7", name="figure7", title="Figures 7 to 9: one device", pictures=(), tables=(), text=(
        "A backward pass takes two steps, a forward pass one: a batch of each phase takes 4 + 12 steps in place of 24 for "
        "a network of four layers, and the predictor's 16 alpha.")),
    _figure("3.8", "figure10", "Figure 10: GPipe", _PIPELINED),
    _figure("3.8", "figure11", "Figure 11: DAPPLE", _PIPELINED),
    _figure("3.8", "figure12", "Figure 12: Chimera", _PIPELINED),
    _figure("6.2", "figure16", "Figure 16: VGG13, layer by layer", (
        "Cycles of 90 epochs of ImageNet, baseline against ADA-GP-Efficient. The paper shows the ten convolutions, without "
        "numbers; the last three layers are the classifier.")),
    _figure("6.3", "figure17", "Figure 17: speed-up, weight stationary", _BARS),
    _figure("6.3", "figure18", "Figure 18: speed-up, row stationary", _BARS),
    _figure("6.3", "figure19", "Figure 19: speed-up, input stationary", _BARS),
    _figure("6.3", "output-stationary", "Speed-up, output stationary", "Not in the paper; for completeness."),
    _table("6.3", "convolutions", "Predicting for convolutions alone", (
        "Geometric means over networks, if layers of other kinds are updated in Phase BP alone. The paper does not say "
        "what it does with classifiers; its figure 16 has ten layers of VGG13, which are its convolutions.")),
    _table("6.3", "b-alpha", "b and alpha of every network", (
        "b is the backward pass over the forward pass, alpha the predictor's forward pass over the network's, on the main "
        "array. They decide all speed-ups: if nothing overlaps, a batch of back-propagation takes 1 + b forward passes, "
        "one of Phase BP 1 + b + 3 alpha, one of Phase GP 1 + alpha.")),
    _table("6.3", "ceiling", "What b the paper's maxima ask for", (
        "Sections 3.7 and 6.5 take the backward pass as twice the forward pass, b = 2. That limits the speed-up of the "
        "schedule, even with a predictor that takes no time, to less than these maxima. They ask for a larger b, which "
        "networks have on arrays, as their layers fill these differently in the three passes.")),
    _table("6.4", "table2", "Table 2: Transformer on Multi30k", (
        "Cycles of training; accuracies are not computed here. The paper does not say which design this is.")),
    _table("6.4", "table3", "Table 3: YOLO-v3 on Pascal VOC", "Cycles of training; accuracies are not computed here."),
    _figure("6.5", "figure20", "Figure 20: pipelines of four devices", (
        "Networks of ImageNet, cut into four stages of nearly equal time; batches of 128 in four micro-batches. Bars are "
        "of a batch of Phase GP and one of Phase BP, as the paper's 1.68 is; the table also has the whole schedule with "
        "its warm-up. Dashed: the paper's average; dotted: its maximum.")),
    _table("6.6.1", "equal-resources", "A larger baseline instead", (
        "What a baseline gains from 10 % (power) or 11 % (area) more elements, as the geometric mean over networks.")),
    _table("6.6.1", "table4", "Table 4: FPGA", (
        f"{_SYNTHESIS} No device of the 7 series has 2,407 RAMB36; the largest has 1,880.")),
    _table("6.6.1", "table5", "Table 5: ASIC", _SYNTHESIS),
    _figure("6.6.2", "figure21", "Figure 21: energy", (
        "90 epochs of ImageNet, memory below, arithmetic (hatched) above where the table knows it. Tables are of "
        "different sources and not to be compared; those of CACTI have a buffer and no external memory. The paper's axis "
        "goes to 7 million joules of memory accesses."), "energy-savings", "figure21"),
)
