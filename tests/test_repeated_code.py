"""The tree of a repeated cell: a loop, then the body; and where it has to stay as it is."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import pytest

from jupyter_energy.magic_line import BEGIN, RUNS
from jupyter_energy.repeated_code import RepeatedCode, repeated

CALL = f"__import__('builtins').get_ipython().run_line_magic({BEGIN!r}, {{!r}})\n"


def cell(line: str, body: str) -> ast.Module:
    """The tree that IPython makes of a cell under `%%energy`."""
    return ast.parse(CALL.format(line) + body)


def visited(line: str, body: str) -> str:
    """The source of what IPython then runs, without the call in the first line."""
    tree: Any = RepeatedCode(lambda: 0).visit(cell(line, body))
    return ast.unparse(tree.body[1:])


def loop(*body: str) -> str:
    """The source of a repeated body."""
    call = f"__import__('builtins').get_ipython().run_line_magic({RUNS!r}, '')"
    inner = "\n".join(f"    {line}" for line in body)
    return f"for () in {call}:\n{inner}\n" + "\n".join(body)


def test_the_body_stands_in_a_loop_and_once_more_behind_it() -> None:
    assert visited("-r 5", "x = 1\nx + 1") == loop("x = 1", "x + 1")
    assert visited("-n name -r auto -q", "f()") == loop("f()")


@pytest.mark.parametrize("line", ["", "-n name", "-r 1", "-q -v x"])
def test_without_repeats_the_tree_stays_as_it_is(line: str) -> None:
    tree = cell(line, "x = 1")
    assert RepeatedCode(lambda: 0).visit(tree) is tree
    assert len(tree.body) == 2


@pytest.mark.parametrize("line", ["-r {n}", "-r $n"])
def test_a_line_that_ipython_has_yet_to_fill_in_is_repeated_as_it_then_asks(line: str) -> None:
    assert visited(line, "f()") == loop("f()")


@pytest.mark.parametrize(
    "source",
    [
        "x = 1",
        f"get_ipython().run_line_magic({BEGIN!r})",
        f"get_ipython().run_line_magic({RUNS!r}, '-r 5')\nx = 1",
        f"print({BEGIN!r}, '-r 5')\nx = 1",
        "",
    ],
)
def test_the_code_of_others_stays_as_it_is(source: str) -> None:
    tree: Any = RepeatedCode(lambda: 0).visit(ast.parse(source))
    assert ast.unparse(tree) == ast.unparse(ast.parse(source))


@pytest.mark.parametrize(
    "body",
    ["break", "if x:\n    continue", "return 3", "x = 1\ny = 2\nbreak", "def f():\n    break"],
)
def test_what_is_a_syntax_error_without_a_loop_is_one_with_it(body: str) -> None:
    assert visited("-r 5", body) == ast.unparse(ast.parse(body))


def test_a_body_nested_too_deep_for_one_more_loop_runs_once() -> None:
    deep = "".join(f"{' ' * i}for i{i} in (): \n" for i in range(20)) + " " * 20 + "pass"
    assert visited("-r 5", deep) == ast.unparse(ast.parse(deep))


def test_a_future_import_stays_in_front_of_the_loop() -> None:
    future = "from __future__ import annotations"
    assert visited("-r 5", f"{future}\nx = 1") == f"{future}\n{loop('x = 1')}"
    assert visited("-r 5", future) == future


def test_the_loop_stands_on_the_line_of_the_first_statement() -> None:
    tree: Any = RepeatedCode(lambda: 0).visit(cell("-r 5", "\n\nx = 1\n\ny = 2"))
    assert [statement.lineno for statement in tree.body[1:]] == [4, 4, 6]
    assert {node.lineno for node in ast.walk(tree.body[1].iter) if hasattr(node, "lineno")} == {4}
    assert [statement.lineno for statement in tree.body[1].body] == [4, 6]


def test_the_two_copies_of_the_body_share_nothing_that_a_later_transformer_could_change() -> None:
    tree: Any = RepeatedCode(lambda: 0).visit(cell("-r 5", "x = [1, 2]"))
    inside = {id(node) for statement in tree.body[1].body for node in ast.walk(statement)}
    behind = {id(node) for node in ast.walk(tree.body[2]) if not isinstance(node, ast.expr_context)}
    assert not inside & behind


def test_a_sum_too_long_to_be_copied_is_repeated_all_the_same() -> None:
    (first, second) = repeated(ast.parse("x = " + " + ".join(["1"] * 900)).body)
    assert isinstance(first, ast.For)
    assert first.body == [second]


def test_checking_the_body_warns_of_nothing() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        repeated(ast.parse("x is 5").body)
    assert seen == []


def test_a_tree_that_cannot_be_read_stays_as_it_is() -> None:
    odd: Any = cell("-r 5", "x = 1")
    odd.body[0].value.args = None
    assert RepeatedCode(lambda: 0).visit(odd) is odd
    assert len(odd.body) == 2
