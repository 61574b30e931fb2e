"""What the paper states in numbers, and why what is computed here differs.

Bars of its figures have no numbers: of figures 17 to 21 the text tells averages and maxima, which are here.
"""

from dataclasses import dataclass

TITLES = {
    "resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152", "inceptionv4": "Inception-V4",
    "inceptionv3": "Inception-V3", "vgg13": "VGG13", "vgg16": "VGG16", "vgg19": "VGG19", "densenet121": "DenseNet121",
    "densenet161": "DenseNet161", "densenet169": "DenseNet169", "densenet201": "DenseNet201", "mobilenetv2": "MobileNet-V2",
    "transformer": "Transformer", "yolov3": "YOLO-v3"}
DATASET_TITLES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "imagenet": "ImageNet", "multi30k": "Multi30k", "voc": "Pascal VOC"}
PIPELINE_TITLES = {"gpipe": "GPipe", "dapple": "DAPPLE", "chimera": "Chimera"}
DATAFLOW_TITLES = {"WS": "weight stationary", "RS": "row stationary", "IS": "input stationary", "OS": "output stationary"}
DESIGN_TITLES = {"BASELINE": "Baseline", "LOW": "ADA-GP-LOW", "EFFICIENT": "ADA-GP-Efficient", "MAX": "ADA-GP-MAX"}

REASONS = {
    "mean": "What b and the predictor's time make of the paper's schedule: on {flow} the networks' b goes from {low_b:.2f} "
            "({low}) to {top_b:.2f} ({top}) and is below 2 in {below} of {networks}. A predictor that takes no time would give "
            "{free:.3f}; the paper's average then asks for b = {needed:.2f}.",
    "predictor_array": "On ImageNet, a predictor that takes no time would give {free:.3f}. Predicting costs most in {worst}, {loss:.1%}: "
                       "for its layer {layer} with {weights:.0f} million weights, the {elements} elements of the predictor's array "
                       "need {ratio:.1f} times as long as the main array for the forward pass. Without the VGGs: {without_vgg:.3f}.",
    "outlier": "{top} alone, with b = {top_b:.2f}, lifts the mean from {without:.3f}.",
    "maximum": "With b = 2 no network can be above {ceiling:.3f} in this schedule; {paper} asks for b = {needed:.2f} and more, even "
               "if the predictor took no time. Ours is {top}, whose b is {top_b:.2f}, so its own limit is {top_limit:.3f}.",
    "depthwise": "With b = 2 no network can be above {ceiling:.3f} in this schedule; {paper} asks for b = {needed:.2f}. Ours is "
                 "MobileNet-V2, b = {top_b:.2f}: its depthwise convolutions leave most of the array empty, above all in the weight "
                 "gradient, and have b = {depthwise_b:.2f}, all other layers together {other_b:.2f}. How the paper maps them "
                 "it does not say.",
    "stages": "Equal steps with b = 2 give {steps}, and that comes out. Networks have other b, and stages differ: {top} has b = {top_b:.2f} and "
              "reaches {ours:.3f}; without it the maximum is {without:.3f}.",
    "stages_mean": "In the paper's equal steps only the predictor can bring the average below {steps}, by {paper_loss:.1%}; its alpha "
                   "there is not known. Here it costs {loss:.1%} (without it {free:.3f}), as MAX does its work beside the passes, and "
                   "b is each network's own: without {top} the average is {without:.3f}.",
    "length": "Not known: the paper states neither epochs nor batch. Ours are {epochs} epochs of {samples:,} samples in batches of "
              "{batch}; its baseline would be {equal:,.1f} epochs of ours.",
    "share": "Not known. With our b = {b:.2f} and alpha = {alpha:.3f} a speed-up of {paper} takes Phase GP in {gp:.0%} of batches, "
             "where the paper's schedule has {paper_gp:.0%} in 90 epochs; a run of {near} epochs would have as many.",
    "pair": "Not known. If MAX hides the predictor, table 3 means Phase GP in {gp:.0%} of batches, as in a run of {near} epochs, and "
            "alpha = {implied:.3f}; our alpha is {alpha:.4f} with batches of {batch} and comes nearest with batches of {near_batch} "
            "({near_alpha:.3f}), as the predictor's work does not grow with the batch.",
    "shapes": "Not known. Of all near-square arrays of {elements} elements at most, the worst ({worst}) gains {least:.1f} % and the best "
              "({best}) {most:.1f} %, since edges of layers fit one better than another; ours is their mean.",
    "energy": "Phase GP is {gp:.1%} of the batches, so 34 % asks for batches that spend {needed:.0%} less there. Ours spend {saves:.0%} "
              "less: the forward pass is a third of all accesses. Of the tables here, designs EFFICIENT and MAX, averages go from "
              "{least:.1f} % to {most:.1f} %.",
}
"""Texts with places for what was computed; :mod:`adagp_flows.paper_reasons` fills them."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number of the paper: ``value`` is printed in multiples of ``step``; ``key`` names what it is compared with,
    ``entry`` the figure or table it belongs to. ``reason`` is a key of REASONS, None where nothing differs."""

    key: str
    what: str
    section: str
    entry: str
    value: float
    step: float
    unit: str = ""
    reason: str | None = None


