#!/bin/bash
# A real Slurm on this machine alone, for tests: one node with 8 CPUs, whatever the machine has. As root, on Debian:
#
#   apt-get install slurm-wlm munge
#   tests/cluster/slurm_here.sh start        # the daemons listen on 127.0.0.1 only
#   make test-slow ARGS="tests/cluster/test_slurm.py tests/campaign/test_submit.py"
#   tests/cluster/slurm_here.sh stop

set -euo pipefail
place=${SLURM_HERE:-/tmp/slurm-here}
host=$(hostname -s)

start() {
    mkdir -p "$place"/{state,spool} /run/munge /etc/slurm
    [ -e /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 status=none
    chown -R munge: /etc/munge /run/munge /var/lib/munge /var/log/munge
    chmod 400 /etc/munge/munge.key
    munge -n >/dev/null 2>&1 || runuser -u munge -- munged
    write_conf > /etc/slurm/slurm.conf
    slurmctld
    slurmd
    for _ in $(seq 60); do
        scontrol update nodename="$host" state=resume >/dev/null 2>&1 || true
        [ "$(sinfo -h -t idle -o %D | head -n 1)" = 1 ] && exit 0
        sleep 0.5
    done
    echo "slurm_here.sh: the node is not idle after 30 s; see $place/*.log" >&2
    exit 1
}

write_conf() {
    cat <<CONF
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
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
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MpiDefault=none
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
}

stop() {
    for daemon in slurmd slurmctld; do
        [ -e "$place/$daemon.pid" ] && kill "$(cat "$place/$daemon.pid")" || true
    done
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *) sed -n '2,7p' "$0"; exit 2 ;;
esac
