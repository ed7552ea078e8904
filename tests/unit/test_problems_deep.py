"""The deep problems on small generated data: gradients, randomness by name, evaluation, state."""

import math
from dataclasses import dataclass

import pytest
import torch
from tiny_data import dataset, images, reviews
from torch import nn
from torch.nn import functional

from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.data.splits import EpochBatches, fixed_order, held_out
from wiregrad.problems import registry
from wiregrad.problems.vision import MnistCNN, Normed, crop_and_flip

CPU = torch.device("cpu")
CASES = {
    "mnist_cnn": (images(), {"batch": 4}),
    "cifar_lenet5": (images((3, 32, 32)), {"batch": 4}),
    "cifar_lenet": (images((3, 32, 32)), {"batch": 4}),
    "imdb_lstm": (reviews(), {"batch": 4}),
    "tiny_imagenet_small": (images((3, 64, 64)), {"batch": 2}),
}
CHEAP = ["mnist_cnn", "cifar_lenet5", "imdb_lstm"]


def build(name, workers=3, seed=0, found=None, **fields):
    given, defaults = CASES[name]
    spec = registry.build({"name": name, **defaults, **fields})
    return spec.bind(found or given, workers, Seeds(seed), CPU)


def rows_of(problem, step, workers):
    out = torch.full((len(workers), problem.dim), math.nan)
    problem.gradients(problem.x0(), step, out, workers)
    return out


def named(problem, x):
    return {name: x[where].view(shape) for name, shape, where in problem.layout.slices()}


def worker_rows(found, problem, worker, step, batch):
    """Indices of the samples that the documentation promises."""
    train = held_out(len(found.tensors["train_labels"]))[0]
    return train[EpochBatches(len(train), problem.workers, batch, Seeds(0)).rows(worker, step)]


def test_mnist_gradient_is_that_of_the_papers_network_with_the_workers_dropout():
    found, _ = CASES["mnist_cnn"]
    problem = build("mnist_cnn")
    x = problem.x0().requires_grad_()
    w = named(problem, x)
    rows = worker_rows(found, problem, 2, 5, 4)
    dropout = Seeds(0).generator("worker", 2, "step", 5, "dropout")
    h = (found.tensors["train_images"][rows, None] / 255 - 0.1307) / 0.3081
    h = functional.conv2d(h, w["conv1.weight"], w["conv1.bias"])
    h = functional.max_pool2d(h, 2).relu()
    h = functional.conv2d(h, w["conv2.weight"], w["conv2.bias"])
    h = h * torch.empty(4, 20, 1, 1).bernoulli_(0.5, generator=dropout) * 2
    h = functional.max_pool2d(h, 2).relu().flatten(1)
    h = functional.linear(h, w["fc1.weight"], w["fc1.bias"]).relu()
    h = h * torch.empty(4, 50).bernoulli_(0.5, generator=dropout) * 2
    h = functional.linear(h, w["fc2.weight"], w["fc2.bias"])
    loss = functional.cross_entropy(h, found.tensors["train_labels"][rows])
    (expected,) = torch.autograd.grad(loss, x)
    got = rows_of(problem, 5, range(3))[2]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["cifar_lenet5", "cifar_lenet"])
