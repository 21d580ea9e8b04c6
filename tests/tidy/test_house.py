"""The laws of the house, kept by machine. An exception stands in the source as `# house: <rule> - <reason>`."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "kpgate"
MODULES = sorted(PACKAGE.rglob("*.py"))
COMPILED = sorted((PACKAGE / "_fast").glob("*.pyx"))

FLOORS = {
    "_fast": 0,
    "domain": 1,
    "dialects": 2,
    "stores": 2,
    "context": 2,
    "guards": 2,
    "services": 3,
    "life": 4,
    "failover": 4,
    "hedge": 4,
    "shadow": 4,
    "proof": 4,
    "upload": 4,
    "gateway": 4,
    "app": 5,
}
SIDEWAYS = {
    ("services.upstream", "services.pool"),
    ("services.echo", "services.pool"),
    ("services.upstream", "services.route"),
    ("services.upstream", "services.exchange"),
    ("services.choose", "services.route"),
    ("services.explain", "services.choose"),
    ("services.explain", "services.route"),
    ("services.health", "services.route"),
    ("services.health", "services.upstream"),
    ("services.admit", "services.route"),
    ("services.admit", "services.offload"),
    ("services.hold", "services.route"),
    ("services.hold", "services.offload"),
    ("services.hold", "services.sync"),
    ("services.respond", "services.exchange"),
    ("services.treasury", "services.receipts"),
    ("services.treasury", "services.statements"),
    ("services.record", "services.meters"),
}
"""Services that may know another: an attempt its connections and its target, a decision the targets it is about, who
explains it both, health the attempt that failed and its target, limits and holds the plan they are of, a reply the seam
it goes through, operations on money the receipts and statements they show, a record the meters it moves."""

NEIGHBOURS = {
    ("dialects.responses", "dialects.openai"),
    ("dialects.rerank", "dialects.openai"),
    ("dialects.through", "dialects.openai"),
}
"""Rooms of one floor that may know another: both APIs of one vendor have its errors, limits and counts; who asks for an
order, or for a provider's own path, is refused in OpenAI's words."""

WORDS_REFUSED = re.compile(r"(Manager|Helper|Util|Handler|Base|Impl|Data|Info)$")
WAITS_REFUSED = re.compile(r"asyncio\.(timeout|wait_for|shield)|call_later|contextvars")
SUPPRESSED = re.compile(r"# house: [a-z-]+ - \S")


def name_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__") or "kpgate"


def source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def excused(lines: list[str], number: int) -> bool:
    """Whether the line, or the one before it, says why a law does not serve there."""
    return any(SUPPRESSED.search(lines[i]) for i in (number - 1, number - 2) if 0 <= i < len(lines))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kpgate."):
            yield node.module.removeprefix("kpgate."), node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("kpgate."):
                    yield alias.name.removeprefix("kpgate."), node.lineno


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short_and_opens_with_its_law(path: Path) -> None:
    text = source(path)
    assert text.count("\n") <= 450, "a module is at most 450 lines"
    assert ast.get_docstring(ast.parse(text)), "a file opens with its law"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short_with_few_parameters(path: Path) -> None:
    text = source(path)
    lines = text.splitlines()
    for function in functions(ast.parse(text)):
        assert function.end_lineno is not None
        if excused(lines, function.lineno):
            continue
        assert function.end_lineno - function.lineno < 60, f"{function.name} is longer than 60 lines"
        count = len(
            [a for a in function.args.posonlyargs + function.args.args if a.arg not in ("self", "cls")]
        )
        count += len(function.args.kwonlyargs)
        is_command = any("click" in ast.dump(d) or "command" in ast.dump(d) for d in function.decorator_list)
        assert count <= 6 or is_command, f"{function.name} has more than 6 parameters"


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_a_compiled_module_is_short_and_has_a_stub(path: Path) -> None:
    assert source(path).count("\n") <= 700, "a .pyx is at most 700 lines"
    assert path.with_suffix(".pyi").exists(), "a .pyi stands beside it"
    assert "import kpgate" not in source(path)
    assert "from kpgate" not in re.sub(r"from kpgate\._fast\S* c?import", "", source(path)), (
        "the ground imports nothing"
    )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    name = name_of(path)
    room = name.split(".")[0]
    if room in ("kpgate", "__main__"):
        return
    for target, line in imports(ast.parse(source(path))):
        floor = target.split(".")[0]
        assert FLOORS[floor] <= FLOORS[room], f"line {line}: {name} imports upward, {target}"
        if floor == "services" and room == "services":
            assert (name, target) in SIDEWAYS, f"line {line}: {name} imports its neighbour {target}"
        if FLOORS[floor] == FLOORS[room] == 2:
            here, there = (".".join(one.split(".")[:2]) for one in (name, target))
            known = here == there or target == "stores.protocol" or (here, there) in NEIGHBOURS
            assert floor == room and known, f"line {line}: rooms of one floor"


def test_imports_have_no_circle() -> None:
    graph = {name_of(p): {t for t, _ in imports(ast.parse(source(p)))} for p in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_stand_at_the_top(path: Path) -> None:
    text = source(path)
    lines = text.splitlines()
    for function in functions(ast.parse(text)):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert excused(lines, node.lineno), f"line {node.lineno}: an import inside {function.name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "common", "misc")
    assert "_and_" not in path.stem
    for node in ast.walk(ast.parse(source(path))):
        if isinstance(node, ast.ClassDef):
            assert not WORDS_REFUSED.search(node.name), node.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_broad_excepts_say_which_edge_they_stand_at(path: Path) -> None:
    for number, line in enumerate(source(path).splitlines(), 1):
        if re.search(r"except (Base)?Exception\b|except:", line):
            assert re.search(r"# noqa: BLE001 - \S", line), f"line {number}: which edge is this?"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_waits_are_our_own_on_the_path_of_a_call(path: Path) -> None:
    if name_of(path).split(".")[0] in ("gateway", "services", "dialects"):
        lines = source(path).splitlines()
        for number, line in enumerate(lines, 1):
            assert not WAITS_REFUSED.search(line) or excused(lines, number), (
                f"line {number}: a wait that is not the wheel's"
            )


def test_only_build_names_concrete_stores() -> None:
    allowed = {"app.build", "app.bank", "app.backup", "app.clerk", "app.keys_cli", "app.reach"}
    for path in MODULES:
        name = name_of(path)
        for target, line in imports(ast.parse(source(path))):
            if target in ("stores.sqlite", "stores.memory", "stores.redis"):
                assert name in allowed or name.startswith("stores."), f"{name}, line {line}: names {target}"


def test_store_protocols_are_small() -> None:
    for path in (PACKAGE / "stores").glob("*.py"):
        for node in ast.walk(ast.parse(source(path))):
            if isinstance(node, ast.ClassDef) and any("Protocol" in ast.dump(b) for b in node.bases):
                methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
                assert len(methods) <= 6, f"{node.name} has {len(methods)} methods"


def test_every_module_imports_alone_with_warnings_as_errors() -> None:
    """One fresh interpreter a module would take minutes: one that forgets what it imported takes seconds."""
    names = sorted({f"kpgate.{name_of(p)}" for p in MODULES if name_of(p) not in ("kpgate", "__main__")})
    script = (
        "import importlib, sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "keep = set()\n"
        f"for name in {names!r}:\n"
        "    for loaded in [m for m in sys.modules if m.startswith('kpgate') and '._fast' not in m]:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_importing_kpgate_does_no_work() -> None:
    script = "import sys; before = set(sys.modules); import kpgate; print(len(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(run.stdout) <= 3


def test_exceptions_to_the_laws_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    marks = [line for p in [*MODULES, *COMPILED] for line in source(p).splitlines() if "# house:" in line]
    with capsys.disabled():
        print(f"\nhouse: {len(marks)} exceptions stand in the source")
    assert all(SUPPRESSED.search(mark) for mark in marks), "an exception names its rule and its reason"
    assert len(marks) <= 40


@pytest.mark.parametrize("path", sorted(ROOT.glob("kpgate/**/*.pxd")), ids=name_of)
def test_a_compiled_class_declares_what_its_python_has_slots_for(path: Path) -> None:
    plain = path.with_suffix(".py")
    if not plain.exists():
        return
    declared = {
        found[1]: set(re.findall(r"^    cdef (?:public|readonly) .* (\w+)$", found[2], re.M))
        for found in re.finditer(r"^cdef class (\w+)[^\n]*:\n((?:    .*\n|\n)*)", source(path) + "\n", re.M)
    }
    for node in ast.walk(ast.parse(source(plain))):
        if isinstance(node, ast.ClassDef) and node.name in declared:
            for one in node.body:
                if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "__slots__":
                    assert set(ast.literal_eval(one.value)) <= declared[node.name], node.name
