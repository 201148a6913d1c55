"""The Jinja templates of this package, and their style sheets."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources

import jinja2
from markupsafe import Markup

from trainworthy_audit.report.shared.sanitize import clean
from trainworthy_train.report import charts
from trainworthy_train.runs.duration import format_duration

MARKS = {"passed": "✔", "warning": "▲", "error": "✖"}


@functools.cache
def template(name: str) -> jinja2.Template:
    """A template of this package."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trainworthy_train.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"MARKS": MARKS, "WIDTH": charts.WIDTH, "HEIGHT": charts.HEIGHT}
    environment.filters |= {"clean": clean, "clock": format_duration}
    return environment.get_template(name)


@functools.cache
def page_style(*names: str) -> Markup:
    """The style of the audit's pages and of diagnoses, and further style sheets of this package."""
    audit = resources.files("trainworthy_audit.report") / "templates" / "style.css"
    return Markup(audit.read_text("utf-8")) + style_sheets("diagnosis.css", *names)  # noqa: S704 - our own file


@functools.cache
def script(name: str) -> dict[str, str]:
    """A script of this package, and the hash by which a page's policy lets browsers run it."""
    code = (resources.files("trainworthy_train.report") / "templates" / name).read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return {"script": Markup(code), "script_hash": digest}  # noqa: S704 - our own file


@functools.cache
def style_sheets(*names: str) -> Markup:
    """Style sheets of this package, one after another."""
    folder = resources.files("trainworthy_train.report") / "templates"
    return Markup("".join((folder / name).read_text("utf-8") for name in names))  # noqa: S704 - our own files
