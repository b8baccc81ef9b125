#!/usr/bin/env bash
# A Slurm of several nodes on this one machine, with fake GPUs, so that arrays, dependencies, requeues,
# preemption and cancelled jobs can be tried for real. Debian or Ubuntu, as root, no systemd needed.
#
#   eval "$(scripts/slurm-sandbox.sh up)"    # `export` lines on stdout, all else on stderr
#   sbatch --array=0-9 --gres=gpu:1 --wrap 'echo $SLURM_ARRAY_TASK_ID on GPU $CUDA_VISIBLE_DEVICES'
#   scripts/slurm-sandbox.sh status          # daemons and nodes; exit status 1 unless all of them are up
#   scripts/slurm-sandbox.sh down            # cancels every job, then stops the daemons it started
#
# Each command may be repeated. Settings, from the environment:
#   SANDBOX_DIR      state, logs, configuration (default /run/metaqnn-sandbox, /tmp/... where /run is read-only)
#   SANDBOX_NODES    nodes n1, n2, ...                           (default 4)
#   SANDBOX_CPUS     CPUs a node claims, whatever this one has   (default 4)
#   SANDBOX_MEMORY   MB a node claims                            (default 4000)
#   SANDBOX_GPUS     fake GPUs of a node                         (default 2)
#   SANDBOX_REQUEUE  seconds until a requeued job starts again   (default 10; 120 on a usual cluster)
#   SANDBOX_PORT     first of NODES + 1 ports                    (default 26817)
#   SANDBOX_CONFIG   further lines of slurm.conf, such as MaxArraySize=10; used when the daemons start
#
# Partition `batch` is the default; `urgent` preempts it (TERM, then requeue). CPUs and memory are accounted, not
# enforced. The host's own Slurm and munge, if any, are left alone: SLURM_CONF alone leads to this one.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

[ -w /run ] && run=/run || run=/tmp
dir=${SANDBOX_DIR:-$run/metaqnn-sandbox}
nodes=${SANDBOX_NODES:-4} cpus=${SANDBOX_CPUS:-4} memory=${SANDBOX_MEMORY:-4000} gpus=${SANDBOX_GPUS:-2}
requeue=${SANDBOX_REQUEUE:-10} port=${SANDBOX_PORT:-26817}
export SLURM_CONF=$dir/etc/slurm.conf

say() { echo "slurm-sandbox: $*" >&2; }

