#!/usr/bin/env bash
# Opens the tables of a search in LibreOffice and compares every cell with the file.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: scripts/check-spreadsheets.sh TABLES_DIR

Lets LibreOffice read each CSV file of the folder and write it again, as CSV and as an .xlsx
workbook, which is read once more. Two ways of reading, both told that the files are UTF-8: as
the program does by default, and with "detect special numbers" in English (United States),
which takes for dates, times and amounts of money what it can. Every cell has to come back with its value and its type: no
formula, no date, no number made of a text. Prints what was compared; exits with 1 at a
difference, with 4 without LibreOffice or Python 3.

Environment: SOFFICE, PYTHON (default soffice, python3)
HELP
}

fail() {
    echo "check-spreadsheets: $1" >&2
    exit "$2"
}

case "${1:-}" in
    -h | --help) usage && exit ;;
    "") usage >&2 && exit 2 ;;
esac
soffice=${SOFFICE:-soffice}
python=${PYTHON:-python3}
command -v "$soffice" >/dev/null \
    || fail 'LibreOffice is missing (apt-get install --no-install-recommends libreoffice-calc)' 4
command -v "$python" >/dev/null || fail 'Python 3 is missing' 4
[ -d "$1" ] || fail "\`$1\` is no folder" 2
tables=$(cd "$1" && pwd)
compgen -G "$tables/*.csv" >/dev/null || fail "there is no CSV file in \`$1\`" 2

export LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A profile of its own: no setting of the user's, and no clash with a LibreOffice that is open.
convert() {
    "$soffice" "-env:UserInstallation=file://$work/profile" --headless "$@" >"$work/log" 2>&1 \
        || { cat "$work/log" >&2 && fail 'LibreOffice failed' 4; }
}

# Comma, quotation mark, UTF-8, first line 1, no column formats, US English, no forced text, detection.
readonly CSV='44,34,76,1'
readonly WRITE_CSV="csv:Text - txt - csv (StarCalc):$CSV"
for way in default eager; do
    detect=$([ "$way" = eager ] && echo true || echo false)
    read_csv="--infilter=CSV:$CSV,,1033,false,$detect"
    convert "$read_csv" --convert-to "$WRITE_CSV" --outdir "$work/$way/csv" "$tables"/*.csv
    convert "$read_csv" --convert-to xlsx --outdir "$work/$way/xlsx" "$tables"/*.csv
    convert --convert-to "$WRITE_CSV" --outdir "$work/$way/back" "$work/$way/xlsx"/*.xlsx
done

"$python" - "$tables" "$work" <<'PYTHON'
import csv
import re
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

tables, work = map(Path, sys.argv[1:])
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def kind(text):
    if text == "":
        return "empty"
    if text in ("true", "false"):
        return "boolean"
    return "number" if NUMBER.fullmatch(text) else "text"


def is_same(wanted, shown):
    """Whether a cell shows what the file says; how a number or a truth value is spelt is free."""
    if kind(wanted) == "number":
        try:
            return float(wanted) == float(shown)
        except ValueError:
            return False
    return shown.lower() == wanted if kind(wanted) == "boolean" else shown == wanted


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def date_styles(book):
    """The numbers of the cell styles that show a date or a time."""
    styles = ElementTree.fromstring(book.read("xl/styles.xml"))
    codes = {int(f.get("numFmtId")): f.get("formatCode") for f in styles.iter(MAIN + "numFmt")}
    built_in = set(range(14, 23)) | set(range(45, 48))
    found = set()
    for index, style in enumerate(styles.find(MAIN + "cellXfs")):
        number = int(style.get("numFmtId"))
        code = re.sub(r'"[^"]*"|\[[^\]]*\]|General|\\.', "", codes.get(number, ""))
        if re.search("[ymdhs]", code, re.I) or (number in built_in and number not in codes):
            found.add(index)
    return found


def workbook(path):
    """The cells of a workbook: (row, column) -> (kind, text)."""
    with zipfile.ZipFile(path) as book:
        dates = date_styles(book)
        strings = []
        if "xl/sharedStrings.xml" in book.namelist():
            shared = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
            strings = ["".join(t.text or "" for t in s.iter(MAIN + "t")) for s in shared]
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    cells = {}
    for cell in sheet.iter(MAIN + "c"):
        letters, row = re.fullmatch(r"([A-Z]+)(\d+)", cell.get("r")).groups()
        column = 0
        for letter in letters:
            column = 26 * column + ord(letter) - ord("A") + 1
        value = cell.find(MAIN + "v")
        if cell.find(MAIN + "f") is not None:
            found = ("formula", cell.find(MAIN + "f").text or "")
        elif value is None:
            continue
        elif cell.get("t") == "s":
            text = strings[int(value.text)]
            found = ("boolean" if text in ("true", "false") else "text", text)
        elif cell.get("t") == "b":
            found = ("boolean", "true" if value.text == "1" else "false")
        elif cell.get("t") in (None, "n"):
            found = ("date" if int(cell.get("s", 0)) in dates else "number", value.text)
        else:
            found = (cell.get("t"), value.text)
        cells[int(row), column] = found
    return cells


def compare(name, way):
    """Yields what differs between a table and what LibreOffice made of it."""
    wanted = rows(tables / f"{name}.csv")
    for step in ("csv", "back"):
        shown = rows(work / way / step / f"{name}.csv")
        if [len(row) for row in shown] != [len(row) for row in wanted]:
            yield f"{step}: the table has another shape"
            continue
        for line, (want_row, show_row) in enumerate(zip(wanted, shown), 1):
            for column, want, show in zip(wanted[0], want_row, show_row):
                if not is_same(want, show):
                    yield f"{step}: line {line}, {column}: `{want}` became `{show}`"
    cells = workbook(work / way / "xlsx" / f"{name}.xlsx")
    for line, row in enumerate(wanted, 1):
        for index, want in enumerate(row, 1):
            found, text = cells.get((line, index), ("empty", ""))
            if found != kind(want) or not is_same(want, text):
                where = f"xlsx: line {line}, {wanted[0][index - 1]}"
                yield f"{where}: {kind(want)} `{want}` became {found} `{text}`"


differences = cells = 0
for path in sorted(tables.glob("*.csv")):
    table = rows(path)
    kinds = [kind(cell) for row in table for cell in row]
    cells += len(kinds)
    counts = ", ".join(f"{kinds.count(k)} {k}" for k in ("number", "text", "boolean", "empty"))
    found = [f"{way}: {what}" for way in ("default", "eager") for what in compare(path.stem, way)]
    differences += len(found)
    print(f"{path.name}: {len(table) - 1} rows, {len(table[0])} columns ({counts}): "
          f"{len(found)} differences")
    for difference in found[:20]:
        print(f"  {difference}")
print(f"{cells} cells, read in two ways, as CSV, as xlsx and back: {differences} differences")
sys.exit(1 if differences else 0)
PYTHON
