"""The code of a cell under `%%energy -r N`: its body in a loop, then once more as it stands.

IPython parses the cell, hands the tree to this, and runs what it gets back: so the last expression
is displayed as in any cell, `await` works, strings keep their indentation, and a traceback shows
the user's own lines. Nothing is bound in the user's namespace.
"""

from __future__ import annotations

import ast
import copy
import warnings
from collections.abc import Callable, Sequence

from .errors import WrongUse
from .magic_line import BEGIN, RUNS, parse


class RepeatedCode:
    """An AST transformer for IPython: repeats the body of a cell whose `%%energy` line asks so.

    `flags` gives the compiler flags of the shell, which the user's `from __future__` lines set.
    """

    def __init__(self, flags: Callable[[], int]) -> None:
        self._flags = flags

    def visit(self, tree: ast.AST) -> ast.AST:
        """The tree with its body repeated where that was asked, else the tree. Never raises:
        IPython would take the transformer away."""
        try:
            if isinstance(tree, ast.Module) and tree.body and _is_asked(tree.body[0]):
                tree.body[1:] = repeated(tree.body[1:], self._flags())
        except Exception:  # noqa: BLE001  ours must not reach the user's cell: it runs once
            return tree
        return tree


def repeated(body: list[ast.stmt], flags: int = 0) -> list[ast.stmt]:
    """The statements in a loop over our iterator, then once more; as they are where a loop would
    change what they mean.

    A `break` or a `return` is the SyntaxError that it is without a loop, and a body that cannot
    stand in one (Python nests no more than twenty blocks) runs once.
    """
    # One that stood in the loop would be a SyntaxError, and one is enough.
    future = [statement for statement in body if _is_future(statement)]
    rest = [statement for statement in body if not _is_future(statement)]
    # IPython compiles each statement by itself.
    if not rest or not all(_compiles(statement, flags) for statement in rest):
        return body
    loop = _loop(rest)
    return [*future, loop, *rest] if _compiles(loop, flags) else body


def _loop(body: list[ast.stmt]) -> ast.stmt:
    """`for () in <our iterator>:` above a copy of the body, as if it stood in its first line."""
    # Not by the user's own name for it, which may be deleted or stand for something else.
    call = f"__import__('builtins').get_ipython().run_line_magic({RUNS!r}, '')"
    runs = ast.parse(call, mode="eval").body
    nothing = ast.Tuple(elts=[], ctx=ast.Store())  # unpacking () binds no name
    loop = ast.For(target=nothing, iter=runs, body=_copy(body), orelse=[])
    for node in (loop, nothing, *ast.walk(runs)):
        ast.copy_location(node, body[0])
    return loop


def _copy(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements anew, since a later transformer may change them in place, and would do so
    twice; the same ones where they are nested too deep to be copied."""
    try:
        return copy.deepcopy(body)
    except RecursionError:
        return body


def _compiles(statement: ast.stmt, flags: int) -> bool:
    # Where the shell does not allow await at the top level, it says so itself when it compiles.
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    module = ast.Module([statement], type_ignores=[])
    with warnings.catch_warnings():  # they come when the code is compiled to be run
        warnings.simplefilter("ignore")
        try:
            compile(module, "<energy>", "exec", flags=flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _is_asked(statement: ast.stmt) -> bool:
    """Whether a statement is the call that stands for a `%%energy` line with -r."""
    line = _line_of(statement)
    if line is None:
        return False
    try:
        return parse(line, sync=False)[1].runs != 1
    except WrongUse:
        # IPython has yet to fill in variables, as in `-r {n}`: what it asks for then is known
        # when the cell runs, and a line that is wrong ends it before the loop.
        return True


def _line_of(statement: ast.stmt) -> str | None:
    """The text behind `%%energy` where a statement is the call that stands for it."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    words = _texts(call.args)
    is_ours = call.func.attr == "run_line_magic" and len(words) == 2 and words[0] == BEGIN
    return words[1] if is_ours else None


def _texts(arguments: Sequence[ast.expr]) -> list[str]:
    found = (a.value for a in arguments if isinstance(a, ast.Constant))
    return [value for value in found if isinstance(value, str)]
