"""Carbon embodied in hardware: the standard's own example, shares of a life, ranges by method."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_energy.carbon.embodied import LIFE_S, of_gpu, share_g, table

kilograms = st.floats(1, 1e5)
seconds = st.floats(0, LIFE_S)
parts = st.floats(0, 1)


def test_the_worked_example_of_the_standard_comes_out() -> None:
    """1000 kg over 4 years, reserved for an hour: about 28.5 g (GSF SCI specification, M)."""
    assert share_g(1000.0, 3600.0) == pytest.approx(28.5, abs=0.05)


@given(kilograms, st.lists(seconds, max_size=5))
def test_the_shares_of_uses_add_up_to_that_of_one_long_use(kg: float, uses: list[float]) -> None:
    assert sum(share_g(kg, use) for use in uses) == pytest.approx(share_g(kg, sum(uses)))


@given(kilograms)
def test_a_whole_life_accounts_for_all_that_was_embodied(kg: float) -> None:
    assert share_g(kg, LIFE_S) == pytest.approx(kg * 1000)


@given(kilograms, seconds, parts, st.floats(1, 10))
def test_a_share_grows_with_what_is_reserved_and_falls_with_a_longer_life(
    kg: float, reserved_s: float, part: float, times: float
) -> None:
    whole = share_g(kg, reserved_s)
    assert share_g(kg, reserved_s, reserved_share=part) == pytest.approx(whole * part)
    assert share_g(kg, reserved_s, LIFE_S * times) == pytest.approx(whole / times)


def test_a_card_with_two_methods_has_both_as_its_bounds_and_names_them() -> None:
    found = of_gpu("NVIDIA H100 80GB HBM3")
    assert found is not None
    assert (found.low_kg, found.high_kg) == (164, 575.1)
    assert "NVIDIA HGX H100 PCF" in found.basis
    assert "BoaviztAPI" in found.basis


def test_a_card_with_one_method_is_a_range_all_the_same_and_says_so() -> None:
    found = of_gpu("Tesla T4")
    assert found is not None
    assert found.high_kg == 130.7
    assert found.low_kg == pytest.approx(130.7 / 3.5)
    assert "the lower bound is 1/3.5" in found.basis


@pytest.mark.parametrize(
    "name",
    ["NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB", "nvidia  a100-sxm4-40gb", "Tesla P100-PCIE-16GB"],
)
def test_a_card_is_known_by_the_name_that_any_driver_gives_it(name: str) -> None:
    assert of_gpu(name) is not None


@pytest.mark.parametrize(
    "name", ["NVIDIA H100 NVL", "NVIDIA A10G", "NVIDIA GeForce RTX 3050", "NVIDIA GPU", "", "cpu"]
)
def test_a_card_of_another_kind_has_no_figure_rather_than_its_neighbours(name: str) -> None:
    assert of_gpu(name) is None


def test_every_card_is_a_range_with_a_source() -> None:
    assert len(table()) >= 14
    for name, found in table().items():
        assert 0 < found.low_kg < found.high_kg, name
        assert found.basis, name
