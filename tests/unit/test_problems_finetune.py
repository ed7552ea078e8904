"""Fine-tuning: gradients behind the padding, what is trained, randomness; the real encoder."""

import math

import pytest
import torch
from tiny_data import text_set
from torch.nn import functional

from wiregrad import data
from wiregrad.core.errors import ConfigError, DataUnavailable
from wiregrad.core.rng import Seeds
from wiregrad.data import sentences, tokens
from wiregrad.data.splits import EpochBatches, held_out
from wiregrad.problems import registry

CPU = torch.device("cpu")
WORDS = ("dull", "fine", "a", "film", "and", "so", "not", ".")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT of two small layers as `transformers` saves it, with a tokeniser of ten words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("bert")
    words = {word: number for number, word in enumerate(("[PAD]", "[UNK]", *WORDS))}
    tool = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106
    tool.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tool, pad_token="[PAD]").save_pretrained(path)  # noqa: S106
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(words), intermediate_size=32, max_position_embeddings=16, **sizes
    )
    with Seeds(5).scope("tiny"):
        BertModel(config).save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, request):
    if "network" not in request.keywords:
        monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path))


def films():
    rows = [
        (i % 2, (" ".join(WORDS[j] for j in range(i % 7 + 1)) + " ?" * (i // 7),))
        for i in range(24)
    ]
    arrays = sentences.prepare({"train": rows, "test": rows[:9]})
    return text_set({}, {name: torch.from_numpy(value.copy()) for name, value in arrays.items()})


def build(folder, seed=0, **fields):
    spec = {"name": "finetune", "model": str(folder), "task": "sst2", "batch": 4, "max_length": 8}
    return registry.build(spec | {"dropout": 0.0} | fields).bind(films(), 2, Seeds(seed), CPU)


def gradient(problem, worker, step=1):
    out = torch.full((1, problem.dim), math.nan)
    problem.gradients(problem.x0(), step, out, [worker])
    return out[0]


def test_gradient_is_that_of_the_sentences_one_by_one_without_padding(folder):
    from transformers import AutoModelForSequenceClassification

    from wiregrad.problems.models import pretrained

    problem = build(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    named = {n.removeprefix("network."): w for n, _, w in problem.layout.slices()}
    for name, parameter in model.named_parameters():
        parameter.data = problem.x0()[named[name]].view(parameter.shape)
    read = tokens.encode_sentences(films(), pretrained.load(str(folder)).tokeniser, 8).tensors
    train = held_out(24)[0]
    rows = train[EpochBatches(24, 2, 4, Seeds(0)).rows(1, 3)]
    assert len({int(read["train_lengths"][row]) for row in rows}) > 1
    loss = 0.0
    for row in rows:
        ids = read["train_tokens"][row, : read["train_lengths"][row]].long()[None]
        loss = loss + functional.cross_entropy(
            model.eval()(input_ids=ids).logits, read["train_labels"][row, None]
        )
    grads = torch.autograd.grad(loss / 4, list(model.parameters()))
    expected = torch.cat([grad.reshape(-1) for grad in grads])
    torch.testing.assert_close(gradient(problem, 1, 3), expected, rtol=1e-4, atol=1e-6)


def test_randomness_is_the_workers_own_and_the_global_generator_stays(folder):
    before = torch.get_rng_state()
    problem = build(folder, dropout=0.2)
    once, again = gradient(problem, 0), gradient(problem, 0)
    assert torch.equal(once, again)
    assert not torch.equal(once, gradient(build(folder), 0))
    first = problem.evaluate(problem.x0())
    assert first == problem.evaluate(problem.x0())
    assert torch.equal(before, torch.get_rng_state())
    head = problem.layout.names.index("network.classifier.weight")
    where = list(problem.layout.slices())[head][2]
    other = build(folder, seed=1).x0()
    assert not torch.equal(problem.x0()[where], other[where])
    rest = torch.ones(problem.dim, dtype=torch.bool)
    rest[where] = False
    assert torch.equal(problem.x0()[rest], other[rest])  # pretrained, or the bias, which is zero


def test_a_part_is_trained_and_the_rest_stays(folder):
    assert build(folder, trainable="head").dim == 16 * 2 + 2
    layer = 4 * (16 * 16 + 16) + 2 * 2 * 16 + 2 * 16 * 32 + 16 + 32
    pooler = 16 * 16 + 16
    problem = build(folder, trainable=1)
    assert problem.dim == layer + pooler + 34
    assert all("layer.0" not in name for name in problem.layout.names)
    assert gradient(problem, 0).isfinite().all()
    with pytest.raises(ConfigError, match="trainable: 3 of 2 layers"):
        build(folder, trainable=3)


def test_what_cannot_be_had_or_fits_not_is_named(folder, tmp_path):
    with pytest.raises(DataUnavailable, match=r"problem\.model: .*nowhere"):
        build(tmp_path / "nowhere")
    spec = registry.build({"name": "finetune", "model": str(folder), "task": "sst2"})
    with pytest.raises(ConfigError, match="'tiny' has no sentences"):
        spec.bind(text_set({"train": "a\n", "test": "b\n"}), 2, Seeds(0), CPU)


@pytest.mark.network
def test_the_package_s_encoder_learns_real_sentences():
    try:
        found, _ = data.load("sst2|imdb-text-train"), data.load("minilm-l6-v2")
    except DataUnavailable as error:
        pytest.skip(str(error))
    fields = {"task": "sst2", "batch": 8, "max_length": 16, "train_limit": 16, "dropout": 0.0}
    spec = registry.build({"name": "finetune", "trainable": 1, "eval_test": 8, **fields})
    problem = spec.bind(found, 2, Seeds(0), CPU)
    assert problem.dim == 1_774_464 + 384 * 384 + 384 + 2 * 384 + 2
    x, out = problem.x0(), problem.gradient_buffer(2)
    first = problem.evaluate(x).loss_train
    for step in range(1, 4):
        problem.gradients(x, step, out, range(2))
        x -= 1e-3 * out.mean(0).sign()
    assert first == pytest.approx(math.log(2), abs=0.1)
    assert problem.evaluate(x).loss_train < 0.7 * first
