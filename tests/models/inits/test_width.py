"""Width pruning into a narrower student: the same units everywhere, the most important ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekd.errors import ModelError
from edgekd.models.init import INITS, initialise

from ..networks import batch, images, text, tokens, vit

MAGNITUDE = {"width": {"importance": "magnitude"}}


def residual_mlp(hidden: int, inner: int) -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.up = nn.Linear(4, hidden), nn.Linear(hidden, inner)
            self.down, self.norm, self.head = nn.Linear(inner, hidden), nn.LayerNorm(hidden), nn.Linear(hidden, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.head(self.norm(x + self.down(torch.relu(self.up(x)))))

    return Net()


def test_the_strong_units_along_the_residual_stream() -> None:
    """By hand: hidden units 1, 4, 5 and inner units 0, 6 are the strongest in all that makes them."""
    torch.manual_seed(0)
    teacher, student = residual_mlp(6, 8), residual_mlp(3, 2)
    hidden, inner = torch.tensor([1, 4, 5]), torch.tensor([0, 6])
    with torch.no_grad():
        teacher.stem.weight[hidden] += 5
        teacher.up.weight[inner] += 5
    assert initialise(student, teacher, INITS.parse(MAGNITUDE), [torch.randn(2, 4)], [])["fresh"] == []
    assert torch.equal(student.stem.weight, teacher.stem.weight[hidden])
    assert torch.equal(student.stem.bias, teacher.stem.bias[hidden])
    assert torch.equal(student.up.weight, teacher.up.weight[inner][:, hidden])
    assert torch.equal(student.down.weight, teacher.down.weight[hidden][:, inner])
    assert torch.equal(student.norm.weight, teacher.norm.weight[hidden])
    assert torch.equal(student.head.weight, teacher.head.weight[:, hidden])


def test_a_narrower_student_equals_the_teacher_without_the_dead_units() -> None:
    """Half of the hidden units, inner units and heads of a teacher are dead; the student takes the others."""
    teacher = text(hidden_size=16, num_attention_heads=4, intermediate_size=24)
    student = text(hidden_size=8, num_attention_heads=2, intermediate_size=12)
    facts = initialise(student, teacher, INITS.parse(MAGNITUDE), tokens(), [])
    assert facts["fresh"] == []
    own, given = student.state_dict(), teacher.state_dict()
    # One choice of hidden units everywhere: found by comparing embeddings, then checked in every tensor.
    words, word = "net.bert.embeddings.word_embeddings.weight", own["net.bert.embeddings.word_embeddings.weight"]
    hidden = [int((given[words] == word[:, [unit]]).all(0).nonzero()) for unit in range(8)]
    assert hidden == sorted(set(hidden))
    for name, value in own.items():
        if name.endswith(("LayerNorm.weight", "LayerNorm.bias", "embeddings.weight", "output.dense.bias")):
            assert torch.equal(value, given[name][..., hidden]), name
        elif name.endswith("intermediate.dense.weight"):
            rows = given[name][:, hidden]
            assert all(bool((rows == row).all(1).any()) for row in value), name


def test_whole_heads_and_alternate_blocks() -> None:
    teacher, student = vit(depth=4), vit(depth=2, embed_dim=24, num_heads=4, mlp_ratio=2.0)
    assert initialise(student, teacher, INITS.parse(MAGNITUDE), images(16), [])["fresh"] == []
    assert torch.equal(student.blocks[1].attn.qkv.weight, teacher.blocks[2].attn.qkv.weight)
    rows = teacher.blocks[2].mlp.fc1.weight
    kept = rows.abs().sum(1).argsort(descending=True)[:48].sort().values
    assert torch.equal(student.blocks[1].mlp.fc1.weight, rows[kept])
    assert torch.equal(student.blocks[1].mlp.fc2.weight, teacher.blocks[2].mlp.fc2.weight[:, kept])


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_it_runs_on_a_convolutional_family(importance: str) -> None:
    import timm

    torch.manual_seed(0)
    build = lambda width: timm.create_model("resnet10t", num_classes=5, channels=width)  # noqa: E731
    teacher, student = build((16, 32, 32, 64)), build((8, 16, 16, 32))
    init = INITS.parse({"width": {"importance": importance}})
    facts = initialise(student, teacher, init, images(), [batch(images(), torch.tensor([0, 1]))])
    assert not [name for name in facts["fresh"] if "layer" in name], facts["fresh"]
    assert torch.isfinite(student(*images())).all()


def test_a_wider_part_stays_fresh() -> None:
    teacher, student = text(intermediate_size=12), text(intermediate_size=24)
    facts = initialise(student, teacher, INITS.parse(MAGNITUDE), tokens(), [])
    assert all("intermediate" in name or ".output.dense.weight" in name for name in facts["fresh"]) and facts["fresh"]
    assert "net.bert.encoder.layer.0.attention.output.dense.weight" not in facts["fresh"]


class Embedder(nn.Module):
    """A sentence embedding of unit length: of the hidden width, or of another by a last layer."""

    def __init__(self, hidden: int, dimensions: int = 0) -> None:
        super().__init__()
        self.words, self.up = nn.Embedding(20, hidden), nn.Linear(hidden, 2 * hidden)
        self.down, self.norm = nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden)
        self.last = nn.Linear(hidden, dimensions) if dimensions else nn.Identity()

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)  # (B, T, D)
        x = self.norm(x + self.down(torch.relu(self.up(x))))
        return nn.functional.normalize(self.last(x.mean(1)), dim=-1)


def test_a_narrower_embedding_is_the_teachers_most_important_dimensions() -> None:
    torch.manual_seed(0)
    teacher, student, ids = Embedder(6), Embedder(3), torch.randint(20, (2, 5))
    kept = torch.tensor([0, 2, 5])
    with torch.no_grad():
        teacher.words.weight[:, kept] += 9
    assert initialise(student, teacher, INITS.parse(MAGNITUDE), [ids], [])["fresh"] == []
    assert torch.equal(student.words.weight, teacher.words.weight[:, kept])
    assert torch.equal(student.norm.weight, teacher.norm.weight[kept])
    assert student(ids).shape == (2, 3)
    wide = Embedder(3, dimensions=6)
    assert initialise(wide, teacher, INITS.parse(MAGNITUDE), [ids], [])["fresh"] == ["last.weight", "last.bias"]


def test_a_wider_embedding_is_not_advised_what_it_has() -> None:
    with pytest.raises(ModelError, match=r"(?s)no weight of the teacher fits.*narrower or as wide, not wider"):
        initialise(Embedder(8), Embedder(6), INITS.parse(MAGNITUDE), [torch.randint(20, (2, 5))], [])
