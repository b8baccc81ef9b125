# The page of `metaqnn report` in a real browser: it answers what `status --json` and the certificate say, asks for
# nothing outside, complains of nothing, fits a phone, sorts and filters by keyboard, and works without its script.
#
# usage: scripts/prove.sh report [SCREENSHOTS [EXPERIMENT...]]
#
# SCREENSHOTS is the folder for pictures of each page, on a desk, in the dark, on a phone and in print (default: a
# temporary one). Paths are absolute. The experiments are only read; without any a search of 2,700 made-up networks is reported.
# Needs Chromium (Debian: apt-get install --no-install-recommends chromium) and Python with playwright 1.65.2
# (`pip install playwright==1.65.2`, no browser of its own). Environment: METAQNN, CHROMIUM, PYTHON.

proof() {
  prepare
  local screenshots=${1:-$root/screenshots} dir began
  local experiments=("${@:2}")
  mkdir -p "$screenshots"
  if [ ${#experiments[@]} -eq 0 ]; then
    training='trainer: synthetic, epochs: 20' search large 1500 1200 0
    metaqnn run -q "$root/large.yaml" "$dir" >/dev/null
    experiments=("$dir")
  fi
  for dir in "${experiments[@]}"; do
    metaqnn report -q "$dir" --out "$root/$(basename "$dir")"
    checked "$root/$(basename "$dir")" "$dir"
  done
  if [ ${#experiments[@]} -gt 1 ]; then
    metaqnn report -q "${experiments[@]}" --out "$root/all"
    checked "$root/all" "${experiments[@]}"
  fi
  [ -n "${PROVE_DIR:-}" ] || rm -rf "$root"
}

# checked FOLDER EXPERIMENT...: opens the page there.
checked() {
  local of
  for of in "${@:2}"; do metaqnn status --json "$of"; done >"$1.status"
  "${PYTHON:-python3}" scripts/proofs/report.py "$1/report.html" "$1.status" "$screenshots/$(basename "$1")" ||
    fail "$1/report.html"
}
