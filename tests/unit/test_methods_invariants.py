"""Invariants of the methods, on the simulated channel with gradients that the test makes up."""

import pytest
import torch
from rounds import D, N, Rounds, noise

from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.methods import Step, registry
from wiregrad.runtimes.distributed.runtime import own_row
from wiregrad.theory import comp_ams as theory

TOP_K = {"name": "top_k", "k": 3}
BLOCK_SIGN = {"name": "block_sign"}


@pytest.mark.parametrize("compressor", [TOP_K, BLOCK_SIGN])
def test_what_was_sent_and_the_residual_add_up_to_the_gradients(compressor: dict) -> None:
    rounds = Rounds({"name": "comp_ams", "compressor": compressor})
    gradients, total, sent = noise(), torch.zeros(N, D).double(), torch.zeros(N, D).double()
    for t in range(1, 51):
        g = gradients(rounds.state.replica.x, t)
        rounds.round(g, Step(t, 50, 0.01))
        total += g
        sent += rounds.up.received.rows()
        torch.testing.assert_close(sent + rounds.state.workers.error, total)
    assert rounds.state.workers.error.norm() > 0.1


@pytest.mark.parametrize("shape", [(D,), (1, D), (N, D)])
def test_error_feedback_takes_one_vector_or_rows(shape: tuple[int, ...]) -> None:
    """The downlink sends `[d]`, a process with one worker `[1, d]`; the residual is in place."""
    rounds = Rounds({"name": "comp_ams", "compressor": TOP_K})
    generator = torch.Generator().manual_seed(0)
    x, before = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    residual = before.clone()
    rounds.up.error_feedback(rounds.method.compressor, x, residual)
    rows = x.numel() // D
    sent = rounds.up.received.rows()[:rows].view(shape)
    assert int((sent != 0).sum()) == 3 * rows
    torch.testing.assert_close(sent + residual, x + before)


def test_ef_sgd_keeps_its_residual_in_units_of_x() -> None:
    """x + mean residual is where uncompressed SGD with the same gradients stands, at any rate."""
    schedule = {"milestones": [10, 20], "factor": 0.1}
    rounds = Rounds({"name": "ef_sgd", "compressor": TOP_K, "lr": 0.1, "schedule": schedule})
    gradients, ideal = noise(), torch.zeros(D).double()
    for t in range(1, 31):
        g, lr = gradients(rounds.state.replica.x, t), rounds.method.lr_at(t - 1)
        rounds.round(g, Step(t, 30, lr))
        ideal -= lr * g.mean(0)
        behind = rounds.state.workers.error.mean(0)
        torch.testing.assert_close(rounds.state.replica.x - behind, ideal)
    assert behind.norm() > 1e-3


@pytest.mark.parametrize("compressor", [TOP_K, BLOCK_SIGN, {"name": "identity"}])
@pytest.mark.parametrize("scale", [0.1, 100.0])
def test_residual_and_second_moment_stay_within_the_lemmas(compressor: dict, scale: float) -> None:
    rounds = Rounds({"name": "comp_ams", "compressor": compressor})
    contract = rounds.up.blocked(rounds.method.compressor).contract()
    setting = theory.Setting(L=1, G=scale, q=theory.deviation(contract), n=N, d=D)
    gradients, largest = noise(limit=scale), 0.0
    for t in range(1, 201):
        rounds.round(gradients(rounds.state.replica.x, t), Step(t, 200, 0.01))
        largest = max(largest, float(rounds.state.workers.error.square().sum(1).max()))
    assert largest <= theory.residual_bound(setting)
    assert (largest > 0) == (setting.q > 0)
    assert 0 < float(rounds.state.server.v_hat.max()) <= theory.second_moment_bound(setting)


@pytest.mark.parametrize(
    ("eps", "eps_inside"), [(1e-30, True), (1e-4, False)], ids=["text", "scripts"]
)
def test_dist_ams_is_amsgrad_of_torch_but_for_the_bias_correction(
    eps: float, eps_inside: bool
) -> None:
    """torch divides m by 1-b1^t and √v̂ by √(1-b2^t) before it adds eps: a rate and an eps a step.

    eps inside the root has no counterpart in torch, so there it is too small to matter.
    """
    lr, steps, betas = 0.01, 40, (0.9, 0.999)
    rounds = Rounds({"name": "dist_ams", "lr": lr, "eps": eps, "eps_inside": eps_inside})
    theirs = torch.nn.Parameter(torch.zeros(D, dtype=torch.float64))
    optimiser = torch.optim.Adam([theirs], betas=betas, amsgrad=True)
    gradients = noise()
    for t in range(1, steps + 1):
        g = gradients(rounds.state.replica.x, t)
        rounds.round(g, Step(t, steps, lr))
        first, second = 1 - betas[0] ** t, (1 - betas[1] ** t) ** 0.5
        optimiser.param_groups[0].update(lr=lr * first / second, eps=eps / second)
        theirs.grad = g.mean(0)
        optimiser.step()
        torch.testing.assert_close(rounds.state.replica.x, theirs.data, rtol=1e-9, atol=1e-12)


