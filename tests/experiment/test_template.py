from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_lab.experiment.render import Value
from tui_lab.experiment.shell.template import TemplateError, fill, names_in

VALUES: dict[str, Value] = {
    "dt": 0.00025,
    "n": 12,
    "name": "a b{n}",
    "on": True,
    "l": [1, 2],
    "opt.lr": 1,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("dt = {dt}, {dt:.3e}, {n:05d}, {n:>4}|", "dt = 0.00025, 2.500e-04, 00012,   12|"),
        ("{name} '{name}' {on} {l} {opt.lr}", "a b{n} 'a b{n}' true [1,2] 1"),
        ("{n}{n}{{n}}{{{n}}}{{{{n}}}}", "1212{n}{12}{{n}}"),
        ("{{n:.3f}} {{ n }} {{n} {n}}", "{n:.3f} {{ n }} {12 12}"),
        ("$x^{n}$ ${n} \\frac{a}{n}", "$x^12$ ${n} \\frac{a}12"),
        ('{"n": {n}, "dt": {dt}}', '{"n": 12, "dt": 0.00025}'),
        ("{n: 5} {n:'a'} {n, m} { n } {} {5} {x} &nml /", "{n: 5} {n:'a'} {n, m} { n } {} {5} {x} &nml /"),
        ("{name:raw} {n:raw}", "a b{n} 12"),
        ("", ""),
    ],
)
def test_braces(text: str, filled: str) -> None:
    assert fill(text, VALUES) == filled


@pytest.mark.parametrize(
    ("marks", "text", "filled"),
    [
        (("#", "#"), "dt=#dt#, #dt:.3e# ##n## {dt:.1f}", "dt=0.00025, 2.500e-04 #n# {dt:.1f}"),
        (("#", "#"), "#define {n} # n # #n##n#", "#define {n} # n # 1212"),
        (("<<", ">>"), "<<n>> <<<<n>>>> <n> <<l>>", "12 <<n>> <n> [1,2]"),
        (("{{", "}}"), "{{n}} {n} {{n:03d}} {{{{n}}}} {% if %}", "12 {n} 012 {{n}} {% if %}"),
        (("${", "}"), "${n} {n} $n ${name}", "12 {n} $n a b{n}"),
        (("@", "@"), "a@example.com @n@", "a@example.com 12"),
    ],
)  # fmt: skip
def test_marks(marks: tuple[str, str], text: str, filled: str) -> None:
    assert fill(text, VALUES, marks) == filled


@pytest.mark.parametrize(
    ("text", "marks", "message", "hint", "place"),
    [
        ("a {nam} b", None, "there is no parameter for {nam}", "itself write {{nam}}", 2),
        ("a {nam:>5}", None, "there is no parameter for {nam:>5}", "{name:>5}", 2),
        ("a #nam# b", ("#", "#"), "there is no parameter for #nam#", "itself write ##nam##", 2),
        ("{n} {dt:.3q}", None, "'.3q' is not a format", ".3e", 4),
        ("{n} {dt:d}", None, "the value of dt, '0.00025', does not take the format 'd'", "", 4),
        ("{n} {nothing}", None, "the value of nothing is null, which has no text", "", 4),
        ("{n} {nothing:.3e}", None, "the value of nothing is null, which has no text", "", 4),
    ],
)  # fmt: skip
def test_mistakes_are_reported_at_their_place(
    text: str, marks: tuple[str, str] | None, message: str, hint: str, place: int
) -> None:
    with pytest.raises(TemplateError) as caught:
        fill(text, VALUES, marks)
    assert caught.value.message == message
    assert hint in caught.value.hint
    assert caught.value.offset == place


def test_known_names_need_no_values_until_they_are_used() -> None:
    text = "{seed} {{n}} {node:>8} {other}"
    assert names_in(text, ["seed", "node", "n"]) == {"seed", "node"}
    assert names_in("#seed# {n}", ["seed", "n"], ("#", "#")) == {"seed"}
    with pytest.raises(TemplateError, match="no value for seed"):
        fill(text, {"node": "a"}, known=["seed", "node", "n"])
    with pytest.raises(TemplateError, match=r"no parameter for \{sed\}"):
        names_in("{sed}", ["seed"])
    assert fill("{seed}", {"seed": 1, "n": 2}, known=["n"]) == "{seed}"


@given(st.text(), st.text("{}$xy:.3#", max_size=20))
def test_values_are_written_as_they_are_and_only_once(value: str, text: str) -> None:
    if "\0" in value:
        return
    filled = fill(f"{{long_name}} {text}", {"long_name": value})
    assert filled == f"{value} {text}"
