"""What the paper states in numbers, and why what is computed here differs.

Bars of its figures have no numbers: of figures 17 to 21 the text tells averages and maxima, which are here.
"""

from dataclasses import dataclass

TITLES = {
    "resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152", "inceptionv4": "Inception-V4",
    "inceptionv3": "Inception-V3", "vgg13": "VGG13", "vgg16": "VGG16", "vgg19": "VGG19", "densenet121": "DenseNet121",
    "densenet161": "DenseNet161", "densenet169": "DenseNet169", "densenet201": "DenseNet201", "mobilenetv2": "MobileNet-V2",
    "transformer": "Transformer", "yolov3": "YOLO-v3"}
DATASET_TITLES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "imagenet": "ImageNet", "multi30k": "Multi30k",
                  "voc": "Pascal VOC"}
PIPELINE_TITLES = {"gpipe": "GPipe", "dapple": "DAPPLE", "chimera": "Chimera"}
DATAFLOW_TITLES = {"WS": "weight stationary", "RS": "row stationary", "IS": "input stationary", "OS": "output stationary"}
DESIGN_TITLES = {"BASELINE": "Baseline", "LOW": "ADA-GP-LOW", "EFFICIENT": "ADA-GP-Efficient", "MAX": "ADA-GP-MAX"}

