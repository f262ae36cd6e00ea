"""Cross-modal attribute insertions: make them, measure what they do, judge their quality."""
