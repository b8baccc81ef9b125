# Damage to the files of a search, found and mended (4 minutes; no root).
#
# Cases: cut      the log cut at every byte of its last three rows
#        flip     one bit of log, view or curve turned, 400 times
#        killed   a repair killed at a random moment and repeated, 200 times      (default: all of them)
#
# Each time `verify --repair` leaves no row but the damaged one changed, keeps what it replaces in torn/,
# and the search trains on; `verify` is clean then, or names what nothing safe can be done about.

proof() {
  prepare
  local case
  for case in "${@:-cut flip killed}"; do
    # shellcheck disable=SC2086 # the default is three words
    for case in $case; do
      python3 scripts/proofs/damage.py "$METAQNN" "$root" "$case" "$RANDOM" || fail "$case"
    done
  done
  [ -n "${PROVE_DIR:-}" ] || rm -rf "$root"
}
