"""Texts each of which is a script where a page forgets to escape it. Each would call `pwned`."""

MARK = "pwned()"
SCRIPTS = [
    f"<script>{MARK}</script>", f"</script><script>{MARK}</script>", f"<img src=x onerror={MARK}>",
    f"<svg onload={MARK}>", f"<svg><script>{MARK}</script></svg>", f"\"><script>{MARK}</script>",
    f"'><script>{MARK}</script>", f"\" onmouseover=\"{MARK}", f"' onfocus='{MARK}' autofocus='", f"javascript:{MARK}",
    f"<a href=javascript:{MARK}>x</a>", f"<iframe src=javascript:{MARK}>", f"<iframe srcdoc='<script>{MARK}</script>'>",
    f"<body onload={MARK}>", f"<input onfocus={MARK} autofocus>", f"<details open ontoggle={MARK}>",
    f"<video><source onerror={MARK}></video>", f"<math><mi xlink:href=javascript:{MARK}>x</mi></math>",
    f"<style>*{{background:url(javascript:{MARK})}}</style>", f"</style><script>{MARK}</script>",
    f"<style>@import 'javascript:{MARK}'</style>", f"</title><script>{MARK}</script>",
    f"</textarea><script>{MARK}</script>", f"<!--><script>{MARK}</script>-->", f"]]><script>{MARK}</script>",
    f"<![CDATA[<script>{MARK}</script>]]>", f"<object data=javascript:{MARK}>", f"<embed src=javascript:{MARK}>",
    f"<form action=javascript:{MARK}><button>x", f"<base href=javascript:{MARK}//>",
    f"<meta http-equiv=refresh content='0;url=javascript:{MARK}'>", f"<link rel=stylesheet href=javascript:{MARK}>",
    f"<scr<script>ipt>{MARK}</scr</script>ipt>", f"<SCRIPT>{MARK}</SCRIPT>", f"<script\n>{MARK}</script\n>",
    f"<script/x>{MARK}</script>", f"&lt;script&gt;{MARK}&lt;/script&gt;", f"\x00<script>{MARK}</script>",
    f"<animate onbegin={MARK} attributeName=x>", f"{{{{constructor.constructor('{MARK}')()}}}}",
]  # fmt: skip
assert len(SCRIPTS) == 40
