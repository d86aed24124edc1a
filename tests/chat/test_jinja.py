"""JinjaTemplate: what Hugging Face templates rely on, and what hostile ones try."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import pytest

from edgellm.chat.jinja import JinjaTemplate
from edgellm.errors import TemplateError


def render(source: str, **context: Any) -> str:
    return JinjaTemplate(source, lambda: datetime(2025, 3, 4, 5, 6)).render(context)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% if true %}\na\n{% endif %}\nb", "a\nb"),
        ("  {% if true %}a{% endif %}", "a"),
        ("{{ {'b': '<é>', 'a': [1, none, true]} | tojson }}", '{"b": "<é>", "a": [1, null, true]}'),
        ("{{ {'a': 1} | tojson(indent=2) }}", '{\n  "a": 1\n}'),
        ("{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':'), sort_keys=true) }}", '{"a":2,"b":1}'),
        ("{{ 'é' | tojson(ensure_ascii=true) }}", '"\\u00e9"'),
        ("{{ strftime_now('%d %b %Y') }}", "04 Mar 2025"),
        ("{{ ' a '.strip() + 'xxb'.lstrip('x') + 'a,b'.split(',')[-1] }}", "abb"),
        ("{{ 'abc'.startswith('ab') and 'abc'.endswith('bc') }}", "True"),
        ("{{ 'a-b'.replace('-', '+') ~ 'ab'.upper() ~ 'AB'.lower() ~ 'a b'.title() }}", "a+bABabA B"),
        ("{{ '{}-{x}'.format(1, x=2) }}", "1-2"),
        ("{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "b1a2"),
        ("{{ {'a': 1}.get('a') }}{{ {}.get('a', 'd') }}{{ {'a': 1}.keys() | list }}", "1d['a']"),
        ("{% for i in [0, 1, 2] %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "02"),
        ("{% for i in [0, 1, 2] %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}", "0"),
        ("{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"),
        ("{% macro m(a, b='!') %}{{ a }}{{ b }}{% endmacro %}{{ m('x') }}", "x!"),
        ("{{ [1, 2, 3][::-1] }}{{ [1, 2, 3][1:] }}", "[3, 2, 1][2, 3]"),
        ("{{ none is iterable }}{{ [] is iterable }}{{ 'a' is iterable }}{{ 1 is iterable }}", "FalseTrueTrueFalse"),
        ("{{ x is defined }}{{ x }}", "False"),
        ("{{ none }} {{ true }} {{ {'a': 'b'} }}", "None True {'a': 'b'}"),
        ("{{ '<b>&' }}", "<b>&"),
        ("a\n", "a"),
    ],
)  # fmt: skip
def test_as_jinja_renders_it(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "a {% generation %}b{% endgeneration %} c",
        "a\n {%- generation -%} b{%+ endgeneration +%} c",
        "a {%generation%}\nb{%endgeneration%} c",
    ],
)
def test_generation_marks_are_taken_out(source: str) -> None:
    assert render(source).replace("\n", "").replace(" ", "") == "abc"


def test_what_is_set_inside_a_generation_block_stays_there() -> None:
    assert render("{% set x = 1 %}{% generation %}{% set x = 2 %}{% endgeneration %}{{ x }}") == "1"


def test_raise_exception_gives_the_templates_own_words() -> None:
    with pytest.raises(TemplateError, match="roles must <alternate> & so on"):
        render("{{ raise_exception('roles must <alternate> & so on') }}")


@pytest.mark.parametrize("source", ["{% if %}", "{{ 'a' ", "{% nonsense %}", "{% for %}{% endif %}"])
def test_a_template_that_cannot_be_read_says_so(source: str) -> None:
    with pytest.raises(TemplateError, match="cannot be read"):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(100000) %}{% for i in range(100000) %}{% endfor %}{% endfor %}",
        "{% for i in range(100000) %}{% for i in range(100000) %}{{ 'a' | upper }}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    ],
)
def test_a_template_without_an_end_runs_out_of_fuel(source: str) -> None:
    with pytest.raises(TemplateError, match="did not end after"):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ range(1000000000) | list | length }}",
        "{{ 'a' * 4611686018427387904 }}",
        "{{ " + "[" * 2000 + "]" * 2000 + " }}",
        "{% if true %}" * 2000 + "{% endif %}" * 2000,
        "{% include '/etc/passwd' %}",
        "{{ 1 // 0 }}",
        "{{ missing.attribute }}",
        "{{ nothing() }}",
        "{{ plain.pop('nope') }}",
        "{{ '{}'.format() }}",
    ],
)
def test_whatever_goes_wrong_inside_is_a_template_error(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source, plain={})


@pytest.mark.parametrize(
    "source",
    [
        "{{ plain.__class__ }}",
        "{{ plain['__class__'] }}",
        "{{ plain | attr('__class__') }}",
        "{{ plain.keys.__self__ }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__closure__ }}",
        "{{ ''.__class__ }}",
    ],
)
def test_pythons_insides_are_out_of_reach(source: str) -> None:
    with contextlib.suppress(TemplateError):
        assert render(source, plain={"a": 1}) == ""
