"""``python -m pmom_mpi`` is the ``pmom`` command."""

from pmom_mpi.cli import main

main(prog_name="pmom")
