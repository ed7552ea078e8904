"""Jobs side by side on one machine take different GPUs."""

import subprocess
import sys
import tempfile

import pytest

from wiregrad.runs import gpu

HOLD = """
import sys, tempfile
from wiregrad.runs import gpu
tempfile.tempdir = sys.argv[1]
print(gpu.claim("auto"), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(gpu, "_held", [])
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")


def hold(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def test_two_processes_take_two_gpus_and_a_killed_one_frees_its_own(tmp_path):
    first, gpu_of_first = hold(tmp_path)
    second, gpu_of_second = hold(tmp_path)
    first.kill()
    first.communicate()
    third, gpu_of_third = hold(tmp_path)
    for process in (second, third):
        process.communicate("")
    assert (gpu_of_first, gpu_of_second, gpu_of_third) == ("GPU-a", "GPU-b", "GPU-a")


def test_a_claim_narrows_what_torch_will_see(monkeypatch):
    assert gpu.claim("cuda") == "GPU-a"
    assert gpu.visible() == ["GPU-a"]


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_named_device_claims_nothing(device):
    assert gpu.claim(device) is None
    assert gpu.visible() == ["GPU-a", "GPU-b"]


def test_slurm_deals_out_gpus_itself(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert gpu.claim("auto") is None


def test_no_gpu_no_claim(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu.claim("auto") is None
