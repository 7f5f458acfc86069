"""Layers and networks that problems are made of."""
