"""Tables and the whole report as HTML."""

from html.parser import HTMLParser

from fairway.evaluation import evaluate, evaluation_html, table_html


class Tags(HTMLParser):
    """Collects the tags of a page and checks that they close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.open.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_table() -> None:
    assert table_html(
        ["name", "value"], [["a<b", 0.5], ["n", 12345], ["none", None], ["yes", True]], caption="T&C"
    ) == (
        '<table class="fairway"><caption>T&amp;C</caption><thead><tr><th scope="col">name</th>'
        '<th scope="col">value</th></tr></thead><tbody><tr><td>a&lt;b</td><td class="number">0.500</td></tr>'
        '<tr><td>n</td><td class="number">12,345</td></tr><tr><td>none</td><td></td></tr>'
        "<tr><td>yes</td><td>True</td></tr></tbody></table>"
    )
    assert "<thead>" not in table_html((), [[1]])


def test_a_report_holds_everything_and_is_safe() -> None:
    labels = ["<script>alert(1)</script>", "b"]
    page = evaluation_html(evaluate(labels, labels, scores=[2.0, -2.0]))
    tags = Tags(page)
    assert not tags.open
    assert "script" not in tags.found
    assert tags.found.count("svg") == 3
    assert tags.found.count("table") == 2
    assert "no log_loss: the scores are not probabilities" in page
    assert "<td>accuracy</td>" in page
    assert "macro mean" in page


def test_a_report_of_clusters() -> None:
    page = evaluation_html(evaluate([0, 1, 1], clusters=["x", "y", "y"]))
    assert '<th scope="row">y</th><td class="number">2</td>' in page