REASONS = {
    "mean": "What b and the predictor's time make of the paper's schedule: on {flow} the networks' b goes from "
            "{low_b:.2f} ({low}) to {top_b:.2f} ({top}) and is below 2 in {below} of {networks}. A predictor that takes "
            "no time would give {free:.3f}; the paper's average then asks for b = {needed:.2f}.",
    "classifiers": "Ours predicts for classifiers too. For {layer} of VGG13 with its {weights:.0f} million weights, the "
                   "{elements} elements of the predictor's array need {ratio:.1f} times as long as the main array for the "
                   "layer's forward pass. Predicting for convolutions alone, as figure 16 with its ten layers suggests, "
                   "gives {convolutions:.3f}.",
    "outlier": "{top} alone, with b = {top_b:.2f}, lifts the mean from {without:.3f}.",
    "maximum": "With b = 2 no network can be above {ceiling:.3f} in this schedule; {paper} asks for b = {needed:.2f} and "
               "more, even if the predictor took no time. Ours is {top}, whose b is {top_b:.2f}, so its own limit is "
               "{top_limit:.3f}.",
    "depthwise": "With b = 2 no network can be above {ceiling:.3f} in this schedule; {paper} asks for b = {needed:.2f}. "
                 "Ours is MobileNet-V2, b = {top_b:.2f}: its depthwise convolutions leave most of the array empty, above "
                 "all in the weight gradient, and have b = {depthwise_b:.2f}, all other layers together {other_b:.2f}. "
                 "How the paper maps them it does not say.",
    "stages": "Equal steps with b = 2 give {steps}, and that comes out. Networks have other b, and stages differ: {top} "
              "has b = {top_b:.2f} and reaches {ours:.3f}; without it the maximum is {without:.3f}.",
    "stages_mean": "In the paper's equal steps only the predictor can bring the average below {steps}, by "
                   "{paper_loss:.1%}; its alpha there is not known. Here it costs {loss:.1%} (without it {free:.3f}), as "
                   "MAX does its work beside the passes, and b is each network's own: without {top} the average is "
                   "{without:.3f}.",
    "length": "Not known: the paper states neither epochs nor batch. Ours are {epochs} epochs of {samples:,} samples in "
              "batches of {batch}; its baseline would be {equal:,.1f} epochs of ours.",
    "share": "Not known. With our b = {b:.2f} and alpha = {alpha:.3f} a speed-up of {paper} takes Phase GP in {gp:.0%} of "
             "batches, where the paper's schedule has {paper_gp:.0%} in 90 epochs; a run of {near} epochs would have as "
             "many.",
    "pair": "Not known. If MAX hides the predictor, table 3 means Phase GP in {gp:.0%} of batches, as in a run of {near} "
            "epochs, and alpha = {implied:.3f}; our alpha is {alpha:.4f} with batches of {batch} and comes nearest with "
            "batches of {near_batch} ({near_alpha:.3f}), as the predictor's work does not grow with the batch.",
    "shapes": "Not known. Of all near-square arrays of {elements} elements at most, the worst ({worst}) gains {least:.1f} "
              "% and the best ({best}) {most:.1f} %, since edges of layers fit one better than another; ours is their "
              "mean.",
    "energy": "Phase GP is {gp:.1%} of the batches, so {paper} % asks for batches that spend {needed:.0%} less there. "
              "Ours spend {saves:.0%} less: the forward pass is a third of all accesses. Of the tables here, designs "
              "EFFICIENT and MAX, averages go from {least:.1f} % to {most:.1f} %.",
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


def _claim(section: str, entry: str, key: str, what: str, value: float, step: float, reason: str | None = None,
           unit: str = "") -> Published:
    return Published(key=key, what=what, section=section, entry=entry, value=value, step=step, unit=unit, reason=reason)


def _speedups(entry: str, flow: str, kind: str, *values: tuple[float, str]) -> tuple[Published, ...]:
    """Of the data sets of images: what is claimed, and why ours differs."""
    title = {"mean": "average", "maximum": "maximum"}[kind]
    return tuple(_claim("6.3", entry, f"speedup/{dataset}/{flow}/{kind}",
                        f"{flow}, {DATASET_TITLES[dataset]}: {title} of ADA-GP-MAX over networks", value, 0.01, reason)
                 for dataset, (value, reason) in zip(DATASET_TITLES, values))


def _pipeline(section: str, figure: str, name: str, steps: tuple[int, int], most: float, mean: float) -> tuple[Published, ...]:
    title, key = PIPELINE_TITLES[name], f"pipeline/{name}"
    return (
        _claim(section, figure, f"{key}/baseline", f"{title}: steps of a batch", steps[0], 1),
        _claim(section, figure, f"{key}/pair", f"{title}: steps of a batch of Phase GP and one of Phase BP", steps[1], 1),
        _claim(section, figure, f"{key}/steps", f"{title}: two batches' steps over those", most, 0.01),
        _claim(section, "figure20", f"{key}/maximum", f"{title}: maximum over networks", most, 0.01, "stages"),
        _claim(section, "figure20", f"{key}/mean", f"{title}: average over networks", mean, 0.001, "stages_mean"))


def _run(entry: str, network: str, design: str, cycles: float, step: float) -> Published:
    return _claim("6.4", entry, f"run/{network}/{design}", f"{TITLES[network]}, {DESIGN_TITLES[design]}: cycles of training",
                  cycles, step, "length", "cycles")


def _equal(resource: str, extra: int, *gains: float) -> tuple[Published, ...]:
    return tuple(_claim("6.6.1", "equal-resources", f"equal/{resource}/{dataset}",
                        f"{DATASET_TITLES[dataset]}: baseline with {extra} % more elements, the {resource} of ADA-GP-MAX",
                        gain, 0.01, "shapes", "%") for dataset, gain in zip(DATASET_TITLES, gains))


PUBLISHED = (
    _claim("3.7", "figure7", "pair/speedup", "24 steps of two batches over 16, predictor aside", 24 / 16, 0.01),
    *_speedups("figure17", "WS", "mean", (1.46, "outlier"), (1.46, "outlier"), (1.48, "classifiers")),
    *_speedups("figure17", "WS", "maximum", (1.51, "depthwise"), (1.51, "depthwise"), (1.58, "depthwise")),
    *_speedups("figure18", "RS", "mean", (1.46, "mean"), (1.46, "mean"), (1.47, "mean")),
    *_speedups("figure18", "RS", "maximum", (1.48, "maximum"), (1.48, "maximum"), (1.48, "maximum")),
    *_speedups("figure19", "IS", "mean", (1.46, "mean"), (1.46, "mean"), (1.48, "mean")),
    _run("table2", "transformer", "BASELINE", 1245.87e9, 0.01e9), _run("table2", "transformer", "EFFICIENT", 1104.31e9, 0.01e9),
    _claim("6.4", "table2", "speedup/transformer/EFFICIENT", "Transformer: ADA-GP (ours: Efficient)", 1.13, 0.01, "share"),
    _run("table3", "yolov3", "BASELINE", 11_490_248e9, 1e9), _run("table3", "yolov3", "EFFICIENT", 9_846_579e9, 1e9),
    _run("table3", "yolov3", "MAX", 9_134_071e9, 1e9),
    _claim("6.4", "table3", "speedup/yolov3/EFFICIENT", "YOLO-v3: ADA-GP-Efficient", 1.17, 0.01, "pair"),
    _claim("6.4", "table3", "speedup/yolov3/MAX", "YOLO-v3: ADA-GP-MAX", 1.26, 0.01, "pair"),
    *_pipeline("6.5.1", "figure10", "gpipe", (21, 25), 1.68, 1.654),
    *_pipeline("6.5.2", "figure11", "dapple", (21, 25), 1.68, 1.654),
    *_pipeline("6.5.3", "figure12", "chimera", (16, 20), 1.6, 1.575),
    *_equal("power", 10, 4.31, 4.3, 4.47), *_equal("area", 11, 4.63, 4.61, 5.53),
    _claim("6.6.2", "figure21", "energy/mean", "memory energy saved on average (ours: Efficient, table horowitz-low)", 34, 1,
           "energy", "%"),
    _claim("7", "figure17", "speedup/mean", "average speed-up (ours: WS, three data sets)", 1.47, 0.01, "classifiers"),
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