def test_cifar_gradient_is_that_of_augmented_normalised_images(name):
    found, _ = CASES[name]
    problem = build(name)
    rows = worker_rows(found, problem, 1, 2, 4)
    augment = Seeds(0).generator("worker", 1, "step", 2, "augment")
    pixels = crop_and_flip(found.tensors["train_images"][rows], augment)
    mean, std = (0.49140, 0.48216, 0.44653), (0.24703, 0.24348, 0.26159)
    h = (pixels / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    x = problem.x0().requires_grad_()
    w = named(problem, x)
    convs = sorted(n for n in w if n.startswith("conv") and n.endswith("weight"))
    fcs = sorted(n for n in w if n.startswith("fc") and n.endswith("weight"))
    for conv in convs:
        bias = w[conv.replace("weight", "bias")]
        h = functional.conv2d(h, w[conv], bias, padding=1 if name == "cifar_lenet" else 0)
        h = functional.max_pool2d(h.relu(), 2)
    h = h.flatten(1)
    dropout = Seeds(0).generator("worker", 1, "step", 2, "dropout")
    for fc in fcs:
        h = functional.linear(h, w[fc], w[fc.replace("weight", "bias")])
        if fc != fcs[-1]:
            h = h.relu()
            if name == "cifar_lenet":
                h = h * torch.empty(4, 500).bernoulli_(0.5, generator=dropout) * 2
    loss = functional.cross_entropy(h, found.tensors["train_labels"][rows])
    (expected,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(rows_of(problem, 2, [1])[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [*CHEAP, "cifar_lenet"])
def test_gradients_depend_on_x_worker_and_step_alone(name):
    problem = build(name, workers=2)
    first = rows_of(problem, 1, range(2))
    assert torch.isfinite(first).all()
    other = rows_of(problem, 2, range(2))
    assert not torch.equal(first, other)
    problem.evaluate(problem.x0())
    assert torch.equal(rows_of(problem, 1, range(2)), first)
    assert torch.equal(rows_of(build(name, workers=2), 2, range(2)), other)


@pytest.mark.parametrize("name", CHEAP)
def test_a_row_alone_is_the_row_of_a_joint_pass(name):
    problem = build(name)
    joint = rows_of(problem, 1, range(3))
    torch.testing.assert_close(rows_of(problem, 1, [2, 0]), joint[[2, 0]], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [*CHEAP, "cifar_lenet"])
def test_with_one_worker_a_pass_the_bits_are_the_same_whoever_computes_them(name):
    problem = build(name, workers=2, per_pass=1)
    assert torch.equal(rows_of(problem, 1, [1])[0], rows_of(problem, 1, range(2))[1])


@pytest.mark.parametrize("name", CHEAP)
def test_bfloat16_gradients_are_a_tier_that_is_asked_for(name):
    spec = registry.build({"name": name})
    assert registry.spec(spec)["gradients"] == "float32"
    problem, low = build(name), build(name, gradients="bfloat16")
    full, rough = rows_of(problem, 1, range(3)), rows_of(low, 1, range(3))
    assert torch.equal(full, rows_of(build(name, gradients="float32"), 1, range(3)))
    assert rough.dtype == torch.float32
    error = (rough - full).norm(dim=1) / full.norm(dim=1)
    assert (error > 1e-4).all()  # coarser than float32, in every row
    assert (error < 0.2).all()
    assert low.evaluate(low.x0()) == problem.evaluate(problem.x0())
    with pytest.raises(ConfigError, match="gradients"):
        build(name, gradients="float16")


def test_passes_are_those_of_the_run_whoever_asks():
    assert [list(p) for p in build("mnist_cnn", workers=8).worker_groups()] == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
    ]
    assert list(map(len, build("mnist_cnn", workers=16).worker_groups())) == [4] * 4
    assert list(map(len, build("mnist_cnn", workers=7, per_pass=3).worker_groups())) == [3, 3, 1]
    assert list(map(len, normed(workers=2, per_pass=2).worker_groups())) == [1, 1]
    problem = build("mnist_cnn", workers=8, per_pass=4)
    joint = rows_of(problem, 1, range(8))
    assert torch.equal(rows_of(problem, 1, range(4, 8)), joint[4:])


@pytest.mark.parametrize("name", CHEAP)
def test_the_global_generator_is_untouched(name):
    state = torch.get_rng_state()
    problem = build(name)
    rows_of(problem, 1, range(3))
    problem.evaluate(problem.x0())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_start_depends_on_the_seed_and_is_a_copy():
    problem = build("mnist_cnn")
    problem.x0().zero_()
    assert problem.x0().abs().sum() > 0
    assert not torch.equal(problem.x0(), build("mnist_cnn", seed=1).x0())
    assert torch.equal(problem.x0(), build("mnist_cnn", workers=2).x0())


@pytest.mark.parametrize("name", ["mnist_cnn", "imdb_lstm"])
def test_evaluation_is_the_mean_over_the_sets(name):
    """Against one sample at a time."""
    found, _ = CASES[name]
    problem = build(name, train_limit=24, eval_train=10, valid_fraction=0.25)
    train, valid = held_out(len(found.tensors["train_labels"]), 24, 0.25)
    x = problem.x0()
    measured = problem.evaluate(x)
    splits, model = problem.splits, problem.model.eval()
    expected = {}
    for key, samples, rows in (
        ("train", splits.train, train[:10]),
        ("valid", splits.train, valid),
        ("test", splits.test, torch.arange(len(splits.test))),
    ):
        pairs = []
        for row in rows:
            inputs, labels = samples.batch(row[None])
            logits = torch.func.functional_call(model, named(problem, x), (inputs,))[0].double()
            loss = torch.logsumexp(logits, 0) - logits[labels[0]]
            pairs.append((loss.item(), float(logits.argmax() == labels[0])))
        expected[key] = torch.tensor(pairs, dtype=torch.float64).mean(0).tolist()
    assert measured.loss_train == pytest.approx(expected["train"][0], rel=1e-5)
    assert measured.loss_valid == pytest.approx(expected["valid"][0], rel=1e-5)
    assert measured.metric_valid == pytest.approx(expected["valid"][1])
    assert measured.loss_test == pytest.approx(expected["test"][0], rel=1e-5)
    assert measured.metric_test == pytest.approx(expected["test"][1])
    assert (problem.train_size, problem.steps_per_epoch) == (18, 1)
    assert problem.evaluate(x) == measured


def test_limits_of_the_evaluation():
    problem = build("mnist_cnn", eval_test=7)
    x = problem.x0()
    kept = fixed_order(60)[:7]
    found = images()
    tensors = found.tensors | {
        f"test_{part}": found.tensors[f"test_{part}"][kept] for part in ("images", "labels")
    }
    whole = build("mnist_cnn", found=dataset(tensors)).evaluate(x)
    assert problem.evaluate(x).loss_test == pytest.approx(whole.loss_test, rel=1e-6)
    assert problem.evaluate(x).metric_test == whole.metric_test
    assert math.isnan(problem.evaluate(x).loss_valid)
    with pytest.raises(ConfigError, match=r"problem.eval_test: 61 is above the 60"):
        build("mnist_cnn", eval_test=61)
    with pytest.raises(ConfigError, match=r"problem.eval_train: 21 is above the 20"):
        build("mnist_cnn", train_limit=20, eval_train=21)


def test_data_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match=r"has no images of \(3, 32, 32\)"):
        build("cifar_lenet5", found=images())
    with pytest.raises(ConfigError, match="has no tokens"):
        build("imdb_lstm", found=images())
    with pytest.raises(ConfigError, match=r"problem.batch: .*greater than 0"):
        registry.build({"name": "mnist_cnn", "batch": 0})


PAD = 32 // 8  # pixels of zeros on each side


def test_crops_and_flips_are_windows_of_the_padded_image():
    pixels = images((3, 32, 32)).tensors["train_images"][:40]
    out = crop_and_flip(pixels, torch.Generator().manual_seed(4))
    padded = functional.pad(pixels, (PAD,) * 4)
    seen = set()
    for image, frame in zip(out, padded, strict=True):
        windows = {
            (top, left, flip): crop.flip(2) if flip else crop
            for top in range(2 * PAD + 1)
            for left in range(2 * PAD + 1)
            for flip in (False, True)
            for crop in [frame[:, top : top + 32, left : left + 32]]
        }
        places = [place for place, window in windows.items() if torch.equal(window, image)]
        assert len(places) == 1
        seen.add(places[0])
    assert len({top for top, _, _ in seen}) > 5
    assert {flip for _, _, flip in seen} == {False, True}


def photos(classes=7, size=64, train=40):
    """As the sets of photographs are prepared."""
    found = images((3, size, size), train=train, test=6)
    tensors = found.tensors | {
        "classes": torch.tensor(list("\n".join(map(str, range(classes))).encode())),
        "channels": torch.tensor([[0.4, 0.5, 0.6], [0.2, 0.3, 0.4]], dtype=torch.float64),
    }
    for split in ("train", "test"):
        tensors[f"{split}_labels"] = tensors[f"{split}_labels"] % classes
    return dataset(tensors)


def test_classes_and_channels_are_those_of_the_data_set():
    problem = build("tiny_imagenet_small", found=photos())
    assert dict(zip(problem.layout.names, problem.layout.shapes, strict=True))["fc2.bias"] == (7,)
    assert build("cifar_lenet5", found=photos(100, 32)).dim == 62_006 + 90 * 85
    found = photos()
    batch, _ = problem.splits.train.batch(torch.tensor([3]))
    expected = found.tensors["train_images"][3, 1] / 255
    torch.testing.assert_close(batch[0, 1], (expected - 0.5) / 0.3, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match=r"has no images of \(3, 64, 64\)"):
        build("tiny_imagenet_small", found=images((3, 64, 64)))  # nothing says their channels


def test_augmentation_can_be_left_out():
    plain = build("cifar_lenet5", augment=False)
    assert not torch.equal(rows_of(plain, 1, [0]), rows_of(build("cifar_lenet5"), 1, [0]))


@dataclass(frozen=True, kw_only=True)
class NormedCNN(Normed, MnistCNN):
    """A small network with batch-norm on the images of MNIST."""

    architecture = staticmethod(
        lambda classes: nn.Sequential(
            nn.Conv2d(1, 2, 5, stride=4), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, classes)
        )
    )


