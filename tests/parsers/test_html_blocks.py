"""HTML to blocks: what a reader sees, in reading order."""

from __future__ import annotations

import pytest

from parsers.limits import MAX_DEPTH
from tests.parsers.reading import html_page, shown


@pytest.mark.parametrize(
    ("markup", "blocks"),
    [
        ("<h2>Title</h2><p>One <b>bold</b> word.</p>", [("heading", "Title"), ("paragraph", "One bold word.")]),
        ("<p>One<br>two<br/>three</p>", [("paragraph", "One"), ("paragraph", "two"), ("paragraph", "three")]),
        ("<h1>One<br>line</h1>", [("heading", "One line")]),
        ("<div>One<div>two</div>three</div>", [("paragraph", "One"), ("paragraph", "two"), ("paragraph", "three")]),
        ("Bare <i>text</i> alone", [("paragraph", "Bare text alone")]),
        ("<p>un<b>divid</b>ed</p>", [("paragraph", "undivided")]),
        ("<p>un<!-- not seen -->divided</p>", [("paragraph", "undivided")]),
        ("<p>un<wbr>divided &amp; &lt;b&gt; &#174;</p>", [("paragraph", "undivided & <b> \u00ae")]),
        ("<span>Global Days</span><span>XXX</span>", [("paragraph", "Global Days XXX")]),
        ("<span>Global Days</span><!--v--><span>XXX</span>", [("paragraph", "Global Days XXX")]),
        ("<a><div>In a</div> link</a>", [("paragraph", "In a"), ("paragraph", "link")]),
        ("<p>Before <span><p>block</p></span> after</p>", ["Before", "block", "after"]),
        ("<select><option>One<option>Two</select>", ["One", "Two"]),
        ("<textarea>Typed</textarea><button>Press</button>", ["Typed", "Press"]),
        ("<blockquote>Said<footer>Who</footer></blockquote>", ["Said", "Who"]),
        ("<p>One</p>tail</body></html>after the end", ["One", "tail", "after the end"]),
        ("<p>a\x00b</p><p>c</p>", ["a b", "c"]),
    ],
)
def test_inline_text_and_block_elements(markup: str, blocks: list[str | tuple[str, str]]):
    found = shown(html_page(markup).blocks)
    assert found == [block if isinstance(block, tuple) else ("paragraph", block) for block in blocks]


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>var x = '<p>no</p>';</script>",
        "<SCRIPT>var x</SCRIPT>",
        "<style>p { color: red }</style>",
        "<template><p>no</p></template>",
        "<svg><title>no</title><text>no</text></svg>",
        "<iframe>no</iframe>",
        "<object><p>no</p></object>",
        "<video>no</video>",
        "<!-- <p>no</p> -->",
        "<![CDATA[ no ]]>",
        "<?php no ?>",
    ],
)
def test_what_no_reader_sees_is_no_block(unseen: str):
    assert shown(html_page(f"<p>One {unseen}word</p>{unseen}<p>two</p>").blocks) == [
        ("paragraph", "One word"),
        ("paragraph", "two"),
    ]


@pytest.mark.parametrize("body", ["<p>x</p>", "<title>Two</title><p>x</p>", "<h1>x<title>Two</title></h1>"])
def test_the_title_of_the_page_is_no_block(body: str):
    page = html_page(f"<html><head><title> The\n title </title></head><body>{body}</body></html>")
    assert (page.title, [block.text for block in page.blocks]) == ("The title", ["x"])


@pytest.mark.parametrize(
    ("markup", "blocks"),
    [
        ("<ul><li>One<li>Two</ul>", [("item", "One"), ("item", "Two")]),
        ("<ol><li><p>One</p><p>more</p></li></ol>", [("item", "One"), ("item", "more")]),
        ("<ul><li>One<ul><li>Nested</ul></ul>", [("item", "One"), ("item", "Nested")]),
        ("<ul><li><b>Term</b> text</li></ul>", [("item", "Term text")]),
        ("<li>Alone</li>", [("item", "Alone")]),
        ("<ul>stray<li>One</ul>", [("paragraph", "stray"), ("item", "One")]),
    ],
)
def test_lists(markup: str, blocks: list[tuple[str, str]]):
    assert shown(html_page(markup).blocks) == blocks


