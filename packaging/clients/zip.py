"""Writes a zip file with files of this folder, without the times of the files: zip.py OUTPUT PREFIX FILE..."""

import sys
import zipfile
from pathlib import Path

output, prefix, *files = sys.argv[1:]
with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
    for file in sorted(files):
        archive.writestr(zipfile.ZipInfo(f"{prefix}/{file}"), Path(file).read_bytes(), zipfile.ZIP_DEFLATED)
