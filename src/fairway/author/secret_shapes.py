"""Secrets that are recognised in any text by their look or by the words before them.

These are tokens with the prefix of their maker, private keys, passwords and tokens in addresses, headers that carry a
key, and values behind a telling name. This module does not know the secrets of this process.
"""

import re
from collections.abc import Iterator
from functools import cached_property

from fairway.author import secret_names

Span = tuple[int, int]


class _Pattern:
    """A regular expression that is compiled at its first use, because a process that prints nothing needs none."""

    def __init__(self, text: bytes, flags: int = 0) -> None:
        self._text = text
        self._flags = flags

    @cached_property
    def ready(self) -> re.Pattern[bytes]:
        """The compiled expression."""
        return re.compile(self._text, self._flags)


_QUOTE = rb"""\\{0,2}["'`]|&quot;|&\#34;|&\#39;|&\#x27;"""
_NAMED = (
    rb"password|passwd|passphrase|passcode|pwd|pass|secret|credentials?|creds|token|authorization|auth|cookies?"
    rb"|signature|sig|pat|keys?|key_?id|jwt"
)
_KEYED = _Pattern(
    rb"(?P<word>" + _NAMED + rb")(?:\d{0,2})(?P<q1>" + _QUOTE + rb")?[ \t]{0,8}(?P<sep>:=|=>|:|=(?!=)|%3d|,)"
    rb"[ \t]{0,8}(?P<list>[\[(][ ]?)?(?:b(?=[\"']))?(?P<q2>" + _QUOTE + rb")?"
)
"""The last word of a name, the characters between name and value, and the value's opening quote, in lower case."""

_GATE = re.compile(rb"token|key|secret|pass|pwd|auth|sig|cookie|cred|_pat|jwt")
_BARE = _Pattern(rb"(?:(?!\\[rn]|%26|&quot;)[^\s&;\"'<>`])+")
_LINE = _Pattern(rb"(?:(?!\\[rn])[^\r\n\"'`])*")
_OF_NAMES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_RUNS = bytes(97 if bytes((code,)) in _OF_NAMES.replace(b".", b"") else 32 for code in range(256))
_LONG_RUN = b"a" * 14
"""The shortest run of letters, digits, dashes and underscores that every token of a known maker contains."""

