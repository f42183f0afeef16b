"""The alternation's extrapolation, number by number, with steps that move H by 1 and Z by 10."""

from types import SimpleNamespace

import pytest
import torch

from nmfnet.factorization.acceleration import MAX_MOMENTUM, alternate


class Walk:
    """A problem whose steps are known; its objective falls by 1 a pass, but not in those of `rises`."""

    signed, kept, by_objective = True, 0.0, False
    data = SimpleNamespace(laid_out=lambda F: F.clone())

    def __init__(self, rises=(), multiplicative=False, residuals=(1.0, 1.0)):
        self.rises, self.multiplicative, self.residuals = rises, multiplicative, residuals
        self.begun, self.passes, self.measured = [], 0, []

    def step(self, Z, H, out, most=None, measure_z=False, measure_h=False):
        self.passes += 1
        self.begun.append((float(Z), float(H)))
        self.measured.append((measure_z, measure_h))
        out.copy_(Z + 10)
        H += 1
        objective = 1000.0 - self.passes + (50 if self.passes in self.rises else 0)
        z, h = self.residuals
        return SimpleNamespace(objective=objective, z_residual=z, h_residual=h)


def walked(n, **options):
    problem = Walk(**options)
    done = alternate(problem, torch.zeros(1, 1), torch.zeros(1, 1), n, 0.0)
    assert done.n_iter == n == problem.passes
    return problem.begun


def test_steps_go_on_by_more_and_more_of_the_last_one():
    begun = [(0.0, 0.0), (10.0, 1.0)]  # beta = 0 in the second pass
    Z, H, Z_last, H_last = 20.0, 2.0, 10.0, 1.0
    for t in range(2, 40):
        beta = min(0.97, (t - 1) / (t + 5))
        begun.append((Z_last + (1 + beta) * (Z - Z_last), H_last + (1 + beta) * (H - H_last)))
        Z_last, H_last, (Z, H) = Z, H, (begun[-1][0] + 10, begun[-1][1] + 1)
    found = walked(40)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(begun), rtol=1e-4, atol=0)


def test_the_extrapolation_has_a_limit():
    found = walked(250)
    assert MAX_MOMENTUM < 249 / 255
    before, last, now = (found[i][1] for i in (-3, -2, -1))
    # A step of 1 lies between what a pass begins with and what it ends with.
    assert now == pytest.approx(before + 1 + (1 + MAX_MOMENTUM) * (last - before), rel=1e-4)


def test_a_rise_is_taken_back_and_halves_the_count():
    found = walked(8, rises=(6,))
    Z, H = [each[0] for each in found], [each[1] for each in found]
    assert (Z[6], H[6]) == pytest.approx((Z[4] + 10, H[4] + 1))  # the plain step after the fifth pass, t = 5
    # Then t = 2: beta = 1 / 7.
    assert H[7] == pytest.approx(H[4] + 1 + (1 + 1 / 7) * (H[6] + 1 - H[4] - 1))


def test_multiplicative_steps_are_not_extrapolated():
    assert walked(20, multiplicative=True) == [(10.0 * i, 1.0 * i) for i in range(20)]


def test_it_ends_where_nothing_but_rounding_is_left():
    problem = Walk(rises=(4, 5))  # neither the extrapolated step nor the plain one gets lower
    done = alternate(problem, torch.zeros(1, 1), torch.zeros(1, 1), 100, 0.0)
    assert done.converged and done.n_iter == 5
    assert (float(done.Z), float(done.H)) == pytest.approx((problem.begun[2][0] + 10, problem.begun[2][1] + 1))


@pytest.mark.parametrize(
    ("residuals", "passes"), [((0.1, 0.1), 2), ((0.5, 0.1), 30), ((0.1, 0.5), 30)], ids=["both", "H alone", "Z alone"]
)
def test_both_gradients_must_be_small(residuals, passes):
    problem = Walk(residuals=residuals)
    done = alternate(problem, torch.zeros(1, 1), torch.zeros(1, 1), 30, 0.2)
    assert (done.n_iter, done.converged) == (passes, passes == 2)
    # That of Z costs a product, and is measured only where that of H is small.
    assert problem.measured[0] == (False, True) and problem.measured[1] == (residuals[1] < 0.2, True)
