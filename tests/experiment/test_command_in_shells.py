"""Commands run by real shells: a program must receive exactly the values, whatever they hold."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tui_lab.experiment.render import Value, quote, render
from tui_lab.experiment.shell.command import Command, CommandError, compile_command

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
PRINTF = shutil.which("printf", path="/usr/bin:/bin") or "/usr/bin/printf"
# Prints its arguments, each with a NUL behind it: the shell's own, which is quick, and the program.
SHOW = r"printf %s\\0"
SHOW_PROGRAM = rf"{PRINTF} %s\\0"

NASTY = [
    " ", "  ", "'", '"', ";", "$(touch pwned)", "`touch pwned`", "\n", "\t", "\r", "\\", "\\n", "*", "?",
    "[a-z]", "~",
    "-", "--", "=", "!", "!!", "%", "%s", "#", "&", "|", "<", ">", "(", ")", "{x}", "{y}", "{{x}}", "[x]",
    "${HOME}",
    "$x", "$", "é", "🙂", "\x1b[31m", "\x7f", "\x85", "\u2028", "a", "0", "}", "'$(touch pwned)'",
    '"; touch pwned; "',
    "a[$(touch pwned)]", "@", ",", "..", "{a,b}", "EOF", "esac", "do", "A=b",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.sampled_from(NASTY), max_size=6).map("".join),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)
values = st.one_of(texts, texts, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(texts, max_size=3))


def moderate(examples: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(max_examples=examples, deadline=None, suppress_health_check=checks)


def execute(argv: Sequence[str], variables: Mapping[str, str], folder: Path, typed: str = "") -> list[str]:
    """What the programs that argv starts were given. Nothing else may have happened in the folder."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/home/of/nobody", "LANG": "C.UTF-8", **variables}
    done = subprocess.run(
        [word.encode() for word in argv],
        env={name.encode(): text.encode() for name, text in environment.items()},
        cwd=folder,
        input=typed.encode(),
        capture_output=True,
        check=False,
    )
    created = list(folder.iterdir())
    for path in created:
        path.unlink()
    assert not created, argv
    assert done.returncode == 0, (done.stderr.decode(), argv)
    return done.stdout.decode().split("\0")[:-1]


def compiled(source: str, known: Mapping[str, Value], widths: Mapping[str, int] | None = None) -> Command:
    return compile_command(source.replace("SHOW", SHOW), known, widths=widths)


Expected = Callable[[str, str], list[str]]

# Commands, and what their programs must receive for the values x and y.
COMMANDS: dict[str, Expected] = {
    "SHOW {x} a{x}b {x}{y} --x={x}": lambda x, y: [x, f"a{x}b", x + y, f"--x={x}"],
    'SHOW "{x}" "a {x}b" "{x}{y}"': lambda x, y: [x, f"a {x}b", x + y],
    r'SHOW "\{x}\"$HOME{x}" "\\{x}\${x}$"': lambda x, y: [f'\\{x}"/home/of/nobody{x}', f"\\{x}${{x}}$"],
    "SHOW '{x}' 'a {x}b' '{x}{y}' '${x} $HOME\\'": lambda x, y: [x, f"a {x}b", x + y, "${x} $HOME\\"],
    "SHOW \"'{x}'\" '\"{x}\"' {x}'{y}'\"{x}\"": lambda x, y: [f"'{x}'", f'"{x}"', x + y + x],
    r'SHOW "$(SHOW {x} | tr \\0 .)"': lambda x, y: [x + "."],
    "SHOW \"a$(SHOW \"{x}\" '{y}' | tr '\\0' .)b\"": lambda x, y: [f"a{x}.{y}.b"],
    "SHOW a | cat; SHOW {x} | cat | cat": lambda x, y: ["a", x],
    "A={x} B='{y}' sh -c 'SHOW \"$A\" \"$B\"'": lambda x, y: [x, y],
    'A={x}; B="{y}{x}"; export C={x}; SHOW "$A" "$B" "$C"': lambda x, y: [x, y + x, x],
    'SHOW "${NO:-{x}}" "${NO-a{y}}" ${HOME:+{x}} ${NO:-"{x}"\'{y}\'}': lambda x, y: [x, f"a{y}", x, x + y],
    'A=a{x}; SHOW "${A%{x}}" "${A#a{x}}" "${A#"a{x}"}"': lambda x, y: ["a", "", ""],
    "case {x} in .{x}.) SHOW a;; esac | cat; case {x} in (q'|'|{x}) SHOW {y};; esac": lambda x, y: [y],
    "SHOW \"$(case {x} in '.'{x}) SHOW b;; *) printf %s {y}.;; esac)\"": lambda x, y: [f"{y}."],
    'for i in {x} {y}; do SHOW "$i"; done': lambda x, y: [x, y],
    "if [ {x} = {x} ]; then (SHOW {y}) fi; { SHOW {x}; }": lambda x, y: [y, x],
    'f() { SHOW "$@"; }; f {x} {y} # it\'s {x}': lambda x, y: [x, y],
    "SHOW {x} \\\n  {y} && # (\n SHOW a\\\nb": lambda x, y: [x, y, "ab"],
    "cat <<EOF >/dev/null; SHOW {x}\n it's ' {{x}} \" `: `\nEOF\nSHOW {y}": lambda x, y: [x, y],
    "cat <<-'A B' <<\\C >/dev/null\n'`\n\tA B\n(\nC\nSHOW {y}": lambda x, y: [y],
    "SHOW '{{x}}' {{x}} \"{{x}}\" {{{x}}} '{{{{x}}}}'": lambda x, y: ["{x}"] * 3 + [f"{{{x}}}", "{{x}}"],
    "SHOW {{x} {z} {{.Names}} {} \\{x} a#{x}": lambda x, y: [f"{{{x}", "{z}", "{{.Names}}", "{}",
    "{x}", f"a#{x}"],
}  # fmt: skip
# Written out in such a command, the characters 1 and 127 are not bash's forte.
SUBSHELLS = "(( 1 < 2 )) && ((SHOW {x}) | cat; (SHOW {y}))"
IN_BASH: dict[str, Expected] = {
    "SHOW $'a\\tb{x}\\'' $\"a{x}\"": lambda x, y: [f"a\tb{x}'", f"a{x}"],
    "[[ {x} == {x} && ( a < b || {x} =~ ^(a|b)$ ) ]] && SHOW {x}": lambda x, y: [x],
    'A=({x} {y} [5]=); SHOW "${A[@]}"': lambda x, y: [x, y, ""],
    "cat <<< {x} >/dev/null; SHOW {y} 2>&1": lambda x, y: [y],
    "SHOW {a,{x}}{b,c}": lambda x, y: ["ab", "ac", x + "b", x + "c"],
    "cat < <(SHOW {x}) | cat": lambda x, y: [x],
    SUBSHELLS: lambda x, y: [x, y],
}
#: What may stand before a script without changing what a placeholder gives.
BEFORE = ["", "set -u; ", "set -o noglob; ", "IFS='-=xa '; ", "IFS=; "]