def _speedups(dataflow: str, entry: str, section: str, means: dict[str, tuple[float, str | None]],
              maxima: dict[str, tuple[float, str]]) -> tuple[Published, ...]:
    return tuple(
        Published(key=f"speedup/{dataset}/{dataflow}/{kind}", section=section, entry=entry, value=value, step=0.01, reason=reason,
                  what=f"{dataflow}, {DATASET_TITLES[dataset]}: {title} of ADA-GP-MAX over networks")
        for kind, title, values in (("mean", "average", means), ("maximum", "maximum", maxima))
        for dataset, (value, reason) in values.items())


def _pipeline(name: str, section: str, steps: tuple[int, int], maximum: float, mean: float) -> tuple[Published, ...]:
    title, key = PIPELINE_TITLES[name], f"pipeline/{name}"
    figure = {"gpipe": "figure10", "dapple": "figure11", "chimera": "figure12"}[name]
    return (
        Published(key=f"{key}/baseline", what=f"{title}: steps of a batch", section=section, entry=figure, value=steps[0], step=1),
        Published(key=f"{key}/pair", what=f"{title}: steps of a batch of Phase GP and one of Phase BP", section=section, entry=figure,
                  value=steps[1], step=1),
        Published(key=f"{key}/steps", what=f"{title}: two batches' steps over those", section=section, entry=figure, value=maximum,
                  step=0.01),
        Published(key=f"{key}/maximum", what=f"{title}: maximum over networks", section=section, entry="figure20", value=maximum,
                  step=0.01, reason="stages"),
        Published(key=f"{key}/mean", what=f"{title}: average over networks", section=section, entry="figure20", value=mean,
                  step=0.001, reason="stages_mean"))


