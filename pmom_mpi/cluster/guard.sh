# Starts a rank ("$@") of a fault-tolerant job, and dies of a signal where the rank is gone without having said so: Open
# MPI's launcher tells the others of a process that a signal has ended, and not of one that exits with a status (5.0.11).
# The rank says that it has joined the others by SIGURG and that it leaves by SIGWINCH; other processes ignore these.
joined= left=
trap joined=1 URG
trap left=1 WINCH
trap : INT TERM USR1 USR2  # the launcher sends them to the rank as well
PMOM_GUARD=$$
export PMOM_GUARD
"$@"
status=$?
if [ -z "$left" ] && { [ -n "$joined" ] || [ "$status" -ne 0 ]; }; then
    kill -KILL $$
fi
exit "$status"
