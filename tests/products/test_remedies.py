from __future__ import annotations

import pytest

from lab.products import PRODUCTS, Product
from lab.products.remedies import verified_remedy
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
