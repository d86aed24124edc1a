"""`edgellm keys`: the secret goes to stdout once, and nowhere else."""

from __future__ import annotations

import json

import pytest


def test_from_making_to_revoking(command) -> None:  # type: ignore[no-untyped-def]
    made = command("keys", "create", "laptop")
    secret = made.out.strip()
    assert made.code == 0 and secret.startswith("ek-") and secret not in made.err
    assert "from now on the server asks" in made.err
    listed = command("keys", "list").out
    assert "laptop" in listed and secret[:9] in listed and secret not in listed
    turned = command("keys", "rotate", "laptop").out.strip()
    assert turned != secret
    ((row,),) = [json.loads(command("keys", "list", "--json").out)]
    assert row["name"] == "laptop" and row["prefix"] == turned[:9] and set(row) == {"name", "prefix", "created"}
    assert "the last" in command("keys", "revoke", "laptop").err
    assert "There are no keys" in command("keys", "list").out
    assert json.loads(command("keys", "list", "--json").out) == []


@pytest.mark.parametrize("arguments", [("revoke", "x"), ("rotate", "x"), ("create", "a b")])
def test_what_cannot_be_done_is_one_line(command, arguments) -> None:  # type: ignore[no-untyped-def]
    outcome = command("keys", *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
