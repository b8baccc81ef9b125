#!/usr/bin/env bash
# Opens the tables of a search in LibreOffice and pandas, and compares every cell with the file.
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: scripts/check-spreadsheets.sh TABLES_DIR [REPORT_DIR]

Lets LibreOffice read each CSV file of the folder and write it again, as CSV and as an .xlsx
workbook, which is read once more. Two ways of reading, both told that the files are UTF-8: as
the program does by default, and with "detect special numbers" in English (United States),
which takes for dates, times and amounts of money what it can. Every cell has to come back with its value and its type: no
formula, no date, no number made of a text.

REPORT_DIR is what `metaqnn report --xlsx --decimal comma` wrote: each sheet of report.xlsx has to
have the cells of its table after LibreOffice has written it as CSV and as a workbook, and
tables-comma goes the way of the other tables, read in German.

pandas reads every table with the types that columns.csv names, and every sheet: each value has
to be that of the CSV file.

Prints what was compared; exits with 1 at a difference, with 4 without LibreOffice, Python 3 or
pandas (pip install pandas openpyxl).

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
"$python" -c 'import pandas, openpyxl' || fail 'pandas is missing (pip install pandas openpyxl)' 4
for folder in "$@"; do [ -d "$folder" ] || fail "\`$folder\` is no folder" 2; done
tables=$(cd "$1" && pwd)
report=$([ -z "${2:-}" ] || cd "$2" && pwd)
compgen -G "$tables/*.csv" >/dev/null || fail "there is no CSV file in \`$1\`" 2

export LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A profile of its own: no setting of the user's, and no clash with a LibreOffice that is open.
convert() {
    "$soffice" "-env:UserInstallation=file://$work/profile" --headless "$@" >"$work/log" 2>&1 \
        || { cat "$work/log" >&2 && fail 'LibreOffice failed' 4; }
}