PUBLISHED = (
    Published(key="pair/speedup", what="24 steps of two batches over 16, predictor aside", section="3.7", entry="figure7",
              value=24 / 16, step=0.01),
    *_speedups("WS", "figure17", "6.3", {"cifar10": (1.46, "outlier"), "cifar100": (1.46, "outlier"), "imagenet": (1.48, "predictor_array")},
               {"cifar10": (1.51, "depthwise"), "cifar100": (1.51, "depthwise"), "imagenet": (1.58, "depthwise")}),
    *_speedups("RS", "figure18", "6.3", {"cifar10": (1.46, "mean"), "cifar100": (1.46, "mean"), "imagenet": (1.47, "mean")},
               {"cifar10": (1.48, "maximum"), "cifar100": (1.48, "maximum"), "imagenet": (1.48, "maximum")}),
    *_speedups("IS", "figure19", "6.3", {"cifar10": (1.46, "mean"), "cifar100": (1.46, "mean"), "imagenet": (1.48, "mean")}, {}),
    Published(key="run/transformer/BASELINE", what="Transformer, baseline: cycles of training", section="6.4", entry="table2",
              value=1245.87e9, step=0.01e9, unit="cycles", reason="length"),
    Published(key="run/transformer/EFFICIENT", what="Transformer, ADA-GP: cycles of training", section="6.4", entry="table2",
              value=1104.31e9, step=0.01e9, unit="cycles", reason="length"),
    Published(key="speedup/transformer/EFFICIENT", what="Transformer: ADA-GP, ours ADA-GP-Efficient", section="6.4", entry="table2",
              value=1.13, step=0.01, reason="share"),
    Published(key="run/yolov3/BASELINE", what="YOLO-v3, baseline: cycles of training", section="6.4", entry="table3",
              value=11_490_248e9, step=1e9, unit="cycles", reason="length"),
    Published(key="run/yolov3/EFFICIENT", what="YOLO-v3, ADA-GP-Efficient: cycles of training", section="6.4", entry="table3",
              value=9_846_579e9, step=1e9, unit="cycles", reason="length"),
    Published(key="run/yolov3/MAX", what="YOLO-v3, ADA-GP-MAX: cycles of training", section="6.4", entry="table3",
              value=9_134_071e9, step=1e9, unit="cycles", reason="length"),
    Published(key="speedup/yolov3/EFFICIENT", what="YOLO-v3: ADA-GP-Efficient", section="6.4", entry="table3", value=1.17, step=0.01,
              reason="pair"),
    Published(key="speedup/yolov3/MAX", what="YOLO-v3: ADA-GP-MAX", section="6.4", entry="table3", value=1.26, step=0.01, reason="pair"),
    *_pipeline("gpipe", "6.5.1", (21, 25), 1.68, 1.654),
    *_pipeline("dapple", "6.5.2", (21, 25), 1.68, 1.654),
    *_pipeline("chimera", "6.5.3", (16, 20), 1.6, 1.575),
    *(Published(key=f"equal/{resource}/{dataset}", what=f"{DATASET_TITLES[dataset]}: baseline with {extra} % more elements, the {resource} "
                "of ADA-GP-MAX", section="6.6.1", entry="equal-resources", value=value, step=0.01, unit="%", reason="shapes")
      for resource, extra, values in (("power", 10, {"cifar10": 4.31, "cifar100": 4.3, "imagenet": 4.47}),
                                      ("area", 11, {"cifar10": 4.63, "cifar100": 4.61, "imagenet": 5.53}))
      for dataset, value in values.items()),
    Published(key="energy/mean", what="memory energy saved on average (ours: ADA-GP-Efficient, table horowitz-low)", section="6.6.2",
              entry="figure21", value=34, step=1, unit="%", reason="energy"),
    Published(key="speedup/mean", what="average speed-up (WS, three data sets)", section="7", entry="figure17", value=1.47, step=0.01,
              reason="predictor_array"),
)

EXTRA_ELEMENTS = {"power": 0.10, "area": 0.11}
"""Of a baseline with as much power or area as design MAX (section 6.6.1), as shares of its 180."""

CEILING_CLAIMS = tuple(claim for claim in PUBLISHED if claim.reason in ("maximum", "depthwise"))
"""Speed-ups that are impossible with b = 2."""

FPGA = {
    "columns": ("LUTs", "registers", "RAMB36", "RAMB18", "DSP48E1", "power W"),
    "BASELINE": (472_004, 31_402, 1_327, 514, 166, 3.712), "LOW": (489_286, 31_856, 1_327, 514, 166, 3.745),
    "EFFICIENT": (493_171, 31_916, 2_407, 514, 166, 3.844), "MAX": (494_080, 37_452, 2_407, 514, 246, 3.856)}
"""Table 4."""

ASIC = {"columns": ("total area", "power µW"), "BASELINE": (2_982_691, 2.24e5), "LOW": (3_035_954, 2.26e5),
        "EFFICIENT": (3_062_890, 2.25e5), "MAX": (3_231_136, 2.54e5)}
"""Table 5."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A figure or table: ``pictures`` and ``tables`` are names of files without a suffix."""

    name: str
    title: str
    section: str
    text: str
    pictures: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


def _figure(number: int, title: str, section: str, text: str) -> Entry:
    name = f"figure{number}"
    return Entry(name=name, title=f"Figure {number}: {title}", section=section, text=text, pictures=(name,), tables=(name,))