fail() {
  say "$1"
  for log in "$dir"/log/*.log; do
    [ ! -s "$log" ] || { echo "--- last lines of $log"; tail -n 12 "$log"; } >&2
  done
  exit 1
}

# within SECONDS COMMAND...: repeats a command until it succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}

# running NAME PIDFILE: prints the process id, if that process lives and is a NAME (ids are used again).
running() {
  local pid
  pid=$(cat "$2" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid"
}

# start NAME PIDFILE COMMAND...: starts a daemon that is not there. It must not keep our lock (descriptor 9).
start() {
  running "$1" "$2" >/dev/null || "${@:3}" </dev/null >>"$dir/log/$1.log" 2>&1 9>&- || fail "$1 does not start"
}

stop() {
  local pid
  if pid=$(running "$1" "$2"); then
    kill "$pid" && within 15 eval "! kill -0 $pid" || kill -9 "$pid" || true
  fi
  rm -f "$2"
}

install_packages() {
  local missing=() program
  for program in munged:munge slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client; do
    command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  "$(dirname "$0")/apt-install.sh" "${missing[@]}" 9>&- || fail "Slurm cannot be installed"
}

configure() {
  local host names="n[1-$nodes]"
  host=$(uname -n | cut -d. -f1)
  cat >"$dir/etc/slurm.conf" <<END
ClusterName=sandbox
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
# A requeued job waits until the credential of its first run has expired.
AuthInfo=socket=$dir/munge/socket,cred_expire=$requeue
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/pid/slurmctld
SlurmdPidFile=$dir/pid/slurmd-%n
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
# No cgroups: a container seldom may make them.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=64
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
ReturnToService=2
SlurmdTimeout=30
GresTypes=gpu
NodeName=$names NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + nodes))] CPUs=$cpus RealMemory=$memory Gres=gpu:$gpus
PartitionName=batch Nodes=$names Default=YES DefaultTime=10 PriorityTier=1 GraceTime=3
PartitionName=urgent Nodes=$names DefaultTime=10 PriorityTier=2 PreemptMode=OFF
${SANDBOX_CONFIG:-}
END
  : >"$dir/etc/cgroup.conf"
  # Twins of /dev/null stand for GPUs: Slurm hands out the numbers of device files, and of nothing else.
  printf 'AutoDetect=off\nNodeName=%s Name=gpu File=%s\n' "$names" "$dir/gpu/gpu[0-$((gpus - 1))]" >"$dir/etc/gres.conf"
  for ((gpu = 0; gpu < gpus; gpu++)); do
    [ -c "$dir/gpu/gpu$gpu" ] || { rm -f "$dir/gpu/gpu$gpu" && mknod "$dir/gpu/gpu$gpu" c 1 3; }
  done
  [ -s "$dir/munge/key" ] || (umask 077 && head -c 128 /dev/urandom >"$dir/munge/key")
}

all_nodes_are_up() { [ "$(sinfo -hN -p batch -t idle,mix,alloc -o %N | wc -l)" -eq "$nodes" ]; }

up() {
  install_packages
  running slurmctld "$dir/pid/slurmctld" >/dev/null || configure
  start munged "$dir/pid/munged" munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" \
    --pid-file="$dir/pid/munged" --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed"
  start slurmctld "$dir/pid/slurmctld" slurmctld
  within 30 scontrol ping || fail "slurmctld does not answer"
  for ((node = 1; node <= nodes; node++)); do
    mkdir -p "$dir/spool/n$node"
    start slurmd "$dir/pid/slurmd-n$node" slurmd -N "n$node"
  done
  if ! within 10 all_nodes_are_up; then # a node may be down since an earlier, rougher stop
    scontrol update NodeName="n[1-$nodes]" State=RESUME >/dev/null 2>&1 || true
    within 60 all_nodes_are_up || fail "the nodes do not come up"
  fi
  say "$nodes nodes of $cpus CPUs and $gpus GPUs are up; stop them with: $0 down"
  printf 'export SANDBOX_DIR=%q SLURM_CONF=%q\n' "$dir" "$SLURM_CONF"
}

down() {
  if running slurmctld "$dir/pid/slurmctld" >/dev/null; then
    timeout 20 scancel --partition=batch || true
    timeout 20 scancel --partition=urgent || true
    within 30 eval '[ -z "$(squeue -h)" ]' || say "jobs are left behind: $(squeue -h -o %i | tr '\n' ' ')"
  fi
  for file in "$dir"/pid/slurmd-*; do [ ! -e "$file" ] || stop slurmd "$file"; done
  stop slurmctld "$dir/pid/slurmctld"
  stop munged "$dir/pid/munged"
}

status() {
  local all=0 file
  for file in munged slurmctld $(seq -f 'slurmd-n%g' "$nodes"); do
    if running "${file%-*}" "$dir/pid/$file" >/dev/null; then say "$file runs"; else say "$file does not run" && all=1; fi
  done
  [ $all = 1 ] || sinfo -N -p batch -o '%N %T %c CPUs %m MB %G' || all=1
  return $all
}

case ${1:-} in
up | down)
  [ "$(id -u)" = 0 ] || { say "Slurm's daemons need root" && exit 1; }
  mkdir -p "$dir"/{etc,log,pid,gpu,munge,state,spool} && chmod 755 "$dir" "$dir/munge"
  exec 9>"$dir/lock" && flock 9
  "$1"
  ;;
status) status ;;
*) say "usage: $0 up|down|status" && exit 2 ;;
esac
