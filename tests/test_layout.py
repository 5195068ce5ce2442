"""The shape of the source: where its tests are, how long files get, who may start tasks."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
MAX_LINES: Final = 400

WITHOUT_TEST_FILE: Final[dict[str, str]] = {
    "peerup/__init__.py": "public names only: tests/test_public_api.py and tests/test_imports.py",
    "peerup/__main__.py": "one call of cli.main, which every end-to-end test makes",
    **dict.fromkeys(
        (
            "peerup/cli/commands/access.py",
            "peerup/cli/commands/configuration.py",
            "peerup/cli/commands/model.py",
            "peerup/cli/commands/network.py",
            "peerup/cli/commands/pairing.py",
            "peerup/cli/commands/relays.py",
            "peerup/cli/commands/services.py",
            "peerup/cli/commands/set_up.py",
        ),
        "tables only: tests/cli/test_commands.py reads them all",
    ),
    "peerup/transport/base.py": "protocols and one value: tests/conformance says what they mean",
    "peerup/transport/endpoints.py": "values without behaviour: tests/transport/test_upgrade.py",
    "peerup/transport/muxer.py": "protocols only: tests/conformance/muxers.py says what they mean",
    "peerup/wire/error_codes.py": "numbers only: tests/wire/test_yamux.py sees them on the wire",
    "peerup/wire/events.py": "dataclasses without behaviour: tests/wire/test_yamux.py reads them",
}
"""Modules that need no test file named after them, and why."""

STARTS_TASKS: Final = {"create_task", "ensure_future", "gather", "run_coroutine_threadsafe"}
"""Functions and methods that start tasks; only tasks.py may call them, or a TaskGroup's method."""


def python_files(*folders: str) -> list[Path]:
    """Every Python file below these folders, seen from the root."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found)


def nodes(path: Path) -> Iterator[ast.AST]:
    """Every node of the syntax tree of a file."""
    return ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path)))


def name_of(node: ast.AST | None) -> str:
    """The last part of a dotted name, ``b`` of ``a.b``; nothing for other expressions."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def is_layer(path: Path) -> bool:
    """Tell the ``__init__.py`` of a layer, which holds prose and names."""
    return path.name == "__init__.py" and path != Path("peerup/__init__.py")


def test_every_module_has_its_test_file() -> None:
    missing = []
    for path in python_files("peerup"):
        test_file = Path("tests", *path.parent.parts[1:], f"test_{path.name}")
        if is_layer(path) or str(path) in WITHOUT_TEST_FILE or (ROOT / test_file).is_file():
            continue
        missing.append(f"{path} needs {test_file}")
    assert not missing, "\n".join(missing)


def test_the_table_of_modules_without_test_file_is_not_stale() -> None:
    stale = [path for path in WITHOUT_TEST_FILE if not (ROOT / path).is_file()]
    assert not stale, f"in WITHOUT_TEST_FILE, but not in the tree: {stale}"


def test_the_init_of_a_layer_holds_no_code() -> None:
    code = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [
        f"{path}:{node.lineno}: give {node.name} a module of its own, and a test file"
        for path in filter(is_layer, python_files("peerup"))
        for node in nodes(path)
        if isinstance(node, code)
    ]
    assert not found, "\n".join(found)


def test_no_file_is_too_long_to_read() -> None:
    too_long = []
    for path in python_files("peerup", "tests", "scripts", "interop"):
        lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            too_long.append(f"{path} has {lines} lines, {MAX_LINES} at most: split it by subject")
    assert not too_long, "\n".join(too_long)


def broad_clauses(path: Path) -> list[int]:
    """Lines of except clauses that keep every error; one that ends in ``raise`` keeps none."""
    found = []
    for node in nodes(path):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        takes_all = any(kind is None for kind in caught)
        takes_all |= bool({"Exception", "BaseException"} & set(map(name_of, caught)))
        last = node.body[-1]
        if takes_all and not (isinstance(last, ast.Raise) and last.exc is None):
            found.append(node.lineno)
    return found


def test_only_tasks_py_catches_every_error() -> None:
    found = [
        f"{path}:{line}: name the errors that you expect"
        for path in python_files("peerup")
        if path != Path("peerup/tasks.py")
        for line in broad_clauses(path)
    ]
    assert not found, "\n".join(found)


def stray_tasks(path: Path) -> list[tuple[int, str]]:
    """Calls that start a task outside a TaskGroup: line and what is called."""
    groups = set()
    calls = []
    for node in nodes(path):
        match node:
            case ast.withitem(context_expr=ast.Call(func=opened), optional_vars=ast.AST() as name):
                if name_of(opened) == "TaskGroup":
                    groups.add(ast.unparse(name))
            case ast.arg(arg=name, annotation=annotation) if name_of(annotation) == "TaskGroup":
                groups.add(name)
            case ast.Call(func=func) if name_of(func) in STARTS_TASKS:
                calls.append(func)
    return [
        (func.lineno, ast.unparse(func))
        for func in calls
        if not (isinstance(func, ast.Attribute) and ast.unparse(func.value) in groups)
    ]


def test_only_tasks_py_and_task_groups_start_tasks() -> None:
    found = [
        f"{path}:{line}: {call} starts a task that nobody owns; use peerup.tasks or a TaskGroup"
        for path in python_files("peerup")
        if path != Path("peerup/tasks.py")
        for line, call in stray_tasks(path)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("clause", "broad"),
    [
        ("except Exception: pass", True),
        ("except: pass", True),
        ("except (OSError, BaseException): pass", True),
        ("except BaseException:\n    undo()\n    raise", False),
        ("except (OSError, ValueError): pass", False),
    ],
)
def test_the_check_knows_a_broad_clause(tmp_path: Path, clause: str, broad: bool) -> None:
    (tmp_path / "x.py").write_text(f"try: work()\n{clause}\n")
    assert bool(broad_clauses(tmp_path / "x.py")) is broad


@pytest.mark.parametrize(
    ("body", "stray"),
    [
        ("asyncio.create_task(x())", True),
        ("loop.create_task(x())", True),
        ("await gather(x(), y())", True),
        ("async with asyncio.TaskGroup() as group: group.create_task(x())", False),
        ("async with TaskGroup() as self.group: self.group.create_task(x())", False),
        ("async def start(group: asyncio.TaskGroup): group.create_task(x())", False),
    ],
)
def test_the_check_knows_a_stray_task(tmp_path: Path, body: str, stray: bool) -> None:
    (tmp_path / "x.py").write_text(f"async def f():\n    {body}\n")
    assert bool(stray_tasks(tmp_path / "x.py")) is stray
