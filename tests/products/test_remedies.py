from __future__ import annotations

import pytest

from lab.products import PRODUCTS, Product
from lab.products.remedies import settings_of, verified_remedy
from lab.vocabulary import Trouble

WITH_REMEDY = [each for each in PRODUCTS.values() if each.remedy is not None and Trouble.HOLDING in each.remedy.begins]


@pytest.mark.parametrize("product", WITH_REMEDY, ids=lambda each: each.name)
def test_lines_that_a_configuration_has_are_no_remedy(product: Product) -> None:
    """Whoever deploys them already is not told to; whoever has another line is."""
    assert product.title in verified_remedy(product.title, Trouble.HOLDING, "listen 80;")
    everything = "\n".join(
        file.read_text() for file in (product.recommended, *(product.folder.parents[2] / "nginx").glob("*.conf"))
    )
    assert verified_remedy(product.title, Trouble.HOLDING, everything) == ""


@pytest.mark.parametrize("product", WITH_REMEDY, ids=lambda each: each.name)
def test_timeouts_that_are_tried_are_longer_than_the_longest_wait(product: Product) -> None:
    """However the product's language writes the ten minutes of its tested lines."""
    timeouts = [line for line in settings_of(product, 3600.0) if "timeout" in line and "43" in line]
    assert timeouts
    assert all("4320s" in line for line in timeouts)
    assert [line for line in settings_of(product, 1.0) if "600s" in line] == [
        line.replace("4320s", "600s") for line in timeouts
    ]
