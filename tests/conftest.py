import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)  # the tests run in several processes at once
settings.register_profile("nmfnet", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nmfnet")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
