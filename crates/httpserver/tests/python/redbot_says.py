"""What REDbot finds bad, or warns of, about a URL."""

import contextlib
import io
import re
import sys

from redbot import cli
from redbot.formatter.text import BaseTextFormatter

# It says how bad something is by its color, and only on a terminal.
BaseTextFormatter.colorize = lambda self, level, text: f"[{level.name if level else ''}] {text}"
sys.argv = ["redbot", "-o", "text", sys.argv[1]]
said = io.StringIO()
with contextlib.redirect_stdout(said):
    try:
        cli.main()
    except SystemExit:
        pass
text = said.getvalue()
if not re.search(r"\[(GOOD|INFO)\]", text):
    print(f"REDbot has looked at nothing: {text!r}")
for line in text.splitlines():
    if re.search(r"\[(BAD|WARN)\]", line):
        print(sys.argv[3], line)
