#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Prompts become pictures, and pictures have a quality by window, from Python.

Runs this folder's scripts with PyFlink and leaves the pictures as PNG files:

    examples/sql/run pipeline.py        # on a cluster and a broker of this machine
    python examples/sql/pipeline.py     # as PyFlink is configured; from the project's folder, broker at localhost:9092

The jars that docs/SQL.md names belong into PyFlink's lib folder; `examples/sql/run` sees to that.
"""

import os
import re
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment

SCRIPTS = Path(__file__).resolve().parent
OUT = Path(os.environ.get("OUT", "out/sql"))


def statements(script):
    """The statements of a script, without its comments."""
    text = re.sub(r"(?m)^--.*$", "", (SCRIPTS / script).read_text(encoding="utf-8"))
    return filter(None, (part.strip() for part in re.split(r";\s*$", text, flags=re.MULTILINE)))


def run(tables, script):
    for statement in statements(script):
        setting = re.fullmatch(r"SET '(.+)' = '(.*)'", statement)
        if setting:  # a statement of the SQL client; here it is a call
            tables.get_config().set(*setting.groups())
        else:
            tables.execute_sql(statement).wait()


def main():
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for script in ("tables.sql", "prompts.sql", "pictures.sql", "quality.sql"):
        run(tables, script)

    OUT.mkdir(parents=True, exist_ok=True)
    with tables.execute_sql("SELECT id, image, problem FROM pictures").collect() as pictures:
        for name, image, problem in pictures:
            if image is None:
                print(f"{name}: {problem}")
            else:
                file = OUT / f"{name}.png"
                file.write_bytes(image)
                print(f"{name}: {file}")

    with tables.execute_sql("SELECT window_start, pictures, psnr FROM quality").collect() as windows:
        for start, pictures, psnr in windows:
            print(f"{start}: PSNR {psnr:.2f} dB, pictures: {pictures}")


if __name__ == "__main__":
    main()