_SCHEME = _Pattern(
    rb"(?P<scheme>bearer|basic|token|negotiate|ntlm|api-?key|key|oauth|jwt|bot|splunk|hawk|mac|digest|signature"
    rb"|aws[\w-]*|goog[\w-]*|shared\w+)[ \t]+",
    re.I,
)
_ONE_WORD = frozenset((b"bearer", b"basic", b"token", b"negotiate", b"ntlm", b"jwt", b"bot", b"splunk"))
_TOKEN = _Pattern(
    rb"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{10,}|github_pat_\w{10,}|gl(?:pat|dt|rt|cbt|soat)-[\w-]{10,}"
    rb"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}|[sr]k_(?:live|test)_\w{8,}|whsec_\w{16,}|sk-(?:ant|proj|or|svcacct)-[\w-]{8,}"
    rb"|sk-[A-Za-z0-9]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])|AIza[\w-]{30,}|ya29\.[\w-]{20,}"
    rb"|hf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{16,}|pypi-Ag[\w-]{10,}|npm_[A-Za-z0-9]{30,}|do[opr]_v1_[0-9a-f]{32,}"
    rb"|SG\.[\w-]{16,}\.[\w-]{16,}|dckr_pat_[\w-]{16,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{20,}|gsk_\w{20,}|nvapi-[\w-]{20,}"
    rb"|hvs\.[\w-]{20,}|tskey-[\w-]{16,}|AGE-SECRET-KEY-1[A-Z0-9]{20,}|dapi[0-9a-f]{32}|r8_\w{30,}"
    rb"|eyJ[\w-]{6,}\.[\w-]{3,}(?:\.[\w-]*)?"
    rb"|hooks\.slack\.com/(?:services|workflows|triggers)/[\w/-]{8,}|discord(?:app)?\.com/api/webhooks/[\w/-]{8,})"
)
_AFTER_MAKER = (
    rb"(?:(?<=gh[pousr]_)|(?<=_pat_)|(?<=gl[a-z]{3}-)|(?<=glrt-)|(?<=gldt-)|(?<=glsoat-)|(?<=xox[a-z]-)|(?<=xapp-)"
    rb"|(?<=sk[-_])|(?<=rk_)|(?<=whsec_)|(?<=hf_)|(?<=pypi-)|(?<=npm_)|(?<=_v1_)|(?<=shp[a-z]{2}_)|(?<=gsk_)|(?<=nvapi-)"
    rb"|(?<=tskey-)|(?<=age-)|(?<=r8_))"
)
_MAKERS = _Pattern(rb"[-_](?=[a-z0-9_-]{8})" + _AFTER_MAKER)
_MAKERS_OPEN = _Pattern(rb"[-_]" + _AFTER_MAKER)
_CASED = (b"AKIA", b"ASIA", b"AIza", b"eyJ", b"ya29.", b"SG.", b"hvs.", b"dapi")
_CASED_LOW = tuple(word.lower() for word in _CASED)
_PEM = _Pattern(
    rb"(-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
    rb"((?:(?:\s|\\[rn])*[\w-]+: [^\n\\]{0,200})*[A-Za-z0-9+/=\s\\]{0,16384})(?:-----END[ A-Z0-9]{0,60}(?:-----)?)?"
)
_USER = _Pattern(rb"(?<![\w/:.@+\-])([\w.+\-]{0,64}):([^\s:@/\"'<>,]{6,128})@(?!sha\d+:)[\w\-]")
_NO_USERS = frozenset(b"mailto from to cc bcc email mail e-mail contact by sip acct git author".split())
_CURL = _Pattern(
    rb"(?:curl|wget|http)\b[^\n]{0,400}?\s(?:-u|--user|-U|--proxy-user)[ =]?[\"']?[^\s:\"']{0,128}:([^\s\"']+)"
)
_SETTINGS = frozenset(
    b"true false yes no none null nil on off default auto enabled disabled required optional unset undefined str int "
    b"bytes bool float object any secret password token key string redacted hidden masked omitted".split()
)
_CODE = _Pattern(rb"[A-Za-z_][\w.]*(?:\(.*\)?|\[.*\]?)[,:)\]]*\Z")
_CODE_NAMES = (
    b"os.",
    b"getenv",
    b"environ",
    b"self.",
    b"fw.",
    b"settings.",
    b"config.",
    b"args.",
    b"getpass",
    b"input(",
)
_ITEM, _PROSE = _Pattern(rb"[^\s,;\\]+"), _Pattern(rb"[ \t]+[a-z]")
_OPEN = _Pattern(
    rb"(?:"
    + _NAMED
    + rb")\d{0,2}(?=(?:"
    + _QUOTE
    + rb")?[ \t]{0,8}(?:[:=,%]|\Z)|(?:\\{1,2}|&[a-z\d#]{0,5})\Z)"
)
_ESCAPES = _Pattern(rb"\x1b(?:\[[0-9;:]*m?)?")
_STOPS = _Pattern(rb"[\s\"'<>`|\\]")


def _beginnings(words: bytes) -> frozenset[bytes]:
    """Return all beginnings of the words."""
    return frozenset(word[:size] for word in words.split() for size in range(1, len(word) + 1))


_BEGUN_NAMES = _beginnings(
    b"password passphrase passcode secret credential token authorization cookie signature pwd key pat jwt curl wget -----begin ://"
)
_BEGUN_TOKENS = _beginnings(
    b"ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xoxb- xoxp- xapp- sk_live_ sk-ant- rk_live_ whsec_ akia asia aiza hf_ "
    b"pypi- npm_ eyj hooks.slack.com/services/ discord.com/api/webhooks/ ya29. sg. hvs. dapi gsk_ shpat_ dckr_pat_"
)
_LONGEST_NAME = max(map(len, _BEGUN_NAMES))
_MAKER = _Pattern(rb"(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|[sr]k_(?:live|test)_|sk-|hf_|pypi-|npm_)\w")


def spans(data: bytes) -> list[Span]:
    """Find the places of secrets, in order and without overlaps."""
    low = data.lower()
    found: list[Span] = []
    # A cheap look guards each expensive expression, because every line that a program prints comes through here.
    if _GATE.search(low):
        found += _keyed(data, low)
    if b"://" in low:
        found += _addresses(data)
    if b"@" in data:
        found += [match.span(2) for match in _USER.ready.finditer(data)
                  if match[1].lower() not in _NO_USERS and _is_mixed(match[2])]  # fmt: skip
    if b"curl" in low or b"wget" in low:
        found += [match.span(1) for match in _CURL.ready.finditer(data)]
    if b"hooks" in low or (
        _LONG_RUN in data.translate(_RUNS)
        and (any(word in data for word in _CASED) or _MAKERS.ready.search(low))
    ):
        found += [match.span() for match in _TOKEN.ready.finditer(data)]
    if b"PRIVATE KEY" in data:
        found += [match.span(2) for match in _PEM.ready.finditer(data) if match[2].strip()]
    return _merged(data, found) if found else found


