"""Training on several devices, each with some layers of the network, as schedules of events (paper section 3.8).

A batch is cut into micro-batches, which follow each other through the stages. Everything here is
synchronous, so a schedule changes the time that training takes and nothing of its result:

- A forward pass through a stage sees the weights after the batch before has updated them, and before its
  own batch does: all micro-batches of batch n see n updates, on every stage.
- In Phase BP (and warm-up) a stage updates its weights when the last micro-batch's backward pass has left
  it, from the sum of all gradients. The first stage is the last to be updated, so the next batch enters
  an empty pipeline.
- In Phase GP a stage updates its weights when the last micro-batch's forward pass has left it, from
  gradients that are predicted once per batch, from the mean of its layers' outputs over all micro-batches.
  The next batch's first micro-batch follows behind: it meets updated weights on each stage although the
  stages after it still work with the old ones for the batch before. So Phase GP leaves no gap between
  batches, nor does a change of phase: the next batch, whatever its phase, enters when its first stage
  is free.
- In a Chimera both replicas of a stage have seen half of the batch. They exchange the sums of gradients
  (BP) or of layers' outputs (GP), and both apply the same update.
- Each device has its own predictor, which serves the layers of its stages.

Sending between devices takes no time, as in the paper.
"""

from .check import ImpossibleTimeline, check, weights_seen
from .costs import LayerTime, PipelineCost, StageCost, balance
from .events import Event, Timeline
from .slots import Kind, Pipeline
from .speedup import PipelineSpeedup, network_speedups, paper_speedups, period, run_time, speedup
from .timeline import timeline

__all__ = ["Event", "ImpossibleTimeline", "Kind", "LayerTime", "Pipeline", "PipelineCost", "PipelineSpeedup", "StageCost",
           "Timeline", "balance", "check", "network_speedups", "paper_speedups", "period", "run_time", "speedup",
           "timeline", "weights_seen"]