def test_dist_sgd_is_sgd_of_torch_with_momentum() -> None:
    rounds = Rounds({"name": "dist_sgd", "lr": 0.1, "momentum": 0.9})
    theirs = torch.nn.Parameter(torch.zeros(D, dtype=torch.float64))
    optimiser = torch.optim.SGD([theirs], lr=0.1, momentum=0.9)
    gradients = noise()
    for t in range(1, 31):
        g = gradients(rounds.state.replica.x, t)
        rounds.round(g, Step(t, 30, 0.1))
        theirs.grad = g.mean(0)
        optimiser.step()
        torch.testing.assert_close(rounds.state.replica.x, theirs.data, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("compressed", "dense"),
    [("comp_ams", "dist_ams"), ("naive", "dist_ams"), ("naive_sgd", "dist_sgd")],
)
def test_with_the_identity_a_method_is_its_uncompressed_form(compressed: str, dense: str) -> None:
    found = []
    for spec in ({"name": compressed, "compressor": "identity"}, {"name": dense}):
        rounds = Rounds(spec)
        rounds.run(noise(), 30)
        found.append((rounds.state.replica.x, rounds.up.meter, rounds.down.meter))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1:] == found[1][1:]


@pytest.mark.parametrize("name", ["comp_ams", "qadam"])
def test_a_shared_state_differs_from_one_a_worker_unless_there_is_one(name: str) -> None:
    distance = {}
    for n in (1, N):
        found = []
        for shared in (False, True):
            spec = {"name": name, "compressor": TOP_K, "shared_state": shared}
            rounds = Rounds(spec, n)
            rounds.run(noise(n=n), 20)
            found.append(rounds.state.replica.x)
        distance[n] = float((found[0] - found[1]).norm())
    assert distance[1] == 0
    assert distance[N] > 1e-3


def test_without_error_feedback_a_coordinate_may_never_be_heard() -> None:
    """Top-1 of (2, ..., 1): the small coordinate is sent only once it has piled up."""

    def gradients(x: torch.Tensor, t: int) -> torch.Tensor:
        g = torch.full((1, D), 1.0, dtype=torch.float64)
        g[0, 0] = 2
        return g

    moved = {}
    for name in ("naive_sgd", "ef_sgd"):
        rounds = Rounds({"name": name, "compressor": {"name": "top_k", "k": 1}}, n=1)
        rounds.run(gradients, 60)
        moved[name] = int((rounds.state.replica.x != 0).sum())
    assert moved == {"naive_sgd": 1, "ef_sgd": D}


@pytest.mark.parametrize("name", ["one_bit_adam", "one_bit_adam_published"])
def test_one_bit_adam_freezes_v_after_the_warm_up(name: str) -> None:
    rounds = Rounds({"name": name, "warmup": 0.25})
    gradients, v = noise(), []
    for t in range(1, 41):
        rounds.round(gradients(rounds.state.replica.x, t), Step(t, 40, 0.01))
        v.append(rounds.state.replica.v.clone())
    changed = [t for t in range(2, 41) if not torch.equal(v[t - 1], v[t - 2])]
    assert changed == list(range(2, 11))


@pytest.mark.parametrize(
    "name", ["one_bit_adam", "one_bit_adam_published", "one_bit_adam_gradients"]
)
def test_a_warm_up_in_rounds_does_not_depend_on_the_budget(name: str) -> None:
    for total in (12, 400):
        rounds = Rounds({"name": name, "warmup_rounds": 7})
        gradients, v = noise(), []
        for t in range(1, 13):
            rounds.round(gradients(rounds.state.replica.x, t), Step(t, total, 0.01))
            v.append(rounds.state.replica.v.clone())
        changed = [t for t in range(2, 13) if not torch.equal(v[t - 1], v[t - 2])]
        assert changed == list(range(2, 8))