@pytest.mark.parametrize("shell", SHELLS)
@given(x=texts, y=texts, before=st.sampled_from(BEFORE))
@example(x="", y="\n", before="")
@example(x="$(touch pwned)", y="a b\n\n", before="IFS='-=xa '; ")
@moderate(60)
def test_a_program_receives_the_value_wherever_it_stands(
    shell: str, x: str, y: str, before: str, tmp_path: Path
) -> None:
    known = {"x": x, "y": y}
    commands = COMMANDS | (IN_BASH if shell == "bash" else {})
    command = compiled(before + "\n".join(commands), known)
    expected = [word for expect in commands.values() for word in expect(x, y)]
    variables = command.environment(known)
    assert execute([shell, "-e", "-c", command.script(known)], variables, tmp_path) == expected
    if shell == "bash":
        del commands[SUBSHELLS]
        command = compiled("\n".join(commands), known)
        expected = [word for expect in commands.values() for word in expect(x, y)]
        assert execute([shell, "-e", "-c", command.shown(known)], {}, tmp_path) == expected


# Commands made of pieces at random, in which {x} stands at any depth of quotes.
_literal = st.sampled_from(["a", "b/c", "-", "=", "%", ":", r"\$-", r"\"", r"\'", r"\\", r"\ ", "a#", "^", "]", "+"])
_words = st.recursive(
    st.lists(st.one_of(_literal, st.just("{x}")), min_size=1, max_size=4).map("".join),
    lambda inner: st.lists(
        st.one_of(
            inner,
            inner.map(lambda word: f"'{word}'" if "'" not in word else "'{x}'"),
            inner.map(lambda word: '"$(printf %s, ' + word + ')"'),
            inner.map(lambda word: '"a ${NO:-$(printf %s, ' + word + ') {x}}"'),
            inner.map(lambda word: "${HOME:+" + word + "}"),
            inner.map(lambda word: '"$(case a in (a) printf %s, ' + word + '; esac | cat)$HOME"'),
            st.sampled_from(['"{x}"', '"\'{x}"', "'\"{x}'", '"\\"{x} #"', "''", '""', "'`$('"]),
        ),
        min_size=1,
        max_size=3,
    ).map("".join),
    max_leaves=8,
)


@pytest.mark.parametrize("shell", SHELLS)
@given(word=_words, x=texts)
@moderate(150)
def test_a_value_stands_for_itself_at_any_depth_of_quotes(shell: str, word: str, x: str, tmp_path: Path) -> None:
    assume(not x.endswith("\n"))  # $(...) removes line breaks at its end
    name = "WORD"
    plain = execute([shell, "-c", f"{SHOW} {word.replace('{x}', name)} {name}"], {}, tmp_path)
    command = compile_command(f"{SHOW} {word} {{x}}", {"x"})
    known = {"x": x}
    expected = [received.replace(name, x) for received in plain]
    # In an expansion without quotes around it, a shell splits what the user left open to splitting, as ever.
    assert execute([shell, "-c", command.script(known)], command.environment(known), tmp_path) == expected