@pytest.mark.parametrize(
    ("markup", "blocks"),
    [
        ("<dl><dt>Key</dt><dd>Value</dd></dl>", [("pair", "Key | Value")]),
        ("<dl><div><dt>Key</dt><dd>Value</dd></div></dl>", [("pair", "Key | Value")]),
        ("<dl><dt>Key</dt><dd>Value</dd><dd>More</dd></dl>", [("pair", "Key | Value"), ("paragraph", "More")]),
        ("<dl><dt>Key</dt><dt>Key 2</dt><dd>Value</dd></dl>", [("paragraph", "Key"), ("pair", "Key 2 | Value")]),
        ("<dl><dt>Key</dt></dl><p>x</p>", [("paragraph", "Key"), ("paragraph", "x")]),
        ("<dt>Alone</dt>", [("paragraph", "Alone")]),
        ("<dl><dt>Key</dt>stray<dd>Value</dd></dl>", ["Key", "stray", "Value"]),
        ("<dl><dt>Key</dt><dd><ul><li>One</li></ul></dd></dl>", [("paragraph", "Key"), ("item", "One")]),
        (
            "<dl><dt>Key</dt><dd>Text<dl><dt>In</dt><dd>Side</dd></dl></dd></dl>",
            [("paragraph", "Key"), ("paragraph", "Text"), ("pair", "In | Side")],
        ),
        ("<div><div>Global Days</div><div>XXX</div></div>", [("pair", "Global Days | XXX")]),
        ("<div><!--[--><div>Global Days</div><!--]--><div>XXX</div></div>", [("pair", "Global Days | XXX")]),
        ("<div><div>A sentence.</div><div>Another one.</div></div>", ["A sentence.", "Another one."]),
        ("<div><div>One</div><div>two</div><div>three</div></div>", ["One", "two", "three"]),
        ("<div>tail<div>One</div><div>two</div></div>", ["tail", "One", "two"]),
        ("<div><div>One<p>x</p></div><div>two</div></div>", ["One", "x", "two"]),
    ],
)
def test_two_part_rows_in_definition_lists_and_sibling_divs(markup: str, blocks: list[str | tuple[str, str]]):
    found = shown(html_page(markup).blocks)
    assert found == [block if isinstance(block, tuple) else ("paragraph", block) for block in blocks]


@pytest.mark.parametrize(
    ("markup", "blocks"),
    [
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", [("pair", "a | b"), ("pair", "c | d")]),
        ("<table><thead><tr><th>a<tbody><tr><td>b</table>", [("row", "a"), ("row", "b")]),
        ("<table><tr><td>a</td><td></td><td>c</td></tr></table>", [("row", "a | | c")]),
        ("<table><tr><td></td></tr></table>", []),
        ("<table><tr><td>a<br>b</td><td><p>c</p><p>d</p></td></tr></table>", [("pair", "a b | c d")]),
        ("<table><caption>One</caption><tr><td>a</td></tr></table>", [("paragraph", "One"), ("row", "a")]),
        (
            "<table><caption>One</caption><caption>Two</caption><tr><td>a</td></tr></table>",
            [("paragraph", "One"), ("paragraph", "Two"), ("row", "a")],
        ),
        ("<table><colgroup><col></colgroup><tr><td>a</td></tr></table>", [("row", "a")]),
        ("<table><tr><th>H<th>I<tr><td>a<td><ul><li>x<li>y</ul></table>", [("pair", "H | I"), ("pair", "a | x y")]),
        # What lays the page out is no table of data:
        ("<table><tr><td><h2>T</h2><p>p</p></td></tr></table>", [("heading", "T"), ("paragraph", "p")]),
        ("<table><tr><td>m</td><td><table><tr><td>a<td>b</table></table>", [("paragraph", "m"), ("pair", "a | b")]),
        # Text outside of cells, and cells outside of rows, are read too:
        ("<table><tr><form><td>a</td></form><td>b</td></tr></table>", ["a", "b"]),
        ("<table><tr><div><td>a</td></div></tr></table>", ["a"]),
        ("<table><thead><td>a</td></thead><tr><td>b</td></tr></table>", ["a", "b"]),
        ("<table>stray<tr><td>a</td></tr></table>", ["stray", "a"]),
        ("<table><tr>stray<td>a</td></tr></table>", ["stray", "a"]),
    ],
)
def test_tables(markup: str, blocks: list[str | tuple[str, str]]):
    found = shown(html_page(markup).blocks)
    assert found == [block if isinstance(block, tuple) else ("paragraph", block) for block in blocks]


