# Searches on a real Slurm of four nodes with two fake GPUs each (as root; 14 minutes).
#
# Cases: end_to_end by_hand cancel one_task requeue time_limit node_failure two_submits killed_submits
#        killed_reduces submit_limit refused early_reduce parts waiting_round list strategies (default: all)

proof() {
  prepare
  own_sandbox
  cases slurm end_to_end by_hand cancel one_task requeue time_limit node_failure two_submits killed_submits \
    killed_reduces submit_limit refused early_reduce waiting_round list strategies parts -- "$@"
}

# Whoever else has a sandbox keeps it.
own_sandbox() {
  [ "$(id -u)" = 0 ] || fail "the daemons of Slurm need root"
  export SANDBOX_DIR=${PROVE_SANDBOX:-/run/metaqnn-prove} SANDBOX_PORT=${PROVE_PORT:-28817}
  trap 'scripts/slurm-sandbox.sh down' EXIT
  sandbox ""
}

# sandbox LINES: (re)starts Slurm with these further lines of configuration.
sandbox() {
  if [ "${sandbox_lines-none}" != "$1" ]; then
    scripts/slurm-sandbox.sh down
    eval "$(SANDBOX_CONFIG="$1" scripts/slurm-sandbox.sh up)"
    sandbox_lines=$1
  fi
}

# The jobs of this search in the queue: name, id, state.
queued() { squeue -h -r -o '%j %A %T %F' | grep "^$(basename "$dir")-[0-9a-f]\{8\}-" || true; }
is_idle() { [ -z "$(queued)" ]; }
is_broken() { metaqnn status "$dir" --json | grep -q '"condition":"chain_broken"'; }
rounds() { ls "$dir/rounds" 2>/dev/null | wc -l; }

# finishes SECONDS: the search ends by itself, leaves no job, and its files hold what they should.
finishes() {
  within "$1" is_finished || { metaqnn status "$dir" && queued && fail "$dir is not finished after $1 s"; }
  within 60 is_idle || { queued && fail "jobs of $dir are left in the queue"; }
  audit
}

# The array of round 1.
first_array() { sed -n "s/^- '\(.*\)'/\1/p" "$dir/rounds/0001/1/array.yaml"; }

# One submit, nobody's hand.
slurm_end_to_end() {
  search end 24 12 0.4 "array_size: 12"
  metaqnn submit -q "$dir" >/dev/null
  finishes 180
  [ "$(rounds)" -ge 3 ] || fail "three rounds were wanted"
  [ "$(wc -l <"$dir/tables/models.csv")" = $((results + 1)) ] || fail "tables/models.csv is not whole"
}

# The scripts as a person submits them.
slurm_by_hand() {
  search hand 12 8 0.2
  local array reduce
  for _ in 1 2; do
    array=$(cd "$root" && METAQNN=$METAQNN sbatch --parsable --job-name="$(basename "$dir")-00000000-hand" --array=0-9 \
      "$OLDPWD/slurm/train.sbatch" "$dir")
    reduce=$(cd "$root" && METAQNN=$METAQNN sbatch --parsable --job-name="$(basename "$dir")-00000000-hand" \
      --dependency="afterany:$array" "$OLDPWD/slurm/reduce.sbatch" "$dir" --after "$array")
    metaqnn reduce "$dir" --after "$array" 2>/dev/null && fail "an array in the queue is not over"
    within 90 is_idle || fail "the jobs by hand do not end"
    scontrol show job "$reduce" | grep -q JobState=COMPLETED || fail "the reduce by hand failed"
  done
  finishes 10
}