PIECES = [
    " ", " ", " ", "a", "'b c'", '"d  e"', "\\ ", "{x}", '"{x}"', "'{x}'", "-", "=", "/", "%", "\\\n",
    "''", "{{x}}", "#",
    "é", "]", "^", ",", " [f] ", " [l]", " [--o {f}]", " [-k{l} '{f} ' \"\" {x}] ", " [{f}]", "\\*",
    "\\\\", "[f]",
]  # fmt: skip


@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=8),
    x=st.one_of(texts, st.booleans(), st.integers(), st.floats()),
    f=values,
    many=values,
    before=st.sampled_from(BEFORE),
)
@example(pieces=[" [--o {f}]", "\\\n", "a", "]"], x="", f="", many="", before="")
@example(pieces=[" [--o {f}", "\\\n", "b]"], x="", f="v", many="", before="")
@moderate(200)
def test_direct_execution_gives_what_a_shell_gives(
    pieces: list[str], x: Value, f: Value, many: Value, before: str, tmp_path: Path
) -> None:
    known: dict[str, Value] = {"x": x, "f": f, "l": many}
    source = f"{SHOW_PROGRAM} . {''.join(pieces)}"
    assume("\n" not in source.partition("#")[2])  # the end of a comment begins another command
    try:
        command = compile_command(source, known, widths={"l": 3, "f": 3})
        words = command.argv(known)
        variables = command.environment(known)
    except CommandError as error:  # brackets with something behind them are no group
        assert error.message.startswith(
            (
                "this [ has no ] that closes it",
                "brackets within brackets",
                "the value of f is null",
                "the shell does arithmetic with f",
            )
        )
        return
    assert (words is None) == command.needs_shell
    expected = execute(words, {}, tmp_path) if words else None
    for shell in SHELLS:
        received = execute([shell, "-e", "-c", before + command.script(known)], variables, tmp_path)
        assert expected is None or received == expected
        expected = received
    assert execute(["bash", "-c", command.shown(known)], {}, tmp_path) == expected


@given(x=texts, items=st.lists(texts, max_size=3))
@example(x="!!", items=["a!b", "!", "'!"])
@moderate(40)
def test_the_shown_line_can_be_pasted_into_a_shell_with_history(x: str, items: list[str], tmp_path: Path) -> None:
    known: dict[str, Value] = {"x": x, "l": [*items]}
    command = compiled("SHOW {x} '{x} ' \" {x}\" \"$(SHOW a{x} | tr '\\0' .)\" [l] [--o={x}]", known, {"l": 3})
    typed = f"set -o history -o histexpand\n:\n{command.shown(known)}\n"
    expected = [x, x + " ", " " + x, f"a{x}.", "--l", *items, f"--o={x}"]
    assert execute(["bash"], {}, tmp_path, typed) == expected


@given(x=texts)
@moderate(60)
def test_quote_makes_one_word(x: str, tmp_path: Path) -> None:
    assert execute(["bash", "-c", f"{SHOW} {quote(x)}"], {}, tmp_path) == [x]
    assert not any(ord(character) < 32 for character in quote(x))


@pytest.mark.parametrize("shell", SHELLS)
@given(value=st.one_of(st.integers(-(10**9), 10**9), texts))
@moderate(60)
def test_only_numbers_are_calculated_with(shell: str, value: Value, tmp_path: Path) -> None:
    # In an expression, bash runs the commands in the subscripts of a variable's value.
    known: dict[str, Value] = {"x": value}
    lines = ['SHOW "$(( {x} + 1 ))" $(({x}*2))']
    if shell == "bash":
        lines += ["(( {x} == {x} )) && SHOW a", "[[ {x} -eq {x} ]] && SHOW b", "A[{x}*0]=c; SHOW ${A[0]}"]
    command = compiled("\n".join(lines), known)
    try:
        variables = command.environment(known)
    except CommandError as error:
        assert isinstance(value, str)
        assert "must be a number" in error.message
        return
    assume(isinstance(value, int))
    number = int(render(value))
    expected = [str(number + 1), str(number * 2), *"abc"][: 2 if shell == "dash" else 5]
    assert execute([shell, "-c", command.script(known)], variables, tmp_path) == expected


def test_variables_of_a_surrounding_task_do_not_leak(tmp_path: Path) -> None:
    known: dict[str, Value] = {"f": None, "l": ["a", "b"], "g": True}
    command = compiled("SHOW . [f] [l] [g] [--k {f}]", known, {"l": 2, "f": 2, "g": 2})
    outer = command.environment({"f": ["p", "q"], "l": ["r", "s"], "g": ["t", "u"]})
    received = execute(["sh", "-c", command.script(known)], outer | command.environment(known), tmp_path)
    assert received == [".", "--l", "a", "b", "--g"]


def test_values_up_to_the_kernels_limit_arrive(tmp_path: Path) -> None:
    known: dict[str, Value] = {"x": "é" * 65_500}
    command = compiled("SHOW '{x}'", known)
    assert execute(["sh", "-c", command.script(known)], command.environment(known), tmp_path) == [known["x"]]
    with pytest.raises(CommandError, match="128 KiB"):
        command.environment({"x": "é" * 65_536})
    with pytest.raises(CommandError, match="value of x"):
        command.environment({"x": "é" * 65_530})