def test_tables_are_numbered_and_two_part_divs_belong_to_none():
    page = html_page(
        "<table><tr><td>a</td><td>b</td></tr></table><div><div>c</div><div>d</div></div>"
        "<dl><dt>e</dt><dd>f</dd></dl><table><tr><td>g</td></tr></table>"
    )
    assert [(block.text, block.table) for block in page.blocks] == [("a | b", 1), ("c | d", 0), ("e | f", 2), ("g", 3)]


@pytest.mark.parametrize(
    ("markup", "chrome"),
    [
        ("<nav><p>x</p></nav>", True),
        ("<header><p>x</p></header>", True),
        ("<footer><p>x</p></footer>", True),
        ("<aside><ul><li>x</li></ul></aside>", True),
        ("<header><div><span>x</span></div></header>", True),
        ("<main><header><p>x</p></header></main>", False),
        ("<article><footer>x</footer></article>", False),
        ("<main><nav>x</nav></main>", True),
        ("<div class='nav footer menu'>x</div>", False),
    ],
)
def test_navigation_header_and_footer_are_the_sites_not_the_contents(markup: str, chrome: bool):
    assert [block.chrome for block in html_page(markup).blocks] == [chrome]


@pytest.mark.parametrize("end", ["<", "</", "</t", "</td", "<t", "<td cla", "<!", "<!-", "<!--", "<!-- x"])
def test_a_table_cut_inside_a_tag_is_still_a_table(end: str):
    page = html_page("<html><table><tr><td>a</td><td>b</td></tr><tr><td>c</td>" + end)
    assert [(block.text, block.table) for block in page.blocks][:2] == [("a | b", 1), ("c", 1)]
    assert page.truncated


@pytest.mark.parametrize(
    ("markup", "truncated"),
    [
        ("<!doctype html><html><body><p>x</p></body></html>", False),
        ("<html><body><p>x", True),
        ("<html><body><p>x</p></body>", False),
        ("<html><p>x</p></html>", False),
        ("<body><p>x</p>", True),
        ("<p>x</p>", False),
        ("<p>x</p><table><tr><td>x</td></tr>", True),
        ("<div><p>x</p>", True),
        ("<p>x</p><p cla", True),
        ("<p>x</p></p", True),
        ("<p>x</p><!-- unend", True),
        ("<p>1 < 2", False),
    ],
)
def test_missing_end_tags_show_that_the_page_was_cut(markup: str, truncated: bool):
    assert html_page(markup).truncated is truncated


def test_law_10_the_deepest_page_allowed_is_read_from_a_deep_stack():
    """Recursion stays below the interpreter's limit, even where the caller is deep in its own."""

    def from_depth(frames: int, markup: str) -> int:
        return from_depth(frames - 1, markup) if frames else len(html_page(markup).blocks)

    for tag in ("div", "dl", "b", "li"):
        depth = MAX_DEPTH - 5
        assert from_depth(250, f"<{tag}>" * depth + "x" + "<p>y") == 2


def test_law_1_text_for_readers_without_scripts_is_chrome_and_not_lost_where_its_end_tag_is():
    blocks = html_page("<p>one</p><noscript><p>Turn scripts on.</p><p>two</p>").blocks
    assert [(block.text, block.chrome) for block in blocks] == [
        ("one", False),
        ("Turn scripts on.", True),
        ("two", True),
    ]
