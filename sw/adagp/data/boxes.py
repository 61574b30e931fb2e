"""Rectangles as (centre x, centre y, width, height)."""

import torch


def overlaps(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Intersection over union of every one of ``boxes`` (…, 4) with every one of ``others`` (count, 4): (…, count)."""
    boxes = boxes[..., None, :]
    low = torch.maximum(boxes[..., :2] - boxes[..., 2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = torch.minimum(boxes[..., :2] + boxes[..., 2:] / 2, others[:, :2] + others[:, 2:] / 2)
    common = (high - low).clamp(min=0).prod(-1)
    return common / (boxes[..., 2:].prod(-1) + others[:, 2:].prod(-1) - common).clamp(min=1e-12)


def suppressed(found: torch.Tensor, most_overlap: float) -> torch.Tensor:
    """Non-maximum suppression: of detections (count, 6: class, confidence, box) the most confident, then the
    next one that overlaps none kept of its class by more than ``most_overlap``, and so on."""
    found = found[found[:, 1].argsort(descending=True, stable=True)]
    rivals = ((overlaps(found[:, 2:], found[:, 2:]) > most_overlap) & (found[:, None, 0] == found[:, 0])).cpu()
    candidate, kept = torch.ones(len(found), dtype=torch.bool), []
    while candidate.any():
        best = int(candidate.int().argmax())
        kept.append(best)
        candidate[best] = False
        candidate &= ~rivals[best]
    return found[kept]