# A chain is ended at any moment, and goes on afterwards.
slurm_cancel() {
  search cancel 60 12 0.4 "array_size: 6"
  local times=0 before rows
  for _ in 1 2 3 4 5 6; do
    metaqnn submit -q "$dir" >/dev/null
    sleep "$((RANDOM % 5)).$((RANDOM % 10))"
    metaqnn cancel -q "$dir"
    within 20 is_idle || { queued && fail "jobs are left after cancel"; }
    before=$(rounds) rows=$(wc -l <"$dir/replay.csv")
    sleep 2
    is_idle && [ "$(rounds)" = "$before" ] && [ "$(wc -l <"$dir/replay.csv")" = "$rows" ] ||
      fail "the chain went on after cancel"
    metaqnn status "$dir" | grep -q halted || fail "status does not say that the search is halted"
    times=$((times + 1))
  done
  echo "   cancelled $times times with $(events lost) claims lost so far, $(events trained) trained"
  metaqnn submit -q "$dir" >/dev/null
  metaqnn cancel -q "$dir"
  metaqnn submit -q "$dir" >/dev/null # at once, while the tasks of the cancelled round still end
  finishes 180
}

# A person ends one task of an array: its claim is lost when the round ends, and another task trains in its stead.
slurm_one_task() {
  search one 8 2 1.5
  metaqnn submit -q "$dir" >/dev/null
  within 30 has_events claimed 8 || fail "no eight claims"
  local job lost
  job=$(first_array)
  scancel "${job}_3"
  finishes 180
  lost=$(awk -F, '$2 == "lost"' "$dir/replay.csv")
  [ "$(wc -l <<<"$lost")" = 1 ] && grep -q "its array has ended.*,$job,3," <<<"$lost" || fail "one claim was to be lost: $lost"
  grep -q 'TERM' "$dir/rounds/0001/${job}_3.log" || fail "the task does not say how it ended"
  echo "   lost when its round had ended: $lost"
}

