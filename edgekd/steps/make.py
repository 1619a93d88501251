"""One variant from its quantization description to its measurements; what fails there ends this file, and no run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from edgekd.errors import FILE_ERRORS, EdgekdError, one_line
from edgekd.steps.context import Context
from edgekd.steps.data import PreparedData
from edgekd.steps.document import Made
from edgekd.steps.export import Variant, describe, export_files, place_artifact, rules_for
from edgekd.steps.verify import measure, verify

Until = Literal["compress", "export", "report"]


def make(
    context: Context, data: PreparedData, variant: Variant, folder: Path, until: Until, known: Mapping[str, EdgekdError]
) -> Made:
    """Describes, exports, places, verifies and times one file, as far as `until` says.

    `known` says to which formats the student cannot be exported at all. A file that cannot be made leaves no folder:
    an earlier run's would be another network's.
    """
    artifact = verification = measurement = None
    try:
        if variant.source.role == "student" and variant.format_name in known:
            raise known[variant.format_name]
        if until == "compress":
            if variant.precision == "int8":
                describe(context, data, variant.source, rules_for(variant.target, variant.format_name))
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            artifact = place_artifact(context, data, variant, export_files(context, data, variant), folder)
        if artifact is not None and until == "report":
            verification = verify(context, data, variant, artifact, folder)
            measurement = measure(context, data, variant, artifact, folder)
    except FILE_ERRORS as error:
        context.progress.warn(f"{variant.path} failed: {one_line(error)}")
        if artifact is None:
            shutil.rmtree(folder, ignore_errors=True)
        return Made(variant, artifact, verification, measurement, error)
    return Made(variant, artifact, verification, measurement)
