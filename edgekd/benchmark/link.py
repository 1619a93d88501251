"""Where an artifact is run: the contract of a link, and the job it carries to the agent."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekd.errors import BenchmarkError, EdgekdError, MissingBackend, StoreError
from edgekd.family import Family, Method

if TYPE_CHECKING:
    from edgekd.target import Target

AGENT = Path(__file__).resolve().parent / "agent"


@dataclass(frozen=True)
class Job:
    """One run of the agent.

    Attributes:
        artifact: folder with the manifest.
        options: the plain fields of the agent's job (`edgekd/benchmark/agent/__main__.py` lists them).
        images: .npy of uint8 (N, H, W, C) images, or of texts the .npy of all tokens and of their offsets, or None.
        indices: .npy of the samples to use, or None for all.
        logits: .npy that a prediction is written to, or None.
        alone: .npy that the prediction of the first samples, one by one, is written to, or None.
    """

    artifact: Path
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    images: Path | tuple[Path, Path] | None = None
    indices: Path | None = None
    logits: Path | None = None
    alone: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """The agent's job, with the paths as this machine knows them."""
        paths = {"artifact": self.artifact, "images": None, "indices": self.indices}
        paths |= {"logits": self.logits, "alone": self.alone}
        if isinstance(self.images, tuple):
            paths["tokens"], paths["offsets"] = self.images
        else:
            paths["images"] = self.images
        return {**self.options, **{name: None if path is None else str(path.resolve()) for name, path in paths.items()}}


class Link(Method):
    """A way to a machine that runs the agent."""

    @abstractmethod
    def reasons(self, target: Target) -> list[str]:
        """Why the machine at the other end is not `target`; empty: it is."""

    @abstractmethod
    def run(self, job: Job, time_limit_s: float) -> dict[str, Any]:
        """Runs the agent in a fresh process and returns its answer.

        Raises:
            BenchmarkError: the agent failed, was killed, or took longer than the limit.
            MissingBackend: the runtime is not installed there.
            StoreError: the artifact's files are not those of its manifest.
        """


LINKS: Family[Link] = Family("edgekd.benchmark.links", Link)


def raise_agent_error(error: dict[str, Any], where: Path) -> None:
    """Turns the agent's `error` object into the exception it stands for."""
    kinds: dict[str, type[EdgekdError]] = {"missing_runtime": MissingBackend, "artifact": StoreError}
    kind = kinds.get(error["kind"], BenchmarkError)
    raise kind(str(error["message"]), where=where, hint=error.get("hint"))
