"""SVG that only draws: a picture is read as XML and rewritten from an allow-list, or refused whole.

Allowed parts can neither run, load nor link anything: no scripts, no handlers, no animation, no embedded pages, no
references except to parts of the same picture, and no images except pixels inside it. Knows nothing of who shows it.
"""

import re
from xml.parsers import expat

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_XML = "http://www.w3.org/XML/1998/namespace"
_SILENT = frozenset(
    (
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "http://creativecommons.org/ns#",
        "http://purl.org/dc/elements/1.1/",
    )
)
"""Namespaces of the description of a picture, which is left out."""

_MAX_SIZE = 32 << 20
_MAX_DEPTH = 64
_MAX_ELEMENTS = 500_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS = _words(
    "svg g defs symbol use title desc path rect circle ellipse line polyline polygon text tspan textPath image "
    "linearGradient radialGradient stop clipPath mask pattern marker style"
)
_TEXTS = frozenset(("style", "title", "desc"))
_REFERRED = _words("symbol clipPath mask pattern marker linearGradient radialGradient")
_ATTRIBUTES = _words(
    "id class style role lang version baseProfile viewBox preserveAspectRatio width height x y x1 y1 x2 y2 cx cy r rx ry "
    "dx dy d points transform rotate textLength lengthAdjust startOffset offset fx fy fr gradientUnits gradientTransform "
    "spreadMethod patternUnits patternContentUnits patternTransform clipPathUnits maskUnits maskContentUnits markerUnits "
    "markerWidth markerHeight refX refY orient pathLength type media tabindex "
    "fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-miterlimit "
    "stroke-dasharray stroke-dashoffset opacity color display visibility overflow clip clip-path clip-rule mask marker "
    "marker-start marker-mid marker-end stop-color stop-opacity font font-family font-size font-style font-weight "
    "font-variant font-stretch text-anchor text-decoration text-rendering dominant-baseline alignment-baseline "
    "baseline-shift letter-spacing word-spacing writing-mode direction unicode-bidi vector-effect paint-order "
    "shape-rendering image-rendering color-interpolation color-rendering pointer-events cursor white-space"
)
_FUNCTION = re.compile(r"([\w-]*)\s*\(([^()]*)")
_FUNCTIONS = _words(
    "rgb rgba hsl hsla translate translatex translatey scale rotate matrix skewx skewy calc not is"
)
_LOCAL = re.compile(r"""\s*["']?#[\w.:-]+["']?\s*""")
_PIXELS = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")
_IN_STYLE = re.compile(r"[@\\<]|/\*|javascript|expression|behavior|binding", re.I)
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


class _Refused(Exception):
    """An error: the picture contains something that does more than draw."""


def drawing(text: str) -> str:
    """Write the picture again with only the parts that draw; empty if it does more, or is no SVG."""
    if len(text) > _MAX_SIZE:
        return ""
    try:
        return _Reader().read(text)
    except (_Refused, expat.ExpatError, ValueError):
        return ""


class _Reader:
    """The reader of one picture. It collects the text that is to be written."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._open: list[str] = []
        self._ids: list[str] = []
        self._silent = 0
        self._count = 0
        self._used: set[str] = set()
        self._using: set[str] = set()
        self._style: list[str] = []

    def read(self, text: str) -> str:
        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        for handler in ("EntityDeclHandler", "ProcessingInstructionHandler", "ExternalEntityRefHandler"):
            setattr(parser, handler, self._refuse)
        parser.Parse(text.encode("utf-8"), True)
        if self._used & self._using:
            raise _Refused("parts that are used use others")
        return "".join(self._parts)

    def _refuse(self, *_: object) -> int:
        raise _Refused("entities and instructions")

    def _doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:
        if internal:
            raise _Refused("declarations")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        self._count += 1
        if self._silent or (space in ("", _SVG) and local == "metadata" and self._open):
            if self._silent and space not in _SILENT:
                raise _Refused("a description with more in it")
            self._silent += 1
            return
        root = not self._open
        if space not in ("", _SVG) or local not in _ELEMENTS or (root and local != "svg"):
            raise _Refused(f"<{local}>")
        if (
            len(self._open) >= _MAX_DEPTH
            or self._count > _MAX_ELEMENTS
            or not _TEXTS.isdisjoint(self._open[-1:])
        ):
            raise _Refused("too deep or too much")
        self._open.append(local)
        self._ids.append(attributes.get("id", ""))
        written = [f' xmlns="{_SVG}"'] if root and space else []
        links = False
        for key, value in attributes.items():
            told, is_link = self._attribute(local, key, value)
            written.append(f' {told}="{_escaped(value)}"')
            links = links or is_link
        if links:
            written.append(f' xmlns:xlink="{_XLINK}"')
        self._parts.append(f"<{local}{''.join(written)}")
        self._parts.append(">")

    def _attribute(self, element: str, name: str, value: str) -> tuple[str, bool]:
        """Return the name of an attribute as it is written, and whether it needs the namespace of links."""
        space, _, local = name.rpartition(" ")
        if space == _XML and local in ("space", "lang"):
            return f"xml:{local}", False
        if local == "href" and space in ("", _XLINK):
            self._reference(element, value)
            return ("xlink:href" if space else "href"), bool(space)
        if space == _XLINK and local in ("title", "type", "show", "actuate", "role", "arcrole"):
            if local == "type" and value == "simple":
                return "xlink:type", True
            raise _Refused(f"xlink:{local}")
        if space or not (local in _ATTRIBUTES or local.startswith(("data-", "aria-"))):
            raise _Refused(f"{local}=")
        if not local.startswith(("data-", "aria-")) and local not in ("id", "class", "d", "points"):
            self._check_style(value)
        return local, False

    def _reference(self, element: str, value: str) -> None:
        if element == "image" and _PIXELS.fullmatch(value):
            return
        if element == "image" or not _LOCAL.fullmatch(value):
            raise _Refused("a link")
        if element == "use":
            self._used.add(value.strip()[1:])
            self._using.update(filter(None, self._ids))

    def _check_style(self, value: str) -> None:
        if _IN_STYLE.search(value):
            raise _Refused("a style that does more")
        for function, inside in _FUNCTION.findall(value):
            if function.lower() == "url" and _LOCAL.fullmatch(inside):
                if not _REFERRED.isdisjoint(self._open[:-1]):
                    raise _Refused("parts that are referred to and refer to others")
                continue
            if function and function.lower() not in _FUNCTIONS:
                raise _Refused(f"{function}()")

    def _text(self, text: str) -> None:
        if self._silent:
            return
        if self._open[-1] == "style":
            self._style.append(text)
        else:
            self._parts.append(_escaped(text))

    def _end(self, name: str) -> None:
        if self._silent:
            self._silent -= 1
            return
        local = self._open.pop()
        self._ids.pop()
        if local == "style":
            style = "".join(self._style)
            self._style.clear()
            self._check_style(style)
            self._parts.append(_escaped(style))
        if self._parts[-1] == ">" and self._parts[-2].startswith(f"<{local}"):
            self._parts[-1] = "/>"
        else:
            self._parts.append(f"</{local}>")


def _escaped(text: str) -> str:
    clean = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
