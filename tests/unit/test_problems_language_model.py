"""Language models: windows of a text, losses per token, gradients, causality."""

import math

import pytest
import torch
from tiny_data import dataset, text_set

from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.problems import registry
from wiregrad.problems.language_model import Windows

CPU = torch.device("cpu")
TEXT = "the quick brown fox jumps over the lazy dog\n"
SMALL = {"lm_gpt2": {}, "lm_lstm": {"embedding": 8, "hidden": 12, "layers": 2}}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WIREGRAD_CACHE", str(tmp_path))


def build(name, workers=2, **fields):
    spec = {"name": name, "context": 16, "batch": 2} | SMALL[name] | fields
    found = text_set({"train": TEXT * 3, "test": TEXT})
    return registry.build(spec).bind(found, workers, Seeds(0), CPU)


def test_windows_follow_each_other_and_labels_are_the_next_tokens():
    windows = Windows(torch.arange(14, dtype=torch.uint8), 4)
    assert len(windows) == 3
    inputs, labels = windows.batch(torch.tensor([2, 0]))
    assert inputs.tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert labels.tolist() == [9, 10, 11, 12, 1, 2, 3, 4]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_gradient_is_that_of_the_mean_loss_per_token(name):
    problem = build(name, workers=4)  # 4 workers x 2 windows: an epoch is one round
    assert (problem.train_size, problem.steps_per_epoch) == (8, 1)
    x = problem.x0()
    out = problem.gradient_buffer(4)
    problem.gradients(x, 1, out, range(4))
    mean = out.mean(0)
    step = 0.005 * mean / mean.norm()
    slope = problem.evaluate(x + step).loss_train - problem.evaluate(x - step).loss_train
    assert slope == pytest.approx(2 * 0.005 * float(mean.norm()), rel=0.02)
    assert problem.evaluate(x).loss_train == pytest.approx(math.log(256), abs=0.1)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_token_s_logits_know_nothing_of_later_tokens(name):
    problem = build(name)
    model = problem.model.eval()
    tokens = torch.randint(256, (1, 16), generator=torch.Generator().manual_seed(1))
    later = tokens.clone()
    later[0, 9:] = 7
    with torch.no_grad():
        first, second = model(tokens), model(later)
    torch.testing.assert_close(first[:9], second[:9])
    assert not torch.allclose(first[9:], second[9:])


def test_dropout_draws_from_the_workers_generators_alone():
    before = torch.get_rng_state()
    problem = build("lm_gpt2", dropout=0.3)
    out = problem.gradient_buffer(2)
    problem.gradients(problem.x0(), 1, out, range(2))
    again = out.clone()
    problem.gradients(problem.x0(), 1, out, range(2))
    assert torch.equal(out, again)
    problem.gradients(problem.x0(), 2, out, range(2))
    assert not torch.equal(out, again)
    assert torch.equal(before, torch.get_rng_state())


def test_words_make_the_vocabulary_and_accuracy_is_a_share_of_tokens():
    found = text_set({"train": TEXT * 8, "test": TEXT * 4})
    spec = {"name": "lm_lstm", "context": 4, "batch": 2, "tokeniser": "word", "vocabulary": 6}
    problem = registry.build(spec).bind(found, 2, Seeds(0), CPU)
    assert problem.layout.shapes[0] == (6, 128)
    x = problem.x0()
    bias = problem.layout.names.index("output.bias")
    x[list(problem.layout.slices())[bias][2]] = torch.tensor([50.0, 0, 0, 0, 0, 0])
    predicted = problem.evaluate(x)  # always <unk>, which 4 of a line's 10 words are
    windows = [w for line in range(4) for w in [*TEXT.split(), "<eos>"]][1:37]
    known = {"the", "<eos>", "brown", "dog", "fox"}
    share = sum(w not in known for w in windows) / len(windows)
    assert predicted.metric_test == pytest.approx(share)


def test_what_fits_not_is_named():
    spec = registry.build({"name": "lm_lstm", "context": 16})
    with pytest.raises(ConfigError, match="is not a text to model"):
        spec.bind(dataset({"train_images": torch.zeros(1)}), 2, Seeds(0), CPU)
    with pytest.raises(ConfigError, match=r"problem\.context: 60 is more than tiny has"):
        build("lm_lstm", context=60)
    with pytest.raises(ConfigError, match=r"problem\.vocabulary"):
        build("lm_lstm", vocabulary=9)
