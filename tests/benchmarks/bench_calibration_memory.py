"""Peak memory of calibrating torchvision's ResNet-50 with the entropy method on 32 and on 512 images.

Bound by: the activations of one batch and the fixed-size histograms. One process each, one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys

COUNTS = (32, 512)
PROGRAM = """
import resource, sys
import numpy as np, torch
from torchvision.models import resnet50
from edgekd.compress import CompressSection, compress
from edgekd.compress.fold import fold
from edgekd.compress.rules import QuantizationRules
from edgekd.progress import QUIET
torch.set_num_threads(2)
torch.manual_seed(0)
rng = np.random.default_rng(0)
program = fold(resnet50().eval(), (torch.from_numpy(rng.standard_normal((4, 3, 224, 224), dtype=np.float32)),))
def batches():
    stream = np.random.default_rng(1)
    for _ in range(int(sys.argv[1]) // 16):
        yield (stream.standard_normal((16, 3, 224, 224), dtype=np.float32),)
section = CompressSection.model_validate({"method": {"int8_static": {"ranges": "entropy"}}})
compress(program, batches, section, QuantizationRules(), QUIET)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def main() -> None:
    """Prints the figures as one JSON line."""
    peaks = {
        count: int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, str(count)], check=True, capture_output=True, text=True
            ).stdout
        )
        for count in COUNTS
    }
    small, large = (peaks[count] for count in COUNTS)
    row = {
        "benchmark": "calibration_memory",
        "peak_rss_bytes": {str(count): peak for count, peak in peaks.items()},
        "ratio": round(large / small, 3),
        "limits": {"ratio": 1.2},
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
