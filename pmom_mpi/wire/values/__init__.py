"""How the values of a message are coded: one small file a codec."""
