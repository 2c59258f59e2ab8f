"""Watch a terminal of tmux, and write down each screen that differs from the one before, until it is gone.

usage: film.py SOCKET PLACE SHOWN > FRAMES    where PLACE is in a screen, SHOWN stands for it in as many columns
"""

import json
import subprocess
import sys
import time

EACH = 0.06


def main():
    socket, place, shown = sys.argv[1:]
    look = ["tmux", "-u", "-S", socket, "capture-pane", "-e", "-p", ";", "display-message", "-p", "#{cursor_x} #{cursor_y} #{cursor_flag}"]
    before = None
    while True:
        seen = subprocess.run(look, capture_output=True, text=True, check=False)
        if seen.returncode:
            return
        *lines, last = seen.stdout.splitlines()
        x, y, is_shown = map(int, last.split())
        screen = "\n".join(lines).replace(place, shown.ljust(len(place)))
        cursor = (x, y) if is_shown else None
        if (screen, cursor) != before:
            before = (screen, cursor)
            print(json.dumps((time.monotonic(), screen, cursor)), flush=True)
        time.sleep(EACH)


main()
