#!/bin/bash
# A real Slurm on this machine alone, for tests: one node with 8 CPUs, whatever the machine has. As root, on Debian:
#
#   apt-get install --no-install-recommends slurm-wlm munge
#   make test ARGS="tests/cluster/test_slurm.py"        # PMOM_SLURM=here in the environment: it starts and stops this
#   tests/cluster/slurm_here.sh start                   # the same by hand; the daemons listen on 127.0.0.1 only
#   tests/cluster/slurm_here.sh stop                    # also takes /etc/slurm/slurm.conf away again
#
# Partitions: main, whose jobs take the CPUs of jobs of the others; again, whose jobs are then queued again; gone, whose
# jobs are then cancelled.

set -euo pipefail
place=${SLURM_HERE:-/tmp/slurm-here}
host=$(hostname -s)
conf=/etc/slurm/slurm.conf
mark="# written by slurm_here.sh"

start() {
    if [ -e "$conf" ] && ! grep -q "^$mark" "$conf"; then
        echo "slurm_here.sh: $conf is there already and not ours" >&2
        exit 1
    fi
    stop
    trap '[ $? = 0 ] || stop' EXIT        # what does not start is taken away again
    mkdir -p "$place"/{state,spool} /run/munge /etc/slurm
    [ -e /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 status=none
    chown -R munge: /etc/munge /run/munge /var/lib/munge /var/log/munge
    chmod 400 /etc/munge/munge.key
    if ! munge -n >/dev/null 2>&1; then
        runuser -u munge -- munged
        touch "$place/munged"
    fi
    write_conf > "$conf"
    slurmctld
    slurmd
    for _ in $(seq 120); do
        scontrol update nodename="$host" state=resume >/dev/null 2>&1 || true
        [ "$(sinfo -h -p main -t idle -o %D 2>/dev/null)" = 1 ] && exit 0
        sleep 0.25
    done
    echo "slurm_here.sh: the node is not idle after 30 s: $(tail -q -n 2 "$place"/*.log)" >&2
    exit 1
}

write_conf() {
    cat <<CONF
$mark
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=10
CryptoType=crypto/munge
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MpiDefault=none
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
PartitionName=again Nodes=$host State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=gone Nodes=$host State=UP PriorityTier=1 PreemptMode=CANCEL GraceTime=5
CONF
}

stop() {
    if [ -e "$place/slurmctld.pid" ]; then
        timeout 5 scancel --user=root 2>/dev/null && sleep 1 || true
    fi
    for daemon in slurmd slurmctld; do
        if [ -e "$place/$daemon.pid" ]; then
            pid=$(cat "$place/$daemon.pid")
            kill "$pid" 2>/dev/null || true
            for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
        fi
    done
    if [ -e "$place/munged" ]; then
        kill "$(cat /run/munge/munged.pid)" 2>/dev/null || true
    fi
    if [ -e "$conf" ] && grep -q "^$mark" "$conf"; then
        rm "$conf"
    fi
    rm -rf "$place"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *) sed -n '2,9p' "$0"; exit 2 ;;
esac
