"""The user's own modules: finding, hashing and importing them. Finding and hashing run none of their code."""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from edgekd.errors import ModelError, nearest


def import_function(module: str, attribute: str) -> Callable[..., Any]:
    """`attribute` of `module`, imported from the current folder or the installed packages.

    Raises:
        ModelError: no such module, an error while it is imported, or no such function.
    """
    files = source_files(module)
    try:
        with _current_folder_first():
            loaded = importlib.import_module(module)
    except (ImportError, SyntaxError) as error:
        raise ModelError(f"the module '{module}' cannot be imported: {error}", where=Path.cwd()) from error
    if Path(loaded.__file__ or "").resolve() not in files:
        raise ModelError(
            f"another module of the name '{module}' is loaded already",
            received=loaded.__file__,
            accepted=", ".join(map(str, files)),
            hint="rename yours",
        )
    found = getattr(loaded, attribute, None)
    if not callable(found):
        functions = [name for name, value in vars(loaded).items() if callable(value) and not name.startswith("_")]
        raise ModelError(
            f"the module '{module}' has no function '{attribute}'{nearest(attribute, functions)}",
            where=loaded.__file__,
            accepted=", ".join(functions) or "a function that returns a torch.nn.Module",
        )
    return found


def source_files(module: str) -> list[Path]:
    """The module's source and, transitively, the sources that it imports from beside it.

    "Beside it" is the folder that holds the top-level module; of an installed package, only the package itself.

    Raises:
        ModelError: there is no such module, or it is no Python source.
    """
    root = _root(module)
    only = module.partition(".")[0] if "site-packages" in root.parts else None
    if not _location(root, module):
        raise ModelError(f"there is no module '{module}'", where=root, accepted="package.module:function")
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if only is not None and name.split(".")[0] != only:
            continue
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            path = _location(root, ".".join(parts[:end]))
            if path is not None and path not in found:
                found.add(path)
                waiting += _imports(path, root)
    return sorted(found)


def sources_digest(files: list[Path]) -> str:
    """Hex SHA-256 over the names and bytes of the files, in order."""
    total = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        total.update(f"{path.name} {len(content)}\n".encode() + content)
    return total.hexdigest()


def _root(module: str) -> Path:
    top = module.partition(".")[0]
    spec = PathFinder.find_spec(top, [str(Path.cwd()), *sys.path])
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve().parent
    if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        return Path(spec.origin).resolve().parent
    raise ModelError(
        f"there is no module '{top}'",
        where=f"{Path.cwd()} and the installed packages",
        received=module,
        accepted="package.module:function, importable from the current folder",
    )


def _location(root: Path, name: str) -> Path | None:
    base = root.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if path.is_file():
            return path
    return None


def _imports(path: Path, root: Path) -> Iterator[str]:
    """Dotted names that a source file may import, relative ones resolved."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise ModelError(f"a source file is no valid Python: {error}", where=path) from error
    folder = path.relative_to(root).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ([base] if base else [])
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names if alias.name != "*")


@contextmanager
def _current_folder_first() -> Generator[None]:
    sys.path.insert(0, str(Path.cwd()))
    try:
        importlib.invalidate_caches()
        yield
    finally:
        sys.path.remove(str(Path.cwd()))
