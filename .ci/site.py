"""What the site needs besides docs/: pages of the root, and a menu of what there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Pages of the root, by their names on the site.
TAKEN = {
    "architecture.md": "ARCHITECTURE.md",
    "changelog.md": "CHANGELOG.md",
    "security-policy.md": "SECURITY.md",
}
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> None:
    """Leave out entries without a page, fill in those that stand for a folder, add the rest."""
    assert config.nav is not None
    folder = Path(config.docs_dir)
    config.nav = _existing(config.nav, folder)
    named = set(_pages(config.nav))
    rest = sorted({path.name for path in folder.glob("*.md")} - named)
    if rest:
        config.nav.append({"More": rest})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    for name, source in TAKEN.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, name, content=_mend(text, ROOT)))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Mend links of the pages of docs/ that lead out of it."""
    if page.file.src_uri in TAKEN:
        return markdown
    return _mend(markdown, Path(config.docs_dir) / Path(page.file.src_uri).parent)


def _existing(nav: list[Any], folder: Path) -> list[Any]:
    found = []
    for entry in nav:
        title, target = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if isinstance(target, list):
            target = _existing(target, folder)
        elif target.endswith("/*"):
            target = sorted(
                f"{target[:-1]}{path.name}" for path in folder.glob(f"{target[:-1]}*.md")
            )
        elif target not in TAKEN and not (folder / target).exists():
            continue
        found.append(target if title is None else {title: target})
    return found


def _pages(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        target = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(target, list):
            yield from _pages(target)
        else:
            yield target


def _mend(text: str, folder: Path) -> str:
    """Let links lead to pages of the site; what is only in the repository is named, not linked."""
    names = {source: name for name, source in TAKEN.items()}

    def replace(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        place = (folder / target).resolve()
        if place.is_relative_to(ROOT / "docs"):
            if folder == ROOT:
                return f"[{label}]({place.relative_to(ROOT / 'docs')}{anchor})"
            return match[0]
        name = names.get(str(place.relative_to(ROOT))) if place.is_relative_to(ROOT) else None
        if name is None:
            return label if label.startswith("`") else f"`{target.lstrip('./')}`"
        ups = "../" * len(folder.relative_to(ROOT / "docs").parts) if folder != ROOT else ""
        return f"[{label}]({ups}{name}{anchor})"

    return LINK.sub(replace, text)
