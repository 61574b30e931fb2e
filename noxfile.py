"""Every command of the project. ``pip install nox``, then ``nox -l`` lists them."""

import nox

nox.options.reuse_venv = "yes"

EXTRAS = "hardware,sim,reports,release,training"


def install(run: nox.Session, *groups: str, extras: str = EXTRAS) -> None:
    pyproject = nox.project.load_toml("pyproject.toml")
    run.install("-e", f".[{extras}]", *nox.project.dependency_groups(pyproject, *groups))


@nox.session
def sim(run: nox.Session) -> None:
    """Train on real data on the simulated RTL, checked bit for bit; table and picture in build/sim."""
    install(run)
    run.run("python", "-m", "adagp.cli", "simulate", *run.posargs)


@nox.session
def tests(run: nox.Session) -> None:
    """Run the whole test suite; arguments after -- go to pytest."""
    install(run, "tests", extras=f"{EXTRAS},soc,synth")
    run.run("pytest", "-n", "2", "--dist", "loadgroup", *run.posargs)  # tests of one machine compile it once


@nox.session(default=False)
def train(run: nox.Session) -> None:
    """Study accuracy and cost of predicted gradients in PyTorch, with controls; report and pictures in build/train."""
    install(run)
    run.run("python", "-m", "adagp_flows.training_study", *run.posargs)


@nox.session(default=False)
def paper(run: nox.Session) -> None:
    """Compute the paper's figures and tables next to its numbers; page, pictures, tables in build/paper."""
    install(run)
    run.run("python", "-m", "adagp_flows.paper", *run.posargs)


@nox.session(default=False)
def synth(run: nox.Session) -> None:
    """Synthesise: the four designs on 7-series FPGAs, an element everywhere; -- --all for hours more; tables in build/synth."""
    install(run, extras="hardware,sim,reports,synth")
    run.run("python", "-m", "adagp_flows.synthesis.presets", *run.posargs)


@nox.session(default=False)
def netlists(run: nox.Session) -> None:
    """Run the benches on synthesised netlists of the array and of the smallest machine instead of the RTL; an hour."""
    install(run, extras="hardware,sim,reports,synth")
    run.run("python", "-m", "adagp_flows.synthesis.netlist", *run.posargs)


@nox.session(default=False)
def proofs(run: nox.Session) -> None:
    """Prove the rules of AXI4 and AXI4-Lite on the ports of all designs; report and traces in build/proofs."""
    install(run, extras="hardware")
    run.run("python", "-m", "adagp_flows.proofs", *run.posargs)


@nox.session(default=False)
def docs(run: nox.Session) -> None:
    """Build the documentation, every warning an error; build/docs/index.html."""
    install(run, "docs", extras="hardware,sim,reports,release,board,synth")
    run.run("sphinx-build", "--fail-on-warning", "--keep-going", "docs", "build/docs", *run.posargs)


@nox.session(default=False)
def soc(run: nox.Session) -> None:
    """Train under RISC-V firmware that uses the C driver, in a simulated system, on all designs; report in build/soc."""
    install(run, extras=f"{EXTRAS},soc")
    run.run("python", "-m", "adagp_flows.soc.run", *run.posargs)


@nox.session(default=False)
def bench(run: nox.Session) -> None:
    """Measure utilisation, the designs, accuracy against speed, simulation speed, Verilog; report in build/bench."""
    install(run)
    run.run("python", "-m", "adagp_flows.bench", *run.posargs)


@nox.session(default=False)
def fuzz(run: nox.Session) -> None:
    """Train 200 random networks on random configurations, RTL against golden machine, bit by bit."""
    install(run)
    run.run("python", "-m", "adagp_tb.fuzz", *run.posargs)
