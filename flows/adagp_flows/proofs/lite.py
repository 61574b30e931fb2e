"""Rules of the register port."""

from amaranth.hdl import Module, Signal

from .harness import Harness

_OKAY = 0


def lite(harness: Harness, m: Module) -> None:
    """A response for a request, and none without."""
    core = harness.core
    taken = {name: core[f"s_axil_{name}valid"] & core[f"s_axil_{name}ready"] for name in ("aw", "w", "b", "ar", "r")}
    open_requests = {}
    for request, response in (("aw", "b"), ("w", "b"), ("ar", "r")):
        count = Signal(4, name=f"lite_{request}_unanswered")
        m.d.sync += count.eq(count + taken[request] - taken[response])
        open_requests[request] = count
        harness.rule(f"lite_{request}_answered_once", f"no S_AXIL_{response.upper()}VALID without an unanswered request on "
                     f"S_AXIL_{request.upper()}", ~core[f"s_axil_{response}valid"] | (count != 0))
        harness.rule(f"lite_{request}_bounded", f"at most two requests on S_AXIL_{request.upper()} are unanswered", count <= 2)
    for name in ("b", "r"):
        harness.rule(f"lite_{name}_okay", f"S_AXIL_{name.upper()}RESP is OKAY", core[f"s_axil_{name}resp"] == _OKAY)
