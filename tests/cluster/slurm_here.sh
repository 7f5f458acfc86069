#!/bin/bash
# A real Slurm on this machine alone, for tests: one node with 8 CPUs, whatever the machine has. As root, on Debian:
#
#   apt-get install --no-install-recommends slurm-wlm munge
#   apt-get install --no-install-recommends slurmdbd mariadb-server      # with them it keeps accounts, too
#   make test ARGS="tests/cluster/test_slurm.py"        # PMOM_SLURM=here in the environment: it starts and stops this
#   tests/cluster/slurm_here.sh start                   # the same by hand; the daemons listen on 127.0.0.1 only
#   tests/cluster/slurm_here.sh stop                    # also takes what it wrote to /etc/slurm away again
#
# Partitions: main, whose jobs take the CPUs of jobs of the others; again, whose jobs are then queued again; gone, whose
# jobs are then cancelled.

set -euo pipefail
place=${SLURM_HERE:-/tmp/slurm-here}
host=$(hostname -s)
conf=/etc/slurm/slurm.conf
dbdconf=/etc/slurm/slurmdbd.conf
cgroupconf=/etc/slurm/cgroup.conf
database="mariadb --no-defaults --socket=$place/mysql.sock --user=root"
mark="# written by slurm_here.sh"

start() {
    for file in "$conf" "$dbdconf" "$cgroupconf"; do
        if [ -e "$file" ] && ! grep -q "^$mark" "$file"; then
            echo "slurm_here.sh: $file is there already and not ours" >&2
            exit 1
        fi
    done
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
    printf '%s\n' "$mark" "CgroupPlugin=cgroup/v1" "ConstrainRAMSpace=yes" > "$cgroupconf"
    if command -v slurmdbd >/dev/null && command -v mariadbd >/dev/null; then
        if ! keep_accounts; then
            echo "slurm_here.sh: keeps no accounts: $(tail -q -n 2 "$place"/mysql.log "$place"/slurmdbd.log)" >&2
            end slurmdbd mariadbd
            write_conf > "$conf"
        fi
    fi
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

# Accounts: slurmdbd, with a MariaDB of its own that listens on a socket in our folder only.
keep_accounts() {
    mariadb-install-db --no-defaults --datadir="$place/mysql" --user=root --skip-test-db \
        --auth-root-authentication-method=normal >"$place/mysql.log" 2>&1 || return 1
    mariadbd --no-defaults --datadir="$place/mysql" --user=root --socket="$place/mysql.sock" --skip-networking \
        --pid-file="$place/mariadbd.pid" --innodb-flush-log-at-trx-commit=0 >>"$place/mysql.log" 2>&1 &
    until_done $database -e "create database slurm_acct_db" || return 1
    write_dbdconf > "$dbdconf"
    chmod 600 "$dbdconf"
    MYSQL_UNIX_PORT="$place/mysql.sock" slurmdbd || return 1
    printf '%s\n' "AccountingStorageType=accounting_storage/slurmdbd" "AccountingStorageHost=127.0.0.1" >> "$conf"
    until_done sacctmgr -i add cluster here
}

until_done() {
    for _ in $(seq 80); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.25
    done
    return 1
}

write_dbdconf() {
    cat <<CONF
$mark
AuthType=auth/munge
DbdHost=$host
DbdAddr=127.0.0.1
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
LogFile=$place/slurmdbd.log
PidFile=$place/slurmdbd.pid
CONF
}

# Where memory can be limited (cgroup v1), jobs that take more than they asked for are out of memory.
limits_memory() {
    local try=/sys/fs/cgroup/memory/slurm-here-try
    mkdir "$try" 2>/dev/null || return 1
    [ -w "$try/memory.limit_in_bytes" ] || { rmdir "$try"; return 1; }
    rmdir "$try"
}

task_plugin() { if limits_memory; then echo task/cgroup; else echo task/none; fi; }

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
TaskPlugin=$(task_plugin)
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=2000
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MpiDefault=none
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
PartitionName=again Nodes=$host State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=gone Nodes=$host State=UP PriorityTier=1 PreemptMode=CANCEL GraceTime=5
CONF
}

# Daemons, by their pid files.
end() {
    local pid pids=""
    for daemon in "$@"; do
        if [ -e "$place/$daemon.pid" ]; then
            pids="$pids $(cat "$place/$daemon.pid")"
        fi
    done
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do
        for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
    done
}

stop() {
    if [ -e "$place/slurmctld.pid" ]; then
        timeout 5 scancel --user=root 2>/dev/null && sleep 1 || true
    fi
    end slurmd slurmctld
    end slurmdbd mariadbd
    if [ -e "$place/munged" ]; then
        kill "$(cat /run/munge/munged.pid)" 2>/dev/null || true
    fi
    for file in "$conf" "$dbdconf" "$cgroupconf"; do
        if [ -e "$file" ] && grep -q "^$mark" "$file"; then
            rm "$file"
        fi
    done
    find /sys/fs/cgroup/*/slurm -depth -type d -delete 2>/dev/null || true
    rm -rf "$place"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *) sed -n '2,10p' "$0"; exit 2 ;;
esac