_BARS = ("Baseline and three designs, in the paper's order of networks, the geometric mean last. Dashed: the paper's average of "
         "ADA-GP-MAX; dotted: its maximum, where the text has one. Bars of the paper have no numbers.")
_PIPELINED = ("Forward pass one step, backward pass two, predictions none. In Phase GP nothing waits for a backward pass, and "
              "the first batch of Phase BP follows behind without a gap.")

ENTRIES = (
    Entry(name="figure7", title="Figures 7 to 9: one device", section="3.7",
          text="A backward pass takes two steps, a forward pass one: a batch of each phase takes 4 + 12 steps in place of 24 for a "
               "network of four layers, and the predictor's 16 alpha."),
    _figure(10, "GPipe", "3.8", _PIPELINED), _figure(11, "DAPPLE", "3.8", _PIPELINED), _figure(12, "Chimera", "3.8", _PIPELINED),
    _figure(16, "VGG13, layer by layer", "6.2", "Cycles of 90 epochs of ImageNet, baseline against ADA-GP-Efficient. The paper shows the "
            "ten convolutions, without numbers; the last three layers are the classifier."),
    _figure(17, "speed-up, weight stationary", "6.3", _BARS), _figure(18, "speed-up, row stationary", "6.3", _BARS),
    _figure(19, "speed-up, input stationary", "6.3", _BARS),
    Entry(name="output-stationary", title="Speed-up, output stationary", section="6.3", pictures=("output-stationary",),
          tables=("output-stationary",), text="Not in the paper; for completeness."),
    Entry(name="b-alpha", title="b and alpha of every network", section="6.3", tables=("b-alpha",),
          text="b is the backward pass over the forward pass, alpha the predictor's forward pass over the network's, on the main array. "
               "They decide all speed-ups: without overlap a schedule with shares of batches gives (1 + b) / (sum of shares times 1 + alpha in "
               "Phase GP, 1 + b + 3 alpha elsewhere)."),
    Entry(name="ceiling", title="What b the paper's maxima ask for", section="6.3", tables=("ceiling",),
          text="Sections 3.7 and 6.5 take the backward pass as twice the forward pass, b = 2. That limits the speed-up of the schedule, even "
               "with a predictor that takes no time, to less than these maxima. They need a larger b, which networks have on arrays, as "
               "their layers fill these differently in the three passes."),
    Entry(name="table2", title="Table 2: Transformer on Multi30k", section="6.4", tables=("table2",), text="Cycles of training; accuracies "
          "are not computed here. The paper does not say which design this is."),
    Entry(name="table3", title="Table 3: YOLO-v3 on Pascal VOC", section="6.4", tables=("table3",), text="Cycles of training; accuracies "
          "are not computed here."),
    _figure(20, "pipelines of four devices", "6.5", "Networks of ImageNet, cut into four stages of nearly equal time, batches of 128 in four "
            "micro-batches. Bars are of a batch of Phase GP and one of Phase BP, as the paper's 1.68 is; the table also has the whole "
            "schedule with its warm-up. Dashed: the paper's average; dotted: its maximum."),
    Entry(name="equal-resources", title="A larger baseline instead", section="6.6.1", tables=("equal-resources",),
          text="What a baseline gains from 10 % (power) or 11 % (area) more elements, as the geometric mean over networks."),
    Entry(name="table4", title="Table 4: FPGA", section="6.6.1", tables=("table4",), text="The paper's; results of synthesis are not "
          "computed here. No device of the 7 series has 2,407 RAMB36; the largest has 1,880."),
    Entry(name="table5", title="Table 5: ASIC", section="6.6.1", tables=("table5",), text="The paper's; results of synthesis are not computed "
          "here."),
    Entry(name="figure21", title="Figure 21: energy", section="6.6.2", pictures=("figure21",), tables=("energy-savings", "figure21"),
          text="90 epochs of ImageNet, memory below, arithmetic (hatched) above where the table knows it. Tables are of different sources "
               "and not to be compared; those of CACTI have a buffer and no external memory. The axis of the paper goes to 7 million "
               "joules of memory accesses."),
)