# A task is queued again: by a person, by its own wish before its time is up, by preemption.
slurm_requeue() {
  search requeue 8 2 10
  metaqnn submit -q "$dir" >/dev/null
  within 30 has_events claimed 8 || fail "no eight claims"
  sleep 1
  local job preempted
  job=$(first_array)
  scontrol requeue "${job}_0"
  scancel --signal=USR1 --batch "${job}_1"
  scancel --signal=USR1 --batch "${job}_2"
  # An urgent job takes a whole node: the two tasks there are told to end and queued again by Slurm.
  sbatch --parsable --partition=urgent --nodelist=n4 --exclusive --output=/dev/null --wrap 'sleep 3' >/dev/null
  finishes 300
  [ "$(awk -F, '$2 == "claimed" && $3 == 2' "$dir/replay.csv" | wc -l)" -ge 4 ] || fail "four claims and more were to be taken up again"
  ! grep -q 'came to nothing' "$dir/replay.csv" || fail "an end by a signal is no loss"
  preempted=$(cat "$dir"/rounds/0001/*.log | grep -c 'DUE TO PREEMPTION') || fail "no task was preempted"
  echo "   $preempted tasks preempted"
}

# checkpointing EPOCHS SECONDS: sets the trainer of the next search to one that goes on where it was ended.
checkpointing() {
  echo "$2" >"$root/epoch_seconds"
  training="trainer: command, command: [python3, $PWD/scripts/proofs/checkpointing-trainer.py, $root/epoch_seconds], epochs: $1"
}

# A training that takes longer than its time limit: warned by Slurm, queued again by itself, as often as it takes.
slurm_time_limit() {
  checkpointing 16 6 # 96 s; the warning comes 30 s before the limit of 120 s, or earlier
  search limited 2 1 0 "time: 00:02:00" "signal_seconds: 30"
  training=
  metaqnn submit -q "$dir" >/dev/null
  within 30 has_events claimed 2 || fail "no two claims"
  within 240 has_results 1 || fail "no training comes to its end"
  echo 0.1 >"$root/epoch_seconds"
  finishes 240
  local iteration attempt
  for iteration in 1 2; do
    attempt=$(awk -F, -v iteration=$iteration '$1 == iteration && $2 == "trained" { print $3 }' "$dir/replay.csv")
    [ "$attempt" -ge 2 ] || fail "iteration $iteration did not meet its time limit"
    is_whole_curve "$iteration" "$attempt" 16
    echo "   iteration $iteration: trained by attempt $attempt"
  done
  [ "$(events lost)" = 0 ] || fail "no claim was to be lost"
  ! grep -rq 'TIME LIMIT' "$dir"/rounds/*/*.log || fail "a task was ended by its limit"
}

has_results() { [ "$(awk -F, '$2 ~ /^(trained|stopped|failed)$/' "$dir/replay.csv" | wc -l)" -ge "$1" ]; }

# is_whole_curve ITERATION ATTEMPT EPOCHS: every epoch stands in the curve once, in order.
is_whole_curve() {
  local curve
  curve=$(printf '%s/curves/%06d.%d.csv' "$dir" "$1" "$2")
  [ "$(tail -n +2 "$curve" | cut -d, -f1 | tr '\n' ' ')" = "$(seq -s ' ' "$3") " ] || fail "$curve is not whole"
}

# The daemon of a node is killed. Slurm takes the node for lost and runs its two tasks elsewhere; the first copies go
# on: one of them is the first to end, the other is stopped for a while and ends after its second copy.
slurm_node_failure() {
  checkpointing 10 10
  noting node
  search node 4 2 0 "setup_lines: ['METAQNN=$root/node.noting']"
  training=
  metaqnn submit -q "$dir" >/dev/null
  within 30 has_events claimed 4 || fail "no four claims"
  local node doubled slow iteration attempt
  node=$(awk -F, '$1 == 1 && $2 == "claimed"' "$dir/replay.csv" | grep -o ',n[1-4],' | tr -d ,)
  kill -9 "$(cat "$SANDBOX_DIR/pid/slurmd-$node")"
  within 120 has_second_claims 2 || fail "no task runs a second time"
  ! has_results 1 || fail "the first copies were to go on"
  doubled=$(awk -F, '$2 == "claimed" && $3 == 2 { print $1 }' "$dir/replay.csv")
  slow=$(awk -v node="$node" '$1 == node { print $2; exit }' "$root/node.begun")
  echo "   killed the daemon of $node; iterations $(tr '\n' ' ' <<<"$doubled")run twice; one first copy stops"
  pkill -STOP -P "$slow" && kill -STOP "$slow"
  within 180 has_results 4 || fail "the trainings do not end"
  echo 0.1 >"$root/epoch_seconds"
  pkill -CONT -P "$slow" && kill -CONT "$slow"
  finishes 180
  within 180 has_ended 8 || fail "six tasks and two copies were to end"
  for iteration in $doubled; do
    echo "   iteration $iteration: $(awk -F, -v iteration="$iteration" \
      '$1 == iteration { printf "%s%s by attempt %s", by, $2, $3; by = ", " }' "$dir/replay.csv")"
    for attempt in 1 2; do is_whole_curve "$iteration" $attempt 10; done
  done
  [ "$(awk -F, '$2 == "trained" && $4 == 1 { print $3 }' "$dir/replay.csv" | sort | tr '\n' ' ')" = "1 1 1 2 " ] ||
    fail "a first and a second copy were to be first"
  [ "$(cat "$dir"/rounds/0001/*.log | grep -c 'another copy of this task was first')" = 2 ] ||
    fail "the copies that came second were to say so"
  ! grep -v ' 0$' "$root/node.ends" || fail "a task ended with another status than 0"
  [ "$(events lost)" = 0 ] || fail "no claim was to be lost"
  scripts/slurm-sandbox.sh up >/dev/null
}

has_ended() { [ "$(wc -l <"$root/node.ends")" -ge "$1" ]; }
has_second_claims() { [ "$(awk -F, '$2 == "claimed" && $3 == 2' "$dir/replay.csv" | wc -l)" -ge "$1" ]; }

# noting NAME: a program in place of metaqnn that notes trainings: node and process in $root/NAME.begun; task, node and
# exit status in $root/NAME.ends.
noting() {
  : >"$root/$1.begun" >"$root/$1.ends"
  cat >"$root/$1.noting" <<END
#!/bin/bash
[ "\$1" = train ] || exec "$METAQNN" "\$@"
"$METAQNN" "\$@" &
echo "\$SLURMD_NODENAME \$!" >>"$root/$1.begun"
wait \$! && status=0 || status=\$?
echo "\$SLURM_ARRAY_TASK_ID \$SLURMD_NODENAME \$status" >>"$root/$1.ends"
exit \$status
END
  chmod +x "$root/$1.noting"
}

# How many array jobs of a round are in the queue. (That no other one ran, its logs tell in the end.)
arrays_of() { queued | awk -v name="-$1$" '$1 ~ name { print $4 }' | sort -u | wc -l; }

slurm_two_submits() {
  local i pids
  for i in 1 2 3 4 5 6 7 8; do
    search "two$i" 4 2 1
    metaqnn submit -q "$dir" >/dev/null &
    pids=$!
    sleep "0.0$((RANDOM % 6))"
    metaqnn submit -q "$dir" >/dev/null & # second, or first, as it comes
    wait "$pids" "$!" || fail "a submit failed"
    [ "$(arrays_of 0001)" -le 1 ] || fail "round 1 has $(arrays_of 0001) arrays"
    [ "$(rounds)" = 1 ] || fail "two submits made $(rounds) rounds"
  done
  for i in 1 2 3 4 5 6 7 8; do dir=$root/two$i && finishes 120; done
}

# submit_duration NAME: submits a small search and says how many milliseconds that took, as does about a reduce.
submit_duration() {
  local began
  search "$1" 4 2 0.1
  began=$(date +%s%N)
  metaqnn submit -q "$dir" >/dev/null
  echo $((($(date +%s%N) - began) / 1000000 + 1))
}

# The text of a command that waits for a random part of so many milliseconds.
waiting_below() { echo "ms=\$((RANDOM % $1)) && sleep \$((ms / 1000)).\$(printf %03d \$((ms % 1000)))"; }

slurm_killed_submits() {
  local i kills=0 pid whole
  whole=$(submit_duration killed0)
  for i in 1 2 3 4 5 6 7 8; do
    search "killed$i" 4 2 0.1
    for _ in 1 2 3; do
      metaqnn submit -q "$dir" >/dev/null 2>&1 &
      pid=$!
      eval "$(waiting_below "$whole")"
      kill -9 "$pid" 2>/dev/null && kills=$((kills + 1))
      wait "$pid" 2>/dev/null || true
    done
    metaqnn submit -q "$dir" >/dev/null
    # One more may be held: the `sbatch` of a submit that was killed just now goes on.
    [ "$(arrays_of 0001)" -le 2 ] || fail "round 1 has $(arrays_of 0001) arrays"
  done
  echo "   $kills submits killed, of $whole ms"
  [ "$kills" -ge 4 ] || fail "hardly a submit was killed"
  for i in 0 1 2 3 4 5 6 7 8; do dir=$root/killed$i && finishes 120; done
}

# killing NAME MILLISECONDS: a program in place of metaqnn that kills reduces at a random moment of their first
# milliseconds, while the number in `$root/NAME.kills` lasts.
killing() {
  cat >"$root/$1.killing" <<END
#!/bin/bash
kills=\$(cat "$root/$1.kills")
if [ "\$1" != reduce ] || [ "\$kills" = 0 ]; then exec "$METAQNN" "\$@"; fi
echo \$((kills - 1)) >"$root/$1.kills"
"$METAQNN" "\$@" & pid=\$!
$(waiting_below "$2")
kill -9 \$pid && echo "killed" && exit 137
wait \$pid
END
  chmod +x "$root/$1.killing"
}

slurm_killed_reduces() {
  local whole
  whole=$(submit_duration unhurt)
  killing reduces "$whole"
  search reduces 16 8 0.1 "array_size: 4" "setup_lines: ['METAQNN=$root/reduces.killing']"
  local mended=0
  # One kill is mended by the second reduce, two in a row by `submit`.
  echo 8 >"$root/reduces.kills"
  metaqnn submit -q "$dir" >/dev/null
  local deadline=$((SECONDS + 180))
  until is_finished; do
    if is_broken; then
      metaqnn submit -q "$dir" >/dev/null && mended=$((mended + 1))
    fi
    [ $SECONDS -lt $deadline ] || { metaqnn status "$dir" && queued && fail "status does not see what is broken"; }
    sleep 1
  done
  finishes 60
  local killed
  killed=$(cat "$dir"/rounds/*/reduce-*.log | grep -c ^killed || true)
  echo "   $killed reduces killed within $whole ms; submit mended $mended times"
  [ "$(cat "$root/reduces.kills")" = 0 ] || fail "not all kills took place"
  [ "$killed" -ge 2 ] || fail "hardly a reduce was killed"
}

# A limit on submitted jobs, met twice by the reduce of round 1 at different steps.
slurm_submit_limit() {
  mkdir -p "$root/limited"
  cat >"$root/limited/sbatch" <<END
#!/bin/bash
left=\$(cat "$root/limited/left")
case "\$*" in *--test-only*) false ;; *0002*--array*) [ "\$left" = 2 ] ;; *0002-reduce*) [ "\$left" = 1 ] ;; *) false ;; esac || exec "$(command -v sbatch)" "\$@"
echo \$((left - 1)) >"$root/limited/left"
echo "sbatch: error: AssocMaxSubmitJobLimit" >&2
echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)" >&2
exit 1
END
  chmod +x "$root/limited/sbatch"
  echo 2 >"$root/limited/left"
  search limit 8 4 0.1 "setup_lines: ['PATH=$root/limited:\$PATH']"
  metaqnn submit -q "$dir" >/dev/null
  finishes 120
  [ "$(cat "$root/limited/left")" = 0 ] || fail "the limit was not met"
  [ "$(cat "$dir"/rounds/0001/reduce-*.log | grep -c 'queued again')" = 2 ] || fail "the reduce was to be queued again twice"
  [ "$(ls "$dir"/rounds/0001/reduce-*.log | wc -l)" = 1 ] || fail "the second reduce was not needed"
}

# Requests that the scheduler refuses or could never serve, and a site's wrapper that says more than the id.
slurm_refused() {
  local word
  for word in partition=nope gres=gpu:a100:1 gres=fpga:1 mem=900G constraint=nope reservation=nope cpus-per-task=99; do
    search refused 4 2 0.1
    ! metaqnn submit -q "$dir" -- "--$word" 2>"$root/refused.said" || fail "--$word was to be refused"
    grep -q "metaqnn set .* slurm" "$root/refused.said" || fail "$(cat "$root/refused.said") does not say where to correct it"
    is_idle || fail "--$word leaves jobs in the queue"
    [ $((RANDOM % 2)) = 0 ] || metaqnn cancel -q "$dir"
    metaqnn submit -q "$dir" >/dev/null
    finishes 90
    [ -e "$dir/rounds/0001/2/jobs.yaml" ] || fail "round 1 was to be rendered anew"
  done
  mkdir -p "$root/talks"
  cat >"$root/talks/sbatch" <<END
#!/bin/bash
printf 'Welcome to 2026\n4711\n'
"$(command -v sbatch)" "\$@" || exit
echo "12 core hours are left"
END
  chmod +x "$root/talks/sbatch"
  search talks 4 2 0.1 "setup_lines: ['PATH=$root/talks:\$PATH']"
  PATH=$root/talks:$PATH metaqnn submit -q "$dir" >/dev/null
  finishes 90
}

# A reduce that starts while its array runs, as after a dependency on a job that Slurm has forgotten.
slurm_early_reduce() {
  search early 8 4 2
  metaqnn submit -q "$dir" >/dev/null
  within 30 has_events claimed 1 || fail "no claim"
  local name log
  name=$(sed -n 's/^job_name: //p' "$dir/rounds/0001/1/array.yaml")-reduce
  log=$dir/rounds/0001/reduce-$(sbatch --parsable --job-name="$name" "$dir/rounds/0001/1/reduce.sbatch").log
  finishes 120
  grep -q 'have not ended yet.*queued again' "$log" || fail "the early reduce was to be queued again"
  grep -q 'learned from' "$log" || fail "the early reduce was to reduce later"
}

# Nothing to do but wait for claims elsewhere: a round without tasks, whose reduce begins when the first of them ends.
slurm_waiting_round() {
  claim_lifetime=25 search waiting 2 2 60
  local hand began
  hand=$(METAQNN=$METAQNN sbatch --parsable --output=/dev/null --array=0-3 slurm/train.sbatch "$dir")
  within 30 has_events claimed 4 || fail "no four claims"
  began=$SECONDS
  scancel "$hand"
  # The claims stay open for their lifetime. Long epochs were for them alone.
  local yaml=$dir/experiment.yaml
  sed -i '$d; s/synthetic_epoch_seconds: .*/synthetic_epoch_seconds: 0.1/' "$yaml"
  echo "# SHA-256 of all before this line: $(sha256sum <"$yaml" | cut -d' ' -f1)" >>"$yaml"
  metaqnn submit "$dir" | grep 'no tasks' || fail "a round without tasks was expected"
  queued | grep -q -- '-0001-reduce .* PENDING' || fail "the reduce of round 1 was to wait"
  finishes 180
  # (What was drawn and waited for one of them is lost with it.)
  local lost
  lost=$(awk -F, '$2 == "claimed" { claimed[$1] } $2 == "lost" && $1 in claimed' "$dir/replay.csv" | wc -l)
  echo "   waited $((SECONDS - began)) s in all; $lost claims lost"
  [ "$lost" = 4 ] || fail "four claims were to be lost"
}

# Given networks, each three times.
slurm_list() {
  search list 1 1 0.2 "array_size: 5"
  local networks="['[C(8,3,1), SM(10)]', '[P(2,2), C(7,3,2), SM(10)]', '[FC(32), SM(10)]']"
  rm -rf "$dir"
  metaqnn init -q "$dir.yaml" "$dir" --set strategy.kind=list --set strategy.list.repeats=3 \
    --set "strategy.list.architectures=$networks"
  results=9
  metaqnn submit -q "$dir" >/dev/null
  finishes 120
  [ "$(rounds)" = 2 ] || fail "arrays of five and four tasks were expected"
}

# A small search of each strategy (STRATEGIES).
slurm_strategies() {
  local kind
  for kind in ${STRATEGIES:-exploit_best evolution bayesian policy_gradient random exhaustive}; do
    search "$kind" 12 12 0.2 "array_size: 8"
    set -- --set "strategy.kind=$kind"
    if [ "$kind" = exhaustive ]; then
      results=26 # all networks of its space
      set -- "$@" --set search_space.max_layers=2 --set search_space.filters=[8]
    fi
    rm -rf "$dir"
    metaqnn init -q "$dir.yaml" "$dir" "$@"
    metaqnn submit -q "$dir" >/dev/null
    finishes 180
  done
}

# Rounds beyond MaxArraySize are arrays one after the other.
slurm_parts() {
  sandbox MaxArraySize=5
  search parts 12 6 0.3 "array_size: 12"
  metaqnn submit "$dir" | sed 's/^/   /'
  finishes 180
  [ "$(grep -c "^- '" "$dir/rounds/0001/1/array.yaml")" = 3 ] || fail "three arrays were expected"
  sandbox ""
}