def test_the_papers_books_charge_the_warm_up_as_one_bit_and_the_wire_does_not() -> None:
    rounds = Rounds({"name": "one_bit_adam", "warmup": 0.5}, convention="comp_ams")
    rounds.run(noise(), 10)
    assert rounds.up.meter.paper == 10 * N * D
    assert rounds.up.meter.wire > 5 * N * D * 64


def test_one_bit_adam_compresses_one_way_as_run_and_both_as_published() -> None:
    wire = {}
    for name in ("one_bit_adam", "one_bit_adam_published"):
        rounds = Rounds({"name": name, "warmup": 0.01})
        rounds.run(noise(), 1)
        warm = rounds.down.meter.wire
        rounds.round(noise()(rounds.state.replica.x, 2), Step(2, 2, 0.01))
        wire[name] = (warm, rounds.down.meter.wire - warm)
    assert wire["one_bit_adam"][0] == wire["one_bit_adam"][1] > 64 * D
    assert wire["one_bit_adam_published"][1] < 64 * D / 4


def test_qadam_as_published_shows_the_workers_quantised_weights() -> None:
    rounds = Rounds({"name": "qadam_published", "weights": {"name": "top_k", "k": 5}})
    rounds.run(noise(), 10)
    x, seen = rounds.state.server.x, rounds.state.replica.x
    assert int((seen != 0).sum()) == 5 + 2 + 5  # of tensors with 12, 2 and 7
    assert torch.equal(seen[seen != 0], x[seen != 0])
    assert int((x != 0).sum()) == D


@pytest.mark.parametrize("name", list(registry))
def test_a_process_that_has_one_worker_says_what_the_worker_says_in_the_batch(name: str) -> None:
    """Rows are independent: a worker's message depends on its own row and the replica alone."""
    together = Rounds(example(name))
    apart = [alone(name, i) for i in range(N)]
    gradients = noise()
    for t in range(1, 11):
        g, step = gradients(together.state.replica.x, t), Step(t, 10, 0.01)
        together.round(g, step)
        for i, one in enumerate(apart):
            one.up.open(measure=False)
            one.method.work(one.state.workers, one.state.replica, g[i : i + 1], one.up, step)
            assert torch.equal(one.up.received.rows()[0], together.up.received.rows()[i])
            one.method.move(one.state.replica, together.down.received.rows()[0], step)
            assert torch.equal(one.state.replica.x, together.state.replica.x)


def example(name: str) -> dict:
    takes_one = "compressor" in registry[name].__dataclass_fields__
    return {"name": name} | ({"compressor": TOP_K} if takes_one else {}) | registry[name].example()


def alone(name: str, i: int) -> Rounds:
    """What the process of worker i holds."""
    one = Rounds(example(name), n=1)
    everyone = one.method.init(torch.zeros(D, dtype=torch.float64), N)
    one.state = everyone._replace(workers=own_row(everyone.workers, i, N, name))
    one.up.generators = [Seeds(0).generator("compressor", "uplink", i)]
    return one


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "dist_ams"}, "method.lr: Field required"),
        ({"name": "dist_ams", "lr": 0}, "method.lr: Input should be greater than 0"),
        ({"name": "dist_ams", "lr": float("inf")}, "method.lr: .*finite"),
        ({"name": "dist_ams", "lr": 1, "beta2": 1.0}, "method.beta2: .*less than 1"),
        ({"name": "dist_ams", "lr": 1, "eps": 0}, "method.eps: .*greater than 0"),
        ({"name": "dist_ams", "lr": 1, "compressor": "identity"}, "method.compressor: unknown key"),
        ({"name": "comp_ams", "lr": 1}, "method.compressor: Field required"),
        ({"name": "comp_ams", "lr": 1, "compressor": "topk"}, "method.compressor.name: unknown"),
        ({"name": "one_bit_adam", "lr": 1, "warmup": 0}, "method.warmup: .*greater than 0"),
        ({"name": "dist_sgd", "lr": 1, "momentum": -0.1}, "method.momentum: .*greater than or"),
        ({"name": "dist_sgd", "lr": 1, "blocks": "tensor"}, "method.blocks: .*'per_tensor'"),
        (
            {"name": "dist_sgd", "lr": 1, "schedule": {"milestones": [1], "factr": 1}},
            "method.schedule.factr: unknown key",
        ),
    ],
)
def test_a_bad_value_gives_one_line_with_the_key(spec: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        registry.build(spec, "method")
    assert "\n" not in str(caught.value)
