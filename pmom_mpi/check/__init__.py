"""Whether a problem keeps its promises."""
