"""What training costs on an accelerator: cycles, bytes and energy.

Any accelerator, in closed form::

    layers ──products.lower──> works ──dataflows.cycles──> cycles ──┐
                                 └────traffic.accesses──> bytes ────┤
    predictor_work.Predictor ──> works of the predictor ────────────┴─> networks.NetworkCost

``NetworkCost`` puts them together by design and phase; with ``schedules.Shares`` of the phases it gives speed-ups,
with a table of ``energy`` joules. ``grid`` evaluates the networks, data sets, dataflows and designs of the paper.
``pipelines`` are of several devices. ``machine`` is the accelerator of this project, instruction by instruction.
"""
