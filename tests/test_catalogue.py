"""The product catalogue: every file fits the schema, and nothing in the rules names a product."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmscan.catalogue_schema import check
from llmscan.products import Product, builtin_products

ROOT = Path(__file__).parent.parent
PRODUCTS = builtin_products()


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.id)
def test_product_fits_the_schema(product: Product) -> None:
    """Every product file holds only what docs/catalogue.md describes, and names only settings that it defines."""
    check(product)


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.id)
def test_every_pattern_compiles_and_every_fact_has_a_source(product: Product) -> None:
    """Identification compiles, and a product says where its facts come from."""
    assert product.images or product.commands or product.kinds or product.facts.get("probes")
    assert product.facts["sources"]


def test_rules_name_no_product() -> None:
    """Product knowledge is data: no module of rules holds the name of a product that serves models or stores their data."""
    names = {p.id for p in PRODUCTS if {"serves-models", "stores-vectors"} & set(p.roles)}
    for module in sorted((ROOT / "plugins").glob("*.py")):
        words = set(re.findall(r"[a-z][a-z0-9-]{2,}", module.read_text("utf-8").lower()))
        assert not words & names, f"{module.name} names {words & names}"
