"""A robots.txt in which strangers are one robot says of us what the whole one says."""

from hypothesis import given, settings
from hypothesis import strategies as st
from protego import Protego

from data_pipelines.ingest.robots import rules_for

_TOKEN = "vlsuite"
_AGENTS = (
    "*",
    "vlsuite",
    "VLsuite",
    "vl",
    "vl*",
    "v",
    "suite",
    "other",
    "a b",
    "",
    "vlsuite-other",
)
_PATHS = ("/", "/a", "/b", "/a*b$", "/*c", "")
_LINES = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(("User-agent", "user agent", "USERAGENT", " User-Agent ", "User-agent-x")),
        st.sampled_from((": ", ":", " ")),
        st.sampled_from(_AGENTS),
    ),
    st.builds(
        "{}: {}".format, st.sampled_from(("Disallow", "Allow", "foo")), st.sampled_from(_PATHS)
    ),
    st.sampled_from(("", "# User-agent: vlsuite", "Sitemap: http://h/s", "Crawl-delay: 3", "x")),
    st.sampled_from(("User-agent: vlsuite # we", "user-agent x: y", "user-agent", "Host: h")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_LINES, max_size=14))
def test_what_is_allowed_and_how_often_stays(lines):
    text = "\n".join(lines)
    whole, ours = Protego.parse(text), Protego.parse(rules_for(_TOKEN, text))
    for path in ("/", "/a", "/b", "/acb", "/xc"):
        url = f"http://h{path}"
        assert whole.can_fetch(url, _TOKEN) == ours.can_fetch(url, _TOKEN)
    assert whole.crawl_delay(_TOKEN) == ours.crawl_delay(_TOKEN)
