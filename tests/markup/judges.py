"""What a reader's browser would make of a text: HTML parsed by a browser's rules, Markdown by the renderers in use."""

import cmarkgfm
import comrak
import html5lib
import markdown_it
import mistune
import pyromark
from cmarkgfm.cmark import Options

from guard_integrations.core.scanner.markup.tags import ALLOWED, KNOWN
from guard_integrations.core.scanner.markup.urls import UrlPolicy

HOSTS = frozenset({"good.example"})
POLICY = UrlPolicy(allowed_hosts=HOSTS)
STRUCTURE = frozenset({"section", "input", "label"})  # footnotes and task lists, as renderers write them
LOADING = frozenset({"srcdoc", "srcset", "background", "poster", "action", "formaction", "data", "ping"})


def active(page):
    """What acts in a piece of HTML, or loads, or links to where it may not."""
    found = []
    for element in html5lib.parseFragment(page, namespaceHTMLElements=False).iter():
        if not isinstance(element.tag, str):
            continue
        name = element.tag.rpartition("}")[2].lower()
        if element.tag.startswith("{") or (name in KNOWN and name not in ALLOWED | STRUCTURE):
            found.append(f"<{name}>")
        for key, value in element.attrib.items():
            attribute = str(key).lower()
            styled = attribute == "style" and "text-align" not in value
            if attribute.startswith("on") or attribute in LOADING or styled:
                found.append(attribute)
            if (attribute == "src" and POLICY.load(value)) or (attribute.endswith("href") and POLICY.link(value)):
                found.append(f"{attribute}={value}")
    return found


def _comrak(text):
    extensions = comrak.ExtensionOptions()
    extensions.autolink = extensions.table = extensions.footnotes = extensions.strikethrough = True
    render = comrak.RenderOptions()
    render.unsafe_ = True
    return comrak.render_markdown(text, extensions, None, render)


_ALL = pyromark.Options.ENABLE_TABLES | pyromark.Options.ENABLE_FOOTNOTES
RENDERERS = {
    "comrak": _comrak,
    "cmark-gfm": lambda text: cmarkgfm.github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE),
    "markdown-it": markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": True}).render,
    "markdown-it, bare": markdown_it.MarkdownIt("commonmark", {"html": True}).render,
    "mistune": mistune.create_markdown(escape=False, plugins=["table", "url", "footnotes", "strikethrough"]),
    "pulldown-cmark": lambda text: pyromark.html(text, options=_ALL),
}


def rendered_active(text):
    """What acts in Markdown, by renderer."""
    plain = text.encode("utf-8", "replace").decode()
    return {name: found for name, render in RENDERERS.items() if (found := active(render(plain)))}