readonly CSV='44,34,76,1'
readonly WRITE_CSV="csv:Text - txt - csv (StarCalc):$CSV"
# both WAY FOLDER CSV LANGUAGE: reads what lies in the folder in both ways.
both() {
    local way detect read_csv
    for way in default eager; do
        detect=$([ "$way" = eager ] && echo true || echo false)
        way=$1$way
        # Separator, quotation mark, UTF-8, first line 1, no column formats, language, no forced text, detection.
        read_csv="--infilter=CSV:$3,,$4,false,$detect"
        convert "$read_csv" --convert-to "$WRITE_CSV" --outdir "$work/$way/csv" "$2"/*.csv
        convert "$read_csv" --convert-to xlsx --outdir "$work/$way/xlsx" "$2"/*.csv
        convert --convert-to "$WRITE_CSV" --outdir "$work/$way/back" "$work/$way/xlsx"/*.xlsx
    done
}
both '' "$tables" "$CSV" 1033
if [ -n "$report" ]; then
    both 'comma ' "$report/tables-comma" '59,34,76,1' 1031
    # Each sheet to a file, numbers whole and not as shown.
    readonly WRITE_SHEETS="$WRITE_CSV,,0,false,false,false,false,false,-1"
    convert --convert-to "$WRITE_SHEETS" --outdir "$work/sheets/csv" "$report/report.xlsx"
    convert --convert-to xlsx --outdir "$work/sheets/xlsx" "$report/report.xlsx"
fi

"$python" - "$tables" "$work" "$report" <<'PYTHON'
import csv
import re
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pandas

tables, work = map(Path, sys.argv[1:3])
report = Path(sys.argv[3]) if sys.argv[3] else None
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
            return float(wanted) == float(shown.replace(",", "."))
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


def sheets(path):
    """The names of a workbook's sheets, in their order."""
    with zipfile.ZipFile(path) as book:
        names = ElementTree.fromstring(book.read("xl/workbook.xml"))
    return [sheet.get("name") for sheet in names.iter(MAIN + "sheet")]


def workbook(path, number=1):
    """The cells of a workbook's sheet: (row, column) -> (kind, text)."""
    with zipfile.ZipFile(path) as book:
        dates = date_styles(book)
        strings = []
        if "xl/sharedStrings.xml" in book.namelist():
            shared = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
            strings = ["".join(t.text or "" for t in s.iter(MAIN + "t")) for s in shared]
        sheet = ElementTree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml"))
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


def compare_rows(step, wanted, shown):
    if [len(row) for row in shown] != [len(row) for row in wanted]:
        yield f"{step}: the table has another shape"
        return
    for line, (want_row, show_row) in enumerate(zip(wanted, shown), 1):
        for column, want, show in zip(wanted[0], want_row, show_row):
            if not is_same(want, show):
                yield f"{step}: line {line}, {column}: `{want}` became `{show}`"


def compare_cells(wanted, cells):
    for line, row in enumerate(wanted, 1):
        for index, want in enumerate(row, 1):
            found, text = cells.get((line, index), ("empty", ""))
            if found != kind(want) or not is_same(want, text):
                where = f"xlsx: line {line}, {wanted[0][index - 1]}"
                yield f"{where}: {kind(want)} `{want}` became {found} `{text}`"


def compare(name, way):
    """Yields what differs between a table and what LibreOffice made of it."""
    wanted = rows(tables / f"{name}.csv")
    for step in ("csv", "back"):
        yield from compare_rows(step, wanted, rows(work / way / step / f"{name}.csv"))
    yield from compare_cells(wanted, workbook(work / way / "xlsx" / f"{name}.xlsx"))


PANDAS = {"integer": "Int64", "number": "float64", "boolean": "boolean", "time": "datetime64[ns, UTC]"}
MISSING = {"keep_default_na": False, "na_values": [""]}


def typed(path, types):
    """A table in pandas, with the types that its columns are said to have."""
    times = [name for name, kind in types.items() if kind == "time"]
    kinds = {name: PANDAS.get(kind, "string") for name, kind in types.items() if kind != "time"}
    table = pandas.read_csv(path, dtype=kinds, **MISSING)
    return table.assign(**{name: pandas.to_datetime(table[name], utc=True) for name in times})


def compare_pandas(name, types, sheet):
    """Yields what differs between the text of a table and what pandas makes of it and its sheet."""
    header, *texts = rows(tables / f"{name}.csv")
    table = typed(tables / f"{name}.csv", types)
    if list(types) != header or len(table) != len(texts):
        yield "pandas: the table has another shape"
        return
    for index, (column, kind) in enumerate(types.items()):
        wanted = [row[index] for row in texts]
        for of, shown in (("csv", table), ("sheet", sheet)):
            if shown is None:
                continue
            for line, (want, found) in enumerate(zip(wanted, shown[column]), 2):
                if want == "" or pandas.isna(found):
                    same = want == "" and pandas.isna(found)
                elif kind in ("integer", "number"):
                    same = float(found) == float(want) and not isinstance(found, str)
                elif kind == "boolean":
                    same = str(found).lower() == want
                elif kind == "time" and of == "csv":
                    same = found == pandas.Timestamp(want)
                else:
                    same = found == want
                if not same:
                    yield f"pandas: {of}, line {line}, {column}: `{want}` became `{found}`"


types = {}
for file, column, kind_of_column, *_ in rows(tables / "columns.csv")[1:]:
    types.setdefault(file, {})[column] = kind_of_column
ways = ["default", "eager"] + (["comma default", "comma eager"] if report else [])
names, book, resaved = [], {}, None
if report:
    resaved = work / "sheets" / "xlsx" / "report.xlsx"
    names = sheets(resaved)
    book = pandas.read_excel(report / "report.xlsx", sheet_name=None, **MISSING)
    missing = {path.stem for path in tables.glob("*.csv")} - set(names)
    if missing or names != list(book) or names[0] != "charts":
        sys.exit(f"check-spreadsheets: the workbook has the sheets {names}")


def is_of_tables(row):
    """Of the dictionary: the one in the workbook has the table of a figure, too."""
    return row[0] == "file" or (tables / row[0]).exists()


def compare_sheet(name, wanted):
    number = names.index(name) + 1
    shown = rows(work / "sheets" / "csv" / f"report-{name}.csv")
    cells = workbook(resaved, number)
    if name == "columns":
        before = sum(not is_of_tables(row) for row in shown)
        shown = [row for row in shown if is_of_tables(row)]
        # Its first ones.
        cells = {(max(line - before, 1), place): cell for (line, place), cell in cells.items()
                 if line == 1 or line > before + 1}
    yield from compare_rows("sheet", wanted, shown)
    yield from compare_cells(wanted, cells)


differences = cells = 0
for path in sorted(tables.glob("*.csv")):
    name, table = path.stem, rows(path)
    kinds = [kind(cell) for row in table for cell in row]
    cells += len(kinds)
    counts = ", ".join(f"{kinds.count(k)} {k}" for k in ("number", "text", "boolean", "empty"))
    found = [f"{way}: {what}" for way in ways for what in compare(name, way)]
    sheet = book.get(name)
    if sheet is not None:
        found += compare_sheet(name, table)
        if name == "columns":
            sheet = sheet[[(tables / file).exists() for file in sheet["file"]]]
    found += compare_pandas(name, types[path.name], sheet)
    differences += len(found)
    print(f"{path.name}: {len(table) - 1} rows, {len(table[0])} columns ({counts}): "
          f"{len(found)} differences")
    for difference in found[:20]:
        print(f"  {difference}")
for name in names[1:]:
    if not (tables / f"{name}.csv").exists():
        found = list(compare_sheet(name, rows(report / "figures" / f"{name}.csv")))
        differences += len(found)
        print(f"sheet {name}: {len(found)} differences")
also = ", as sheets of a workbook, with decimal commas" if report else ""
print(f"{cells} cells, read in {len(ways)} ways, as CSV, as xlsx and back{also}, and by pandas "
      f"{pandas.__version__}: {differences} differences")
sys.exit(1 if differences else 0)
PYTHON
