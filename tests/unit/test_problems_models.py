"""The networks' own layers against torch's, and their numbers of parameters."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from wiregrad import kernels
from wiregrad.problems.models import convnets, layers, lstm, per_worker, resnet, vgg, wide

D = {
    convnets.MnistCNN: 21_840,
    convnets.LeNet5: 62_006,
    convnets.LeNet: 541_094,
    convnets.TinyNet: 299_602,
    resnet.resnet18_cifar: 11_173_962,
    lambda: resnet.resnet18_cifar(200): 11_271_432,
    resnet.resnet50_imagenet: 25_557_032,
    lambda: resnet.resnet50_imagenet(100): 23_712_932,
    vgg.vgg16_bn_cifar: 14_728_266,
    wide.wrn16_4: 2_748_890,
    lambda: lstm.ReviewLSTM(2000): 93_442,
}


@pytest.mark.parametrize(("model", "d"), D.items(), ids=[str(d) for d in D.values()])
def test_number_of_parameters(model, d):
    with torch.device("meta"):  # shapes without values
        built = model()
    assert sum(p.numel() for p in built.parameters()) == d
    assert getattr(built, "dim", d) == d


@pytest.mark.parametrize("path", [*kernels.available(), "off"])
@pytest.mark.parametrize("channels", [3, 8, 10, 16, 33])
def test_pooling_with_relu_is_torch_s_to_the_bit_ties_included(path, channels):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-2, 3, (4, channels, 8, 6), generator=generator).float()
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    grad = torch.randn(4, channels, 4, 3, generator=generator)
    grad[0] = -0.0
    theirs = functional.max_pool2d(x, 2).relu()
    with kernels.using(path):
        ours = layers.pool_relu(x)
        (down,) = torch.autograd.grad(ours, x, grad)
    (expected,) = torch.autograd.grad(theirs, x, grad)
    for mine, wanted in ((ours, theirs), (down, expected)):
        assert torch.equal(mine.view(torch.int32), wanted.view(torch.int32))
    if channels >= 8 and path != "off":
        assert type(ours.grad_fn).__name__ == "_PoolReLUBackward"


def test_pooling_keeps_nan():
    x = torch.zeros(1, 16, 2, 2).contiguous(memory_format=torch.channels_last)
    for place in ((0, 0), (0, 1), (1, 0), (1, 1)):
        one = x.clone()
        one[0, 3, place[0], place[1]] = torch.nan
        pooled = layers.pool_relu(one)
        assert pooled[0, 3].isnan().all()
        assert pooled.isnan().sum() == 1


@pytest.mark.parametrize("channels", [False, True])
def test_dropout_draws_each_worker_s_part_from_its_own_generator(channels):
    drop = layers.Dropout(0.25, channels=channels)
    x = torch.ones(6, 5, 2, 2) if channels else torch.ones(6, 5)
    drop.generators = [torch.Generator().manual_seed(s) for s in (1, 2, 3)]
    out = drop(x)
    for worker, seed in enumerate((1, 2, 3)):
        alone = torch.empty(2, 5).bernoulli_(0.75, generator=torch.Generator().manual_seed(seed))
        part = out[2 * worker : 2 * worker + 2]
        assert torch.equal(part[..., 0, 0] if channels else part, alone / 0.75)
        if channels:
            assert torch.equal(part, part[..., :1, :1].expand_as(part))
    assert drop.eval()(x) is x
    drop.train().generators = ()
    with pytest.raises(RuntimeError, match="needs generators"):
        drop(x)


def rows_for(module, m):
    """Rows of NaN, one apart from the next, for the gradients of `module`."""
    return {
        name: torch.full((m, p.numel() + 1), torch.nan, dtype=p.dtype)[:, 1:].view(m, *p.shape)
        for name, p in module.named_parameters()
    }


def apart(module, inputs, m):
    """Gradients of a fixed scalar of the output, for each worker with torch's own layer."""
    each = []
    for part in inputs.chunk(m):
        module.zero_grad()
        module(part).square().sum().backward()
        each.append([p.grad.clone() for p in module.parameters()])
    return [torch.stack(grads) for grads in zip(*each, strict=True)]


