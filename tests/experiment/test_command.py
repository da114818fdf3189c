"""What commands mean, and what is said about mistakes in them. See also test_command_in_shells."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tui_lab.experiment.render import Value
from tui_lab.experiment.shell.command import Command, CommandError, compile_command

KNOWN = ["lr", "neurons", "flag", "early-stop", "early_stop", "opt.lr", "l", "output", "seed"]
VALUES: dict[str, Value] = {
    "lr": 0.1,
    "neurons": 16,
    "flag": True,
    "early-stop": None,
    "early_stop": "a b",
    "opt.lr": 1e-5,
    "l": [1, "b c", True],
    "output": "/lab/tasks/0/1",
    "seed": 7,
}


def compiled(source: str) -> Command:
    return compile_command(source, KNOWN, widths={"l": 3})


def problem(source: str, values: dict[str, Value] | None = None) -> tuple[str, str, str]:
    """Message, hint, and the source from the place of the mistake on."""
    with pytest.raises(CommandError) as caught:
        compiled(source).environment(VALUES | (values or {}))
    return caught.value.message, caught.value.hint, source[caught.value.offset :]


def test_words_without_shell_syntax_are_executed_directly() -> None:
    command = compiled("./main.py {lr} --n={neurons} 'a  b' \"$\"\n")
    assert command.needs_shell  # a lone $ is for a shell to judge
    command = compiled("./main.py {lr} --n={neurons} 'a  b' [l] [flag] [early-stop] [--opt {opt.lr}]\n")
    assert not command.needs_shell
    assert command.constant
    assert command.names == {"lr", "neurons", "l", "flag", "early-stop", "opt.lr"}
    expected = ["./main.py", "0.1", "--n=16", "a  b", "--l", "1", "b c", "true", "--flag", "--opt", "1e-05"]
    assert command.argv(VALUES) == expected


@pytest.mark.parametrize(
    "source",
    [
        "echo {lr}", "'echo' {lr}", "printf {lr}", "test {lr}", "[ -f x ]", "[[ a == a ]]",
        "cd {output}",
        "exec ./a", ". ./a", "! ./a", "time ./a", "module load x", "{lr}", "{lr}x", "X=1 ./a", "./a > b",
        "./a | b",
        "./a; b", "./a && b", "./a &", "./a\n./b", "./a *.c", "./a a?", "./a [a-z]", "./a ~/x",
        "./a --x=~/y", "./a $X",
        "./a \"$X\"", "./a `b`", "./a $(b)", "./a {a,b}", "./a {}", "# note\n./a", "./a # note",
        "./a {lr:raw}", "'' a",
        "./a $'x'", "./a 'x' (b)", "[flag] ./a", "./a é", "~/a", "./a \\",
    ],
)  # fmt: skip
def test_all_else_goes_to_the_shell(source: str) -> None:
    command = compiled(source)
    assert command.needs_shell
    assert command.argv(VALUES) is None


def test_a_flag_takes_one_word_or_a_list_of_them() -> None:
    command = compiled("prog [lr] [l] [flag] [early-stop] [early_stop] [opt.lr] x")
    assert command.argv(VALUES) == [
        *[
            "prog",
            "--lr",
            "0.1",
            "--l",
            "1",
            "b c",
            "true",
            "--flag",
            "--early_stop",
            "a b",
            "--opt.lr",
            "1e-05",
            "x",
        ]
    ]
    assert command.argv(VALUES | {"flag": False, "l": [], "lr": None, "early-stop": ""}) == [
        *["prog", "--l", "--early-stop", "", "--early_stop", "a b", "--opt.lr", "1e-05", "x"]
    ]
    assert command.shown(VALUES) == "prog --lr 0.1 --l 1 'b c' true --flag --early_stop 'a b' --opt.lr 1e-05 x"


def test_a_group_is_dropped_whole() -> None:
    command = compiled("prog [--batch-size {lr}] [-b{early_stop}] [lr={lr} 'n {neurons}'] [{seed}]")
    assert command.argv(VALUES) == ["prog", "--batch-size", "0.1", "-ba b", "lr=0.1", "n 16", "7"]
    assert command.argv(VALUES | {"lr": None, "seed": False}) == ["prog", "-ba b"]
    assert command.shown(VALUES | {"lr": None, "seed": False}) == "prog '-ba b'".replace("'-ba b'", "-b'a b'")
    assert compiled("prog [flag]; a [-f {flag}] | b").shown(VALUES | {"flag": None}) == "prog; a | b"


def test_brackets_that_hold_no_name_are_the_shells() -> None:
    for text in (
        "[ -f {lr} ]",
        "[a-z]*",
        "a[lr]",
        "[lr]*",
        "'[lr]'",
        '"[lr]"',
        "[$x]",
        "[[ -n {lr} ]]",
        "\\[lr]",
    ):
        assert "F_" not in compiled(f"x; {text}").script(VALUES), text
    assert compiled("case a in [lr]) b [lr];; esac").script(VALUES).count("--lr") == 1
    assert compiled("ls [[lr]] {{lr}} '{{lr}}'").script(VALUES) == "ls [lr] {lr} '{lr}'"


def test_the_shell_text_is_constant_but_for_raw() -> None:
    command = compiled("for i in {lr} [l]; do echo '{seed}' \"{seed}\" [--o {flag}]; done")
    script = command.script({})
    assert script == command.script(VALUES)
    assert set(command.environment(VALUES)) == set(command.environment(dict.fromkeys(VALUES, 1)))
    command = compiled('cat <<EOF | sh `{early_stop:raw}`\n{lr:raw} {{lr}}\nEOF\nls [-x {flag:raw}] "{lr:raw}"')
    assert not command.constant
    assert command.script(VALUES) == 'cat <<EOF | sh `a b`\n0.1 {lr}\nEOF\nls -x true "0.1"'
    assert command.script(VALUES | {"flag": None}).endswith('ls  "0.1"')
    assert command.environment(VALUES) == {"TUI_LAB_F_flag": "1"}


def test_names_with_dots_and_dashes_have_variables_of_their_own() -> None:
    names = ["a-b", "a.b", "a_b", "a_hb", "a__b", "a-.b", "a.-b", "a_-b", "a_"]
    command = compile_command(" ".join(f"{{{name}}} [{name}]" for name in names), names)
    environment = command.environment({name: name for name in names})
    assert len(environment) == 3 * len(names)
    assert all(name.replace("_", "a").isalnum() for name in environment)


def test_the_shown_line_has_values_in_place() -> None:
    command = compiled("train {early_stop} --x='{early_stop}' \"{early_stop}$\" > {output}/log 2>&1 # {lr}")
    assert command.shown(VALUES) == "train 'a b' --x='a b' \"a b$\" > /lab/tasks/0/1/log 2>&1 # {lr}"
    assert compiled("{early_stop} $HOME{lr}").shown(VALUES | {"early_stop": "if"}) == "'if' $HOME'0.1'"
    assert compiled("x {early_stop}").shown(VALUES | {"early_stop": "a\x1b'"}) == "x $'a\\033\\047'"


def test_a_near_miss_is_an_error_with_suggestion_and_escape() -> None:
    assert problem("./main.py {neuron}") == (
        "there is no parameter for {neuron}",
        "did you mean {neurons}? For the text {neuron} itself write {{neuron}}",
        "{neuron}",
    )
    assert problem("./main.py [neuron] x")[1:] == (
        "did you mean [neurons]? For the text [neuron] itself write [[neuron]]",
        "[neuron] x",
    )
    assert "{neurons:raw}" in problem("cat <<E\n{neuron:raw}\nE")[1]
    assert compiled("a {{neuron}} [[neuron]]").script(VALUES) == "a {neuron} [neuron]"


@pytest.mark.parametrize(
    "source",
    [
        "awk '{print $1}'", "awk '{print}' x", "docker ps --format '{{.Names}}'",
        "echo {a,b} {1..3} ${lr} ${lr:-x}",
        "jq '{x: .y}'", "python -c 'print({\"a\": 1}, {})'", "find . -exec rm {} \\;", "x() { :; }",
        "a ${neuron}",
        "cat <<'E'\n$(it's ${x} `\nE\n", "echo \"$(echo \")\" ')' # it's\n)\"",
        "echo $((1 << 2)) $(( (1+2)*3 ))",
        "case $x in a|b) c;; (d) e ;& *) f;; esac",
        "if ((a<b)); then c; fi; for ((i=0; i<3; i++)); do d; done",
        "[[ $x =~ ^[(]a|b$ && -f $y ]] || exit 1", "echo ${x#*'}'} \"${x%\"}\"}\" ${#x} ${x/a/b} ${x:1:2}",
        "a <(b 'c') >(d) <<< e 2>&1 &>f |& g", "x=(a 'b c' [3]=d); echo ${x[@]}", "echo it\\'s \\\" '\\'",
        "cat <<-A <<\"B C\"\n\t'\n\tA\n\"\nB C\necho", "echo '#' a#b # it's",
        "echo $[1+2] \"$\" $'it\\'s' $\"x\"", "\\{lr}x",
        "echo '${lr}' \"\\{\" \"\\${x\"", "echo $(case a in (b) c;; d) e;; esac)", "a &&\nb ||\n\nc | \\\n d",
    ],
)  # fmt: skip
def test_text_without_placeholders_stays_as_it_is(source: str) -> None:
    command = compiled(source)
    assert command.script({}) == source
    assert command.names == frozenset()


_NULL = "the value of early-stop is null, which has no text"
_CALCULATES = "the shell does arithmetic with early_stop here, so it must be a number, not 'a b'"


@pytest.mark.parametrize(
    ("source", "message", "place"),
    [
        ("echo it's {lr}", "a single quote opens here and is never closed", "'s {lr}"),
        ('echo "{lr}', "a double quote opens here and is never closed", '"{lr}'),
        ("echo $(a {lr}", "$( opens here and is never closed", "$(a {lr}"),
        ("echo ${a:-{lr}", "${ opens here and is never closed", "${a:-{lr}"),
        ("echo `a", "a backquote opens here and is never closed", "`a"),
        ("a\n`b {lr}`", "a value cannot be passed safely in backquotes: use $(...)", "{lr}`"),
        ("cat <<E\nx\n{lr}\nE", "a value cannot be passed safely in a here-document", "{lr}\nE"),
        ("cat <<'E'\n{lr}\nE", "a value cannot be passed safely in a here-document", "{lr}\nE"),
        ("echo ${x/{lr}/b}", "a value cannot be passed safely in this kind of ${...}", "{lr}/b}"),
        ("echo $[{seed}+1]", "a value cannot be passed safely in $[...]: write $((...))", "{seed}+1]"),
        ("a {lr:.3e}", "a command takes no format such as .3e", "{lr:.3e}"),
        ("a > [lr]", "[lr] cannot be the target of a redirection", "[lr]"),
        ("a [-x {lr} [flag]]", "brackets within brackets", "[flag]]"),
        ("a [-x {lr}", "this [ has no ] that closes it", "[-x {lr}"),
        ("a [-x {lr}\n]", "this [ has no ] that closes it", "[-x {lr}\n]"),
        ("a {early-stop}", _NULL, "{early-stop}"),
        ('[-x {early-stop}] "{early-stop}"', _NULL, '{early-stop}"'),
        ("a $(({early_stop}+1))", _CALCULATES, None),
        ("[[ 1 -lt {early_stop} ]]", _CALCULATES, None),
        ("x[{early_stop}]=1", _CALCULATES, None),
    ],
)  # fmt: skip
def test_mistakes_are_reported_at_their_place(source: str, message: str, place: str | None) -> None:
    found, _, rest = problem(source)
    assert found == message
    assert place is None or rest == place


def test_values_that_cannot_be_passed() -> None:
    assert (
        problem("a {lr}", {"lr": "a\0b"})[0]
        == "the value of lr holds a NUL character, which can't be passed to a program"
    )
    assert problem("a [l]", {"l": ["a", None]})[0] == "the value of l is null, which has no text"
    assert "has 4 items" in problem("a [l]", {"l": [1, 2, 3, 4]})[0]
    with pytest.raises(CommandError, match="there is no value for lr"):
        compiled("a {lr}").argv({})
    with pytest.raises(CommandError, match="128 KiB"):
        compiled("a {lr}").argv({"lr": "x" * 2**17})


def test_a_slot_that_the_node_fills_in_later_can_be_calculated_with() -> None:
    assert compiled("a $(( {seed} % 2 ))").environment({"seed": "@@a-mark@@"}) == {"TUI_LAB_P_seed": "@@a-mark@@"}


_PIECES = (
    "' \" ` $ $( ) ( ${ } { [ ] [[ ]] (( )) $(( \\ \n # ; & | < > << <<E E <<< = case in esac for do {lr} "
    "[lr] {neuron} [-x {lr:raw} {{lr}} ${x:- ${x# $' $\" $[ ~ * a -eq"
)
_pieces = st.sampled_from(_PIECES.split(" "))


@given(st.lists(_pieces, max_size=12), st.sampled_from(["", " "]))
@example(["case", "in", "a"], " ")
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_or_refused(pieces: list[str], separator: str) -> None:
    source = separator.join(pieces)
    try:
        command = compiled(source)
        command.script(VALUES)
        command.environment(VALUES)
        command.shown(VALUES)
        command.argv(VALUES)
    except CommandError as error:
        assert 0 <= error.offset <= len(source)
        assert error.message
        return
    # Apart from the placeholders, the text that runs is the text that was written.
    if not any(mark in source for mark in ("{lr", "[lr", "[[", "{neuron", "{{")):
        assert command.script(VALUES) == source


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("train --lr {lr} --batch {batch} -o a{out}b", ["batch", "out"]),
        ("echo $(date {when})", ["when"]),
        ("awk '{print}' \"{quoted}\" | f() { echo; }; find -exec echo {} + ; ls {a,b} ${HOME} \\{lr\\}", []),
    ],
)
def test_names_in_braces_that_are_nobodys(source: str, found: list[str]) -> None:
    assert compiled(source).strangers == found
