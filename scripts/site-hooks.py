"""What mkdocs must know of this repository: README.md is the first page, links that leave docs/ go to the repository, and
headings have the anchors that GitHub gives them, so that one link works in both places."""

import re
from pathlib import Path

from markdown.extensions import Extension
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def repository():
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^repository = "(.*)"$', manifest, re.MULTILINE).group(1) + "/blob/main/"


def github_anchor(text, separator):
    text = re.sub(r"[^\w\- ]", "", text.strip().lower())
    return text.replace(" ", separator)


class TwoSpaces(Extension):
    """Lists nest by two spaces, as in CommonMark."""

    def extendMarkdown(self, md):
        md.tab_length = 2


def on_config(config):
    config["mdx_configs"].setdefault("toc", {})["slugify"] = github_anchor
    config["markdown_extensions"].append(TwoSpaces())
    return config


def on_files(files, config):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=readme))
    return files


def on_page_markdown(markdown, page, config, files):
    folder = ROOT if page.file.src_uri == "index.md" else ROOT / "docs"

    def rewritten(match):
        target = match.group(2)
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            return match.group(0)
        path, hash_, anchor = target.partition("#")
        file = (folder / path).resolve()
        if not file.exists():
            raise PluginError(f"{page.file.src_uri}: {target} leads nowhere")
        if file == ROOT / "README.md":
            path = "index.md"
        elif file.parent == ROOT / "docs":
            path = file.name
        else:
            path = repository() + str(file.relative_to(ROOT))
        return match.group(1) + path + hash_ + anchor + match.group(3)

    # Not in code: a fence is left as it stands.
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(rewritten, part) for part in parts)