@pytest.mark.parametrize(
    ("ours", "theirs", "shape"),
    [
        (per_worker.Linear(5, 3), nn.Linear(5, 3), (12, 5)),
        (per_worker.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1), (12, 2, 6, 6)),
        (per_worker.Conv2d(2, 3, 2, stride=2), nn.Conv2d(2, 3, 2, stride=2), (12, 2, 6, 6)),
    ],
    ids=["linear", "conv", "strided"],
)
def test_layers_keep_the_workers_gradients_apart(ours, theirs, shape):
    ours, theirs = ours.double(), theirs.double()
    rows = rows_for(nn.Sequential(ours), 4)
    theirs.load_state_dict(ours.state_dict())
    inputs = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs.requires_grad_()
    with per_worker.gradients_into(nn.Sequential(ours), rows):
        loss = ours(inputs).square().sum()
    *grads, down = torch.autograd.grad(loss, [*ours.parameters(), inputs], allow_unused=True)
    assert grads == [None, None]  # autograd holds no copy of them
    for mine, expected in zip(rows.values(), apart(theirs, inputs, 4), strict=True):
        torch.testing.assert_close(mine, expected)
    (expected_down,) = torch.autograd.grad(theirs(inputs).square().sum(), inputs)
    torch.testing.assert_close(down, expected_down)
    assert torch.equal(ours(inputs), theirs(inputs))


def reviews(count, length, words):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, words + 2, (count, length), generator=generator)
    lengths = torch.randint(1, length + 1, (count,), generator=generator)
    return tokens.masked_fill(torch.arange(length) >= lengths[:, None], lstm.PADDING), lengths


def test_packing_goes_through_every_word_once():
    tokens, lengths = reviews(7, 9, 30)
    packing = lstm.Packing.of(tokens)
    assert sum(packing.sizes) == len(packing.tokens) == int(lengths.sum())
    for row in range(7):
        mine = packing.tokens[packing.sequence == row]
        assert torch.equal(mine, tokens[row, : lengths[row]])
    assert packing.sizes == sorted(packing.sizes, reverse=True)


def test_the_lstm_is_torch_s_and_its_gradients_are_kept_apart():
    m, each, words = 3, 4, 20
    net = lstm.ReviewLSTM(words, embedding=5, hidden=6).double()
    twin = nn.LSTM(5, 6, batch_first=True).double()
    twin.load_state_dict(net.lstm.state_dict())
    tokens, lengths = reviews(m * each, 11, words)

    def plain(rows):
        packed = nn.utils.rnn.pack_padded_sequence(
            functional.embedding(tokens[rows], net.embedding.weight),
            lengths[rows],
            batch_first=True,
            enforce_sorted=False,
        )
        _, (last, _) = functional_call(twin, dict(net.lstm.named_parameters()), (packed,))
        return functional.linear(
            functional.linear(last[0], net.fc1.weight, net.fc1.bias).relu(),
            net.fc2.weight,
            net.fc2.bias,
        )

    grads = rows_for(net, m)
    with per_worker.gradients_into(net, grads):
        logits = net(tokens)
    torch.testing.assert_close(logits, plain(slice(None)))
    with torch.no_grad():
        assert torch.equal(net(tokens), logits)
    parameters = list(net.parameters())
    found = torch.autograd.grad(logits.square().sum(), parameters, allow_unused=True)
    assert set(found) == {None}
    for worker in range(m):
        rows = slice(worker * each, (worker + 1) * each)
        expected = torch.autograd.grad(plain(rows).square().sum(), parameters)
        for mine, theirs in zip(grads.values(), expected, strict=True):
            torch.testing.assert_close(mine[worker], theirs)


def test_a_network_with_a_layer_that_cannot_keep_gradients_apart_is_refused():
    net = nn.Sequential(per_worker.Linear(2, 2), nn.Linear(2, 2))
    refusal = pytest.raises(TypeError, match=r"1\.weight: Linear gives no gradient per worker")
    with refusal, per_worker.gradients_into(net, rows_for(net, 2)):
        pass
    assert net[0].rows is None
