# `metaqnn finalize` killed at random moments, and its jobs on a real Slurm, against one that nobody
# has disturbed: the same networks, errors, outputs and weights, bit by bit (8 minutes on two loaded
# cores).
#
# Cases: kills   50 times (KILLS) SIGKILL of all its processes over its whole length, every fourth
#                time of two at once; begun anew each time it has come to its end
#        slurm   (as root) one submit, one finalize, nothing else; then so again while jobs are
#                killed and requeued, 40 times (DISTURBANCES) in all: by hand only where the chain
#                is broken
# (default: both)
#
# Environment: METAQNN, with metaqnn-torch beside it (default: built here with libtorch).

# shellcheck source=/dev/null
source scripts/proofs/slurm.sh

proof() {
  with_libtorch
  prepare
  # The trainer beside this copy notes what it is asked, to count openings of the test images.
  mkdir -p "$root/bin" && cp "$METAQNN" "$root/bin/metaqnn"
  printf '#!/bin/bash\ntee -a %q | %q\n' "$root/requests" "${METAQNN%/*}/metaqnn-torch" \
    >"$root/bin/metaqnn-torch"
  chmod +x "$root/bin/metaqnn-torch"
  METAQNN=$root/bin/metaqnn
  images
  cases finalize kills slurm -- "$@"
}

# Pictures of two classes, with a test part.
images() {
  python3 - "$root/images" <<'END'
import os, random, struct, sys
random.seed(1)
os.makedirs(sys.argv[1], exist_ok=True)
for part, count in ("train", 400), ("t10k", 300):
    labels = bytes(random.randrange(2) for _ in range(count))
    bright = lambda label, at: 100 if (at < 32) == (label == 0) else 0
    pixels = bytes(bright(of, at) + random.randrange(150) for of in labels for at in range(64))
    for name, data, *size in ("images-idx3", pixels, count, 8, 8), ("labels-idx1", labels, count):
        with open(f"{sys.argv[1]}/{part}-{name}-ubyte", "wb") as file:
            file.write(struct.pack(f">{len(size) + 1}I", 0x800 + len(size), *size) + data)
END
}

# small NAME [OPTION...]: an experiment of eight small networks.
small() {
  dir=$root/$1 finalize=(finalize -q "$root/$1" --top 2 --seeds 2 --ensemble 2)
  rm -rf "$dir"
  cat >"$dir.yaml" <<END
experiment: {name: finals, seed: 3}
data:
  {kind: idx, path: $root/images, classes: 2, input_size: 8, channels: 1, validation: {images: 99}}
search_space: {max_layers: 3, filters: [4, 8], kernels: [1, 3], fc_widths: [8]}
epsilon_schedule: [{epsilon: 1.0, architectures: 6}, {epsilon: 0.1, architectures: 2}]
training: {epochs: 2, batch_size: 32, device: cpu, threads: 1}
final_training: {training: {epochs: 6}}
END
  metaqnn init -q "$dir.yaml" "$dir" "${@:2}"
}

# begin_anew: removes the final trainings, and what was noted of them.
begin_anew() { rm -rf "$dir/final" && : >"$root/requests"; }

next_step() {
  metaqnn status "$dir" --json | grep -oP 'Final trainings: (next is `?)?\K[\w-]+' || echo networks
}

recorded() { find "$dir/final/test" -path '*/reads/*.yaml' 2>/dev/null | wc -l; }

# Fails where the test images were opened more often than is recorded.
check_openings() {
  [ "$(grep -c '"part":"test"' "$root/requests")" -le "$(recorded)" ] ||
    fail "$dir: an opening of the test images is not recorded"
}

# is_as NAME: fails unless `final/` holds what that of NAME holds, and is whole.
is_as() {
  local said
  check_openings
  said=$(metaqnn verify "$dir") || fail "$dir: $said"
  said=$(scripts/proofs/finals.py "$root/$1/final" "$dir/final") || fail "$dir: not as $1: $said"
  [ "$(tail -n +2 "$dir/final/reads.csv" | wc -l)" = "$(recorded)" ] || fail "$dir: reads.csv"
}

# random_part MILLISECONDS: as many seconds as `sleep` reads them.
random_part() { awk -v part=$RANDOM -v of="$1" 'BEGIN { print part / 32768 * of / 1000 }'; }

