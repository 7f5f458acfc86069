"""The method of the paper: server and worker, momentum, what travels between them."""