def _merged(data: bytes, found: list[Span]) -> list[Span]:
    """Sort the places, join those that overlap, and drop those that are taken out already."""
    merged: list[Span] = []
    for start, end in sorted(found):
        if start >= end or data.startswith((b"[secret", b"'[secret"), start):
            continue
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _keyed(data: bytes, low: bytes) -> Iterator[Span]:
    """Find values behind a name: `name=value`, `"name": "value"`, `('name', 'value')`, `Name: value`."""
    for match in _KEYED.ready.finditer(low):
        separator = match["sep"]
        if separator == b"," and not (match["q1"] and match["q2"]):
            continue
        start = _start_of_name(data, match.start())
        name = data[start : match.end("word")].decode("utf-8", "replace")
        if match["word"] == b"authorization":
            yield from _authorization(data, match)
            continue
        if match["word"] == b"cookie":
            value = _value(data, match, line=True)
            if b"=" in data[slice(*value)]:
                yield value
                continue
        kind = secret_names.kind_of(name)
        if kind:
            value = _value(data, match, line=False)
            if _is_secret(kind, data, match, start, value):
                yield value


def _start_of_name(data: bytes, end: int) -> int:
    """Return the start of the name that goes on up to `end`."""
    start = max(0, end - 64)
    start += len(data[start:end].rstrip(_OF_NAMES))
    # In a text that `repr` wrote, the `n` of `\n` does not belong to the name.
    return start + 1 if data[start - 1 : start + 1] in (b"\\n", b"\\r", b"\\t") and start < end else start


def _value(data: bytes, match: re.Match[bytes], *, line: bool) -> Span:
    """Return the start and end of a value.

    The value ends at its closing quote. Without a quote it ends with the word or, with `line`, with the line.
    """
    start, quote = match.end(), match["q2"]
    if quote:
        end = start
        while True:
            end = data.find(quote, end)
            if end <= 0 or quote.startswith(b"\\") or data[end - 1 : end] != b"\\":
                break
            end += 1
        newline = data.find(b"\n", start)
        ends = [place for place in (end, newline) if place >= 0]
        return start, min(ends) if ends else len(data)
    found = (_LINE if line else _BARE).ready.match(data, start)
    end = found.end() if found else start
    while end > start and data[end - 1] in b",)]}. \t":
        end -= 1
    return start, end


def _authorization(data: bytes, match: re.Match[bytes]) -> Iterator[Span]:
    """Find the secret part of an authorization header."""
    start, end = _value(data, match, line=True)
    scheme = _SCHEME.ready.match(data, start, end)
    if scheme:
        rest = scheme.end()
        if scheme["scheme"].lower() in _ONE_WORD:
            word = _ITEM.ready.match(data, rest, end)
            end = word.end() if word else rest
        if not data.startswith((b"<", b"$", b"{", b"*"), rest):
            yield rest, end
        return
    word = _BARE.ready.match(data, start, end)
    if (word and (_is_mixed(word[0]) or len(word[0]) >= 20)) or re.search(
        rb"=[\"']?[^\s,;]{12,}", data[start:end]
    ):
        yield start, end


def _is_secret(kind: str, data: bytes, match: re.Match[bytes], name_at: int, value: Span) -> bool:
    """Tell whether a value is a secret, by its name and its look. Settings, short numbers and code are not secrets."""
    text = data[slice(*value)]
    lower = text.lower().strip(b"*.<>_-")
    if not lower or lower in _SETTINGS or text.startswith((b"<", b"${", b"{", b"[secret", b"$")):
        return False
    if (lower.isdigit() and len(lower) < 4) or re.fullmatch(rb"-?\d+\.\d*(?:e-?\d+)?", lower):
        return False
    if not match["q2"]:
        if lower.startswith(_CODE_NAMES) or _CODE.ready.match(text) or lower == match["word"]:
            return False
        if (
            match["sep"] == b":"
            and (lower.isalpha() and text == text.lower())
            and _more_words(data, value[1])
        ):
            return False
    if kind == "strong":
        return True
    if match["word"] in (b"key", b"keys", b"pass", b"pat"):
        query = data[name_at - 1 : name_at] in (b"?", b"&", b"#") or data[:name_at].endswith(b"&amp;")
        return _is_mixed(text, 8) and (query or not re.search(rb"[_/. ]", text) or len(text) > 30)
    if match["sep"] in (b"=", b"%3d"):
        return _is_mixed(text, 6) or len(text) >= 12
    return _is_mixed(text, 8)