finalize_kills() {
  local began length kills=0 ended wrong='' pids pid status
  small whole
  metaqnn train -q "$dir" --until-done >/dev/null
  began=$(date +%s%N)
  metaqnn "${finalize[@]}" >/dev/null
  length=$((($(date +%s%N) - began) / 1000000))
  small killed
  metaqnn train -q "$dir" --until-done >/dev/null
  : >"$root/steps"
  while [ $kills -lt "${KILLS:-50}" ]; do
    begin_anew
    ended=''
    until [ -n "$ended" ]; do
      setsid "$METAQNN" "${finalize[@]}" >/dev/null 2>"$root/said1" & pids=$!
      if [ $((kills % 4)) = 3 ]; then
        setsid "$METAQNN" "${finalize[@]}" >/dev/null 2>"$root/said2" & pids+=" $!"
      fi
      sleep "$(random_part $length)"
      for pid in $pids; do
        # By the session: each trainer is in a process group of its own.
        pkill -KILL -s "$pid" || true
        wait "$pid" && status=0 || status=$?
        case $status in
        0) ended=1 ;;
        137) kills=$((kills + 1)) && next_step >>"$root/steps" ;;
        *) wrong="exit status $status: $(cat "$root"/said?)" ;;
        esac
      done 2>/dev/null # (where the shell says what was killed)
      [ -z "$wrong" ] || fail "$dir: $wrong"
      check_openings
    done
    metaqnn "${finalize[@]}" >/dev/null # one of two may have been killed after the end of the other
    is_as whole
  done
  echo "   $kills kills, undisturbed it takes $length ms; by what was next:"
  sort "$root/steps" | uniq -c
  [ "$(grep -c '^test' "$root/steps")" -ge $((kills / 10)) ] || fail "hardly a kill was in the test"
}

finalize_slurm() {
  local n=0 by_hand=0 job
  own_sandbox
  # Of longer trainings, so that more of the kills fall into them.
  small slurm --set slurm.gres=gpu:1 --set slurm.cpus_per_task=1 --set slurm.max_parallel=8 \
    --set final_training.training.epochs=60
  metaqnn submit -q "$dir" >/dev/null
  within 120 is_finished && within 60 has_no_job || fail "$dir is not finished"
  begin_anew
  metaqnn "${finalize[@]}" >/dev/null
  within 180 is_reported || { metaqnn status "$dir" && squeue && fail "$dir is not reported"; }
  within 60 has_no_job || { squeue && fail "jobs are left"; }
  rm -rf "$root/alone" && mkdir "$root/alone" && cp -r "$dir/final" "$root/alone/final"
  is_as alone
  : >"$root/steps"
  while [ $n -lt "${DISTURBANCES:-40}" ]; do
    begin_anew
    metaqnn "${finalize[@]}" >/dev/null
    until is_reported; do
      sleep "$(random_part 800)"
      job=$(squeue -h -r -t R -o '%i %j' | shuf -n 1)
      if [ -n "$job" ] && disturb $job; then
        n=$((n + 1))
      elif is_stuck && sleep 2 && is_stuck && ! is_reported; then
        metaqnn status "$dir" | grep -q 'next is .*: `metaqnn finalize' || fail "$dir: no next step"
        metaqnn "${finalize[@]}" >/dev/null && by_hand=$((by_hand + 1))
      fi
    done
    within 60 has_no_job || { squeue && fail "jobs are left"; }
    is_as alone
  done
  echo "   $n disturbances, $by_hand times another finalize by hand:"
  sed -E 's/-[0-9a-f]{8}|-[0-9]{4}//g' "$root/steps" | sort | uniq -c
}

is_reported() { [ "$(next_step)" = done ]; }
has_no_job() { [ -z "$(squeue -h)" ]; }
# No job is left but those that wait for others, or for a submitter that was killed.
is_stuck() { ! squeue -h -o %r | grep -qvE 'Dependency|JobHeldUser'; }

# disturb JOB NAME: ends a running job, for good or to be queued again. A network whose trainings
# are lost three times is passed over, so that no more than two of a step are lost.
disturb() {
  if [ $((RANDOM % 2)) = 0 ]; then
    scontrol requeue "$1" 2>/dev/null && echo "requeued $2" >>"$root/steps"
  elif [[ $2 != *-[0-9][0-9][0-9][0-9] ]] || may_be_lost "$dir/final/"*/replay.csv; then
    scancel --signal=KILL --full "$1" 2>/dev/null && echo "killed $2" >>"$root/steps"
  else
    return 1
  fi
}

may_be_lost() { awk -F, '$2 == "lost" && ++lost[FILENAME] > 1 { exit 1 }' "$@"; }
