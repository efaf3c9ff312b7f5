#!/usr/bin/env bash
# A Slurm of two CPUs on this one host, for tests:   tests/system/slurm.sh start | stop
# Needs root, and Debian's slurm-wlm and munge; neither systemd nor cgroups. All that it writes lies in one folder, but
# for the configuration: that of a job's own `srun` can lie nowhere else.
set -euo pipefail

FOLDER=/var/spool/ageclf-slurm  # not /run or /tmp: those may be mounted noexec, and slurmd executes what lies here
CONFIGURATION=/etc/slurm/slurm.conf
MARK="# Written by age-classifier's tests/system/slurm.sh, which removes it again."

fail() {
  echo "error: $*" >&2
  exit 1
}

ours() {
  [ "$(head -n 1 $CONFIGURATION 2> /dev/null)" = "$MARK" ]
}

configuration() {
  local host
  host=$(hostname -s)
  cat << END
$MARK
ClusterName=ageclf
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$FOLDER/munge.socket
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd.pid
SlurmctldLogFile=$FOLDER/slurmctld.log
SlurmdLogFile=$FOLDER/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
# What ended long ago is still to be seen with \`squeue --states=all\`.
MinJobAge=3600
KillWait=5
ReturnToService=2
# Two CPUs and room for what profiles/slurm asks for, whatever this host has.
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=16000
PartitionName=tests Nodes=$host Default=YES DefMemPerCPU=1000 State=UP
END
}

start() {
  local program seconds
  [ "$(id -u)" = 0 ] || fail "Slurm for tests is started by root only"
  for program in munged slurmctld slurmd sbatch; do
    command -v $program > /dev/null || fail "there is no $program: apt install slurm-wlm munge"
  done
  if [ -e $CONFIGURATION ] && ! ours; then
    fail "$CONFIGURATION is there already, and not from here: this host has a Slurm of its own, which is left alone"
  fi
  stop  # what an earlier one has left
  trap stop EXIT
  mkdir -p $FOLDER/state $FOLDER/spool
  chmod 0755 $FOLDER
  (umask 077 && head -c 128 /dev/urandom > $FOLDER/munge.key)
  munged --socket $FOLDER/munge.socket --key-file $FOLDER/munge.key --pid-file $FOLDER/munged.pid \
    --log-file $FOLDER/munged.log --seed-file $FOLDER/munge.seed
  configuration > $CONFIGURATION
  slurmctld
  slurmd
  for ((seconds = 0; seconds < 30; seconds++)); do
    if [ "$(sinfo --noheader --format %T 2> /dev/null)" = idle ]; then
      trap - EXIT
      return
    fi
    sleep 1
  done
  tail -n 30 $FOLDER/*.log >&2
  sinfo --list-reasons >&2 || true
  fail "Slurm did not come up within 30 seconds; its logs are above"
}

stop() {
  local daemon pid seconds
  if ours; then
    timeout 10 scancel --user root 2> /dev/null || true
    for ((seconds = 0; seconds < 20; seconds++)); do
      [ -n "$(timeout 5 squeue --noheader 2> /dev/null)" ] || break
      sleep 1
    done
  fi
  for daemon in slurmd slurmctld munged; do
    pid=$(cat $FOLDER/$daemon.pid 2> /dev/null) || continue
    [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = $daemon ] || continue  # the number may be somebody else's by now
    kill "$pid" 2> /dev/null || continue
    for ((seconds = 0; seconds < 10; seconds++)); do
      [ -d "/proc/$pid" ] || break
      sleep 1
    done
    [ ! -d "/proc/$pid" ] || kill -KILL "$pid"
  done
  rm -rf $FOLDER
  ! ours || rm $CONFIGURATION
}

case "${1:-}" in
  start | stop) "$1" ;;
  *) fail "tests/system/slurm.sh start | stop" ;;
esac
