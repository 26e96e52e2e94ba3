"""What the documentation's site is made of beside the pages of `docs/`: see `mkdocs.yml`, `make docs`.

The overview is the README, the changelog CHANGELOG.md, "How it works" is from CONTRIBUTING.md, and the reference has
each public name under its group, from its docstring. Links to what is no page are shown as the path that they name.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GROUPS = {
    "clients": ("Clients and streams", r"client\.(wrap|client|sync|aio|sync_streams|async_streams)"),
    "many": ("Conversations, many streams", r"client\.(conversation|several)"),
    "hooks": ("Hooks", r"session\.hooks"),
    "events": ("Events", r"core\.(events|usage)"),
    "errors": ("Errors", r"core\.errors"),
    "policies": ("How often a partial appears", r"core\.policies"),
    "bounds": ("Bounds", r"core\.options"),
    "partials": ("Markers and partials", r"core\.(markers|types\..*)"),
    "sinks": ("Log, telemetry, terminal", r"sinks\..*"),
    "routing": ("Routing", r"routing\..*"),
    "web": ("The web", r"web\..*"),
    "testing": ("Testing", r"testing\..*"),
}
ELSEWHERE = ("sinks/telemetry.py", "sinks/terminal.py", "routing/__init__.py", "web/__init__.py", "testing/__init__.py")
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, *, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File  # type: ignore[import-not-found, unused-ignore]

    made = {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8").replace('="docs/', '="').replace("](docs/", "]("),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "]("),
        "how_it_works.md": _how_it_works(),
        **reference(),
    }
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, files: Any, **_: Any) -> str:
    """Show links to what is no page as the path that they name."""
    folder = Path(page.file.src_uri).parent

    def shown(link: re.Match[str]) -> str:
        target = (folder / link[2]).as_posix()
        if files.get_file_from_path(target) is not None:
            return link[0]
        path = re.sub(r"^(\.\./)+", "", link[2])
        return f"{link[1]} (`{path}`)" if path.strip("/") not in link[1] else link[1]

    return _LINK.sub(shown, markdown)


def _how_it_works() -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    begin, end = text.index("## The way of a delta"), text.index("## Where to add what")
    return "# How it works\n\n" + text[begin:end]


def reference() -> dict[str, str]:
    """A page for each group, with the place of each of its names."""
    where = public_names()
    pages = {}
    for group, (title, pattern) in GROUPS.items():
        named = sorted((name, place) for name, place in where.items() if re.fullmatch(pattern, place))
        body = "\n\n".join(f"::: instructor_stream_ext.{place}.{name}" for name, place in named)
        pages[f"reference/{group}.md"] = f"# {title}\n\n{body}\n"
    return pages


def public_names() -> dict[str, str]:
    """Where each public name is, below the package."""
    package = ROOT / "instructor_stream_ext"
    where: dict[str, str] = {}
    for node in ast.walk(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_WHERE":
            where = ast.literal_eval(node.value)
    for path in ELSEWHERE:
        tree = ast.parse((package / path).read_text(encoding="utf-8"))
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        imported = {
            alias.asname or alias.name: node.module.removeprefix("instructor_stream_ext.")
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                where |= {name: imported.get(name, module) for name in ast.literal_eval(node.value)}
    return where
