"""Run files as one self-contained web page."""
