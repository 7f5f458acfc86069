# Starts a rank ("$@") of a fault-tolerant job, and sees to it that nobody waits for one that is gone. Open MPI's launcher
# tells the others of a process that a signal has ended, not of one that exits with a status, and of none before all have
# met in MPI_Init (5.0.11). So this shell dies of a signal where its rank has joined the others (SIGURG) and is gone without
# having said that it leaves (SIGWINCH), and ends the job where it is gone before; a status of 2 is for wrong arguments,
# of which all ranks say the same. Other processes ignore the two signals.
joined= left= ended=
trap joined=1 URG
trap left=1 WINCH
trap ended=1 INT TERM  # the launcher sends these, and the next, to the rank as well
trap : USR1 USR2
PMOM_GUARD=$$
export PMOM_GUARD
"$@"
status=$?
if [ -z "$left" ] && [ -n "$joined" ]; then
    kill -KILL $$
fi
if [ -z "$left$ended" ] && [ "$status" -ne 0 ] && [ "$status" -ne 2 ]; then
    echo "pmom: error: rank $OMPI_COMM_WORLD_RANK on $(uname -n) was lost while the job was starting; start it again" >&2
    kill -TERM "$PPID"
fi
exit "$status"
