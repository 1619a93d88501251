"""Every family of edgekd: each file loads, is documented, and needs no torch to be read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgekd.catalogue import all_families, families, method_table, papers
from edgekd.errors import RecipeError

EVERY = [(family, name) for family, found in all_families().items() for name in found.names()]


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_method(family: str, name: str) -> None:
    method = all_families()[family].load(name)
    assert method.__doc__ and all_families()[family].summaries()[name].endswith(".")
    assert method.model_config["frozen"] and method.model_config["extra"] == "forbid"
    assert method.model_json_schema()["type"] == "object"


@pytest.mark.parametrize("loss", all_families()["loss"].names())
def test_every_loss_names_its_paper(loss: str) -> None:
    named = papers(all_families()["loss"].docstrings()[loss])
    assert any("https://arxiv.org/abs/" in paper for paper in named), named
    for paper in named:
        assert paper in method_table(families("loss"))


def test_papers_of_a_docstring() -> None:
    text = (
        "Relations between samples: Park et al. 2019.\n\nThe weights of 2020.5 and B = 2019 are not papers.\n"
        "Park, Kim, Lu, Cho 2019, Relational Knowledge\nDistillation, https://arxiv.org/abs/1904.05068, section 3.2\n"
        "He et al. 2015 (https://arxiv.org/abs/1512.03385, section 4.2) and Loshchilov and Hutter 2019. Old, Book 1998."
    )
    assert papers(text) == [
        "Park, Kim, Lu, Cho 2019, https://arxiv.org/abs/1904.05068",
        "He et al. 2015, https://arxiv.org/abs/1512.03385",
        "Loshchilov and Hutter 2019",
        "Old, Book 1998",
    ]
    assert papers("Least loss of information.") == []


FOUND_BY = {
    "paying more attention to attention": "attention",
    "FITNETS": "hint",
    "1503.02531": "kl",
    "KD": "kl",
    "SPKD": "similarity",
    "ReviewKD": "review",
    "MiniLM": "minilm",
    "DeiT": "deit",
    "DIST": "dist",
    "teacher assistants": "teacher_assistant",
    "born-again": "born_again",
    "Tf-KD": "self_distillation",
    "CA-MKD": "ensemble",
    "filters Li": "prune",
    "first-order change": "importance",
}


@pytest.mark.parametrize(("words", "found"), FOUND_BY.items())
def test_a_method_is_found_first_by_what_its_paper_calls_it(words: str, found: str) -> None:
    assert next(iter(next(iter(families(None, words).values())))) == found


def test_what_is_no_method_says_where_it_stands_in_a_recipe() -> None:
    text = method_table(families("key"))
    assert "2201.00007]" in text and "distill.ensemble" in text


def test_nothing_found() -> None:
    with pytest.raises(RecipeError, match="fewer words"):
        families("loss", "perpetual motion")


def test_reading_every_method_imports_no_torch() -> None:
    program = (
        "import sys\nfrom edgekd.catalogue import all_families\n"
        "[family.load(name) for family in all_families().values() for name in family.names()]\n"
        "heavy = {'torch', 'torchvision', 'onnx', 'onnxruntime', 'openvino', 'litert_torch', 'PIL'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
