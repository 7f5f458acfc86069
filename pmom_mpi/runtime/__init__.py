"""One run on these ranks: set up, carried out, ended together."""
