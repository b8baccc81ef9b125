#!/usr/bin/env bash
# LibreOffice makes formulas of the truth values of an .xlsx workbook.
#
# One would guess: a cell of type `b` with the value 0 is a truth value, in LibreOffice as in Excel, and is still
# one when LibreOffice has saved the workbook.
# What happens: it becomes the formula =FALSE(), in the cell and in the file that is saved, though the workbook had
# no formula. It does not depend on the number format.
# Why it matters here: no cell of our tables may be computed. (Here: `true` and `false` are text in report.xlsx, as
# the words of columns.csv.)
#
# Versions: LibreOffice 7.4.7, openpyxl 3.1.5. 2026-11-30.
# Needs `soffice` (apt-get install --no-install-recommends libreoffice-calc) and Python 3 with venv.
# Exit 0: as described. Exit 1: the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet openpyxl==3.1.5
cat >make.py <<'END'
import openpyxl

book = openpyxl.Workbook()
sheet = book.active
sheet["A1"], sheet["A2"], sheet["B1"] = False, "false", False
sheet["B1"].number_format = '"TRUE";"TRUE";"FALSE"'
book.save("book.xlsx")
END
cat >look.py <<'END'
import sys

import openpyxl

for path in ("book.xlsx", "saved/book.xlsx"):
    sheet = openpyxl.load_workbook(path).active
    found = [sheet[name].value for name in ("A1", "B1", "A2")]
    print(f"{path}: truth value {found[0]!r}, with a format {found[1]!r}, text {found[2]!r}")
if found != ["=FALSE()", "=FALSE()", "false"]:
    print("CHANGED")
    sys.exit(1)
END
venv/bin/python make.py
soffice "-env:UserInstallation=file://$folder/profile" --version 2>/dev/null
soffice "-env:UserInstallation=file://$folder/profile" --headless --convert-to xlsx --outdir saved book.xlsx >/dev/null 2>&1
venv/bin/python look.py
