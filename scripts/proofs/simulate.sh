# Early stopping on the recorded losses of 341 recurrent networks over 50 epochs (15 minutes on two cores).
#
# Cases: stopping    20 orders: R squared after a quarter of the epochs, speedup, whether the best network is kept
#        diverging   the same on the log scale, as for losses that can diverge
#        hyperband   f-Hyperband beside plain Hyperband
# (default: all of them). PROVE_CURVES: the file, where it does not lie beside the project.

proof() {
  prepare
  curves=${PROVE_CURVES:-../shared/data/curves/wikitext2_rnn_50ep.csv}
  [ -f "$curves" ] || fail "there is no \`$curves\` (name the file by PROVE_CURVES)"
  cases simulate stopping diverging hyperband -- "$@"
}

# replay OPTION...: the losses over 20 orders; one JSON object a setting, shown and kept.
replay() { metaqnn simulate -q "$curves" --loss --orders 20 --json "$@" | tee "$root/settings.json"; }

# r_squared REGRESSOR EPOCH: as the last replay scored it.
r_squared() { awk -F, -v name="$1" -v epoch="$2" '$1 == name && $2 == epoch { print $3 }' "$root/scores.csv"; }

# holds EXPRESSION: a Python expression over the `settings` of the last replay, and over R squared of the
# last walk by the predictor (`predicted`) and by the last value seen (`last_seen`).
holds() {
  python3 - "$root/settings.json" "${predicted:-nan}" "${last_seen:-nan}" "$1" <<'END' || fail "not: $1"
import json, sys
settings = [json.loads(line) for line in open(sys.argv[1])]
predicted, last_seen = float(sys.argv[2]), float(sys.argv[3])
sys.exit(not eval(sys.argv[4]))
END
}

# walked OPTION...: replays, and scores after a quarter of the 50 epochs, which the predictor must win.
walked() {
  replay --delta 0.9,0.95,0.99 --scores "$root/scores.csv" "$@"
  predicted=$(r_squared nu-svr-rbf 12) last_seen=$(r_squared last-seen 12)
  echo "   R squared after 12 epochs: nu-svr-rbf $predicted, last-seen $last_seen"
  holds 'predicted > last_seen'
}

# keeps SHARE: of the orders in which the best network was walked, at Delta 0.99.
keeps() { holds "settings[-1]['best_kept'] >= $1 * settings[-1]['orders_best_in_walk']"; }

# By the curves alone the best network is kept and ten epochs in eleven are saved. The file's six features of
# a network make the first two epochs a gamble: the best one is the common LSTM, unlike all others by
# them, so that a narrow kernel (gamma near 0.1 and above) predicts little more than the mean for it.
# Whether it survives is then a matter of the hyperparameters drawn, here and with other programs, so
# that with them no more is asked for than three orders in four.
simulate_stopping() {
  echo "   with the curves alone"
  walked --features=
  holds 'abs(predicted - 0.87) < 0.03 and abs(last_seen - 0.58) < 0.08'
  keeps 0.9
  holds 'settings[-1]["speedup_after_burn_in"] >= 8'
  echo "   with the features of the networks"
  walked
  holds 'abs(predicted - 0.87) < 0.03 and abs(last_seen - 0.58) < 0.08'
  keeps 0.75
  holds 'settings[-1]["speedup_after_burn_in"] >= 8'
}

simulate_diverging() {
  walked --log
  keeps 0.75
}

# A burn-in of 30: with 100 only the shortest rungs of 341 networks would ever be stopped in.
simulate_hyperband() {
  replay --log --scheduler f-hyperband --burn-in 30 --delta 0.95 --kappa 0.1,0.2,0.33,0.5
  holds 'all(s["networks"] == settings[0]["networks"] and s["speedup"] > 1 for s in settings[1:])'
}
