"""NMS over all names at once is NMS name by name."""

import pytest
import torch
from torchvision.ops import batched_nms

from vlsuite.models.vild.postprocess import best_detections


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most", [5, 40, 10_000])
def test_as_torchvisions_name_by_name(seed, most):
    draws = torch.Generator().manual_seed(seed)
    corners = 80 * torch.rand(60, 2, generator=draws)
    boxes = torch.cat([corners, corners + 1 + 40 * torch.rand(60, 2, generator=draws)], dim=1)
    scores = torch.rand(60, 30, generator=draws).double()
    found = best_detections(
        boxes, scores, size=(128, 128), score_threshold=0.1, nms=0.5, max_detections=most
    )
    rows, labels = (scores > 0.1).nonzero().unbind(1)
    kept = batched_nms(boxes[rows].double(), scores[rows, labels], labels, 0.5)[:most]
    torch.testing.assert_close(found.boxes, boxes[rows[kept]])
    assert torch.equal(found.labels, labels[kept])
    assert torch.equal(found.regions, rows[kept])