def _more_words(data: bytes, at: int) -> bool:
    """Tell whether the line goes on with a word, as prose does."""
    return _PROSE.ready.match(data, at) is not None


def _is_mixed(text: bytes, least: int = 8) -> bool:
    """Tell whether a word looks made by a machine: it mixes letters with digits, or upper with lower case."""
    if len(text) < least or re.search(rb"[\s()\[\]{}]", text):
        return False
    letters, digits = re.search(rb"[A-Za-z]", text), re.search(rb"\d", text)
    return bool(letters and digits) or (len(text) >= 16 and text not in (text.lower(), text.upper()))


def _addresses(data: bytes) -> Iterator[Span]:
    """Find passwords in addresses, also those with `/` and `@` in them, and tokens in the place of the user."""
    at = -1
    while (at := data.find(b"://", at + 1)) >= 0:
        start = at + 3
        stop = _STOPS.ready.search(data, start, start + 20_000)
        end = stop.start() if stop else min(len(data), start + 20_000)
        whole = data[start:end]
        further = whole.find(b"://")
        whole = whole[: further if further >= 0 else None]
        if b"@" not in whole:
            continue
        authority = re.split(rb"[/?#]", whole, maxsplit=1)[0]
        user, colon, rest = whole.partition(b":")
        if b"@" in authority:
            last = authority.rfind(b"@")
        elif not colon or re.match(rb"\d{0,5}(?:[/?#]|\Z)", rest) or re.search(rb"[/?#@\[]", user):
            continue
        else:
            last = whole.partition(b"?")[0].rfind(b"@")
        place = whole.find(b":", 0, last)
        name_end = place if place >= 0 else last
        name = whole[:name_end]
        if last > 0 and (
            _MAKER.ready.match(name) or (_is_mixed(name, 10) and not data[:at].endswith((b"ssh", b"sftp")))
        ):
            yield start, start + name_end
        if 0 <= place < last - 1:
            yield start + place + 1, start + last


def unfinished(data: bytes) -> int:
    """Count the bytes at the end that may become a secret when more bytes follow."""
    begun = data.rfind(b"-----BEGIN")
    if begun >= 0 and b"-----END" not in data[begun:] and len(data) - begun < 20_000:
        return len(data) - begun
    line = data[max(data.rfind(b"\n"), data.rfind(b"\r")) + 1 :]
    if not line:
        return 0
    if b"\x1b" in line:
        return len(line) if _unfinished(_ESCAPES.ready.sub(b"", line)) else 0
    return _unfinished(line)


def _unfinished(line: bytes) -> int:
    """Count these bytes for an open line without escape sequences."""
    low = line.lower()
    held = _open_name(line, low) if _GATE.search(low) else 0
    if b"curl " in low or b"wget " in low:
        return len(line)
    run = max(low.rfind(space) for space in (b" ", b"\t", b'"', b"'", b"<", b">")) + 1
    last = low[run:]
    word = last[len(last.rstrip(_OF_NAMES)) :]
    if (
        b":" in last
        or word in _BEGUN_TOKENS
        or word.startswith(_CASED_LOW)
        or _MAKERS_OPEN.ready.search(last)
    ):
        return max(held, len(last))
    for size in range(1, min(_LONGEST_NAME, len(last)) + 1):
        if last[-size:] in _BEGUN_NAMES:
            return max(held, len(last) if len(last) < 256 else size)
    return held


def _open_name(line: bytes, low: bytes) -> int:
    """Return the length from the first name in an open line whose value may go on, or 0."""
    for match in _OPEN.ready.finditer(low):
        start = _start_of_name(line, match.start())
        name = line[start : match.end()].decode("utf-8", "replace")
        if match[0] in (b"authorization", b"cookie", b"cookies") or secret_names.kind_of(name):
            return len(line) - max(0, start - 5)
    return 0