def normed(workers=3, **fields):
    spec = NormedCNN(batch=4, valid_fraction=0.0, **fields)
    return spec.bind(CASES["mnist_cnn"][0], workers, Seeds(0), CPU)


def running(problem, steps):
    """Mean and variance `[n, 2]` of each worker after `steps` rounds at x0, written out naively."""
    found, _ = CASES["mnist_cnn"]
    w = named(problem, problem.x0())
    mean, var = torch.zeros(problem.workers, 2), torch.ones(problem.workers, 2)
    for step in range(1, steps + 1):
        for worker in range(problem.workers):
            rows = worker_rows(found, problem, worker, step, 4)
            pixels = (found.tensors["train_images"][rows, None] / 255 - 0.1307) / 0.3081
            h = functional.conv2d(pixels, w["0.weight"], w["0.bias"], stride=4).transpose(0, 1)
            mean[worker] = 0.9 * mean[worker] + 0.1 * h.flatten(1).mean(1)
            var[worker] = 0.9 * var[worker] + 0.1 * h.flatten(1).var(1, unbiased=True)
    return mean, var


@pytest.mark.parametrize("policy", ["worker_0", "averaged"])
def test_evaluation_uses_the_running_statistics_of_the_policy(policy):
    found, _ = CASES["mnist_cnn"]
    problem = normed(statistics=policy)
    x = problem.x0()
    problem.evaluate(x)  # it leaves no trace
    for step in (1, 2):
        rows_of(problem, step, range(3))
    mean, var = running(problem, 2)
    mean, var = (mean[0], var[0]) if policy == "worker_0" else (mean.mean(0), var.mean(0))
    w = named(problem, x)
    pixels = (found.tensors["test_images"][:, None] / 255 - 0.1307) / 0.3081
    h = functional.conv2d(pixels, w["0.weight"], w["0.bias"], stride=4)
    h = (h - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    logits = functional.linear(h.flatten(1), w["3.weight"], w["3.bias"])
    expected = functional.cross_entropy(logits, found.tensors["test_labels"])
    assert problem.evaluate(x).loss_test == pytest.approx(expected.item(), rel=1e-5)
    assert problem.joint_state == (policy == "averaged")


def test_policies_differ_in_evaluation_alone():
    policies = [normed(statistics=policy) for policy in ("worker_0", "averaged")]
    rows = [rows_of(problem, 1, range(3)) for problem in policies]
    assert torch.equal(*rows)
    ours, theirs = (problem.evaluate(problem.x0()) for problem in policies)
    assert ours.loss_test != theirs.loss_test
    with pytest.raises(ConfigError, match=r"statistics: .*'worker_0' or 'averaged'"):
        registry.build({"name": "cifar_resnet18", "statistics": "worker_1"})


def test_statistics_of_workers_who_are_not_evaluated_are_not_kept():
    problem = normed()
    fresh = problem.state_dict()
    rows_of(problem, 1, [1, 2])
    assert all(torch.equal(value, fresh[name]) for name, value in problem.state_dict().items())
    rows_of(problem, 1, [0])
    assert not torch.equal(problem.state_dict()["1.running_mean"], fresh["1.running_mean"])


@pytest.mark.parametrize("policy", ["worker_0", "averaged"])
def test_statistics_travel_in_the_state(policy):
    whole, cut = normed(statistics=policy), normed(statistics=policy)
    x = whole.x0()
    first = rows_of(whole, 1, range(3))
    rows_of(whole, 2, range(3))
    assert torch.equal(rows_of(cut, 1, range(3)), first)
    assert cut.evaluate(x) != whole.evaluate(x)
    other = normed(statistics=policy)
    other.load_state_dict(cut.state_dict())
    rows_of(other, 2, range(3))
    assert other.evaluate(x) == whole.evaluate(x)
    assert torch.equal(rows_of(other, 1, [1])[0], first[1])  # in training they play no part
    with pytest.raises(ConfigError, match="checkpoint holds problem state"):
        other.load_state_dict({})
    with pytest.raises(ConfigError, match="checkpoint holds problem state"):
        normed(workers=2, statistics="averaged").load_state_dict(whole.state_dict())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("cifar_resnet18", 32),
        ("cifar_vgg16_bn", 32),
        ("cifar_wrn16_4", 32),
        ("imagenet_resnet50", 33),
    ],
)
def test_networks_of_paper_scale_give_a_gradient_everywhere(name, size):
    spec = registry.build({"name": name, "batch": 2, "augment": False})
    problem = spec.bind(photos(10, size, train=4), 1, Seeds(0), CPU)
    row = rows_of(problem, 1, [0])[0]
    assert torch.isfinite(row).all()
    quiet = [n for n, part in named(problem, row).items() if not part.abs().sum() > 0]
    assert quiet == []
    assert math.isfinite(problem.evaluate(problem.x0()).loss_test)


def test_problems_without_statistics_have_no_state():
    assert build("mnist_cnn").state_dict() == {}
