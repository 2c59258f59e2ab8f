"""Terminal recording to SVG: a terminal small enough to read, and pictures of some of what it showed.

usage: render.py RECORDING DIRECTORY               the pictures of the demonstration
       render.py --screen CAPTURE PICTURE TITLE    one of a screen, as `tmux capture-pane -e -p` writes it
       render.py --film FRAMES PICTURE TITLE       a moving one of what `film.py` has seen
"""

import html
import json
import re
import sys
from pathlib import Path

COLORS = {30: "#0d1117", 31: "#f47067", 32: "#8ddb8c", 33: "#daaa3f", 34: "#6cb6ff", 35: "#d2a8ff", 36: "#6cc7d8", 37: "#c9d1d9",
          90: "#7d8590", 91: "#ff938a", 92: "#b4f1b4", 93: "#e3c46a", 94: "#96d0ff", 95: "#e2c5ff", 96: "#96e0ee", 97: "#ffffff"}
PLAINLY = (None, False, False, False, None)
PLAIN, BACK, FAINT = "#c9d1d9", "#0d1117", "#7d8590"
TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[=>]|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """Lines of cells; a cell is a character and its looks (colour, bold, faint, inverse, colour behind)."""

    def __init__(self):
        self.lines, self.row, self.column, self.look = [[]], 0, 0, PLAINLY
        self.snapshots = []

    def feed(self, text):
        for match in TOKEN.finditer(text):
            args, command, control, words = match.groups()
            if words:
                self.put(words)
            elif control == "\n":
                self.row += 1
                self.column = 0
                if self.row == len(self.lines):
                    self.lines.append([])
            elif control == "\r":
                self.column = 0
            elif command:
                self.escape(args, command)

    def put(self, words):
        line = self.lines[self.row]
        for char in words:
            line.extend([(" ", PLAINLY)] * (self.column + 1 - len(line)))
            line[self.column] = (char, self.look)
            self.column += 1

    def escape(self, args, command):
        number = int(args) if args.isdigit() else 1
        if command == "m":
            self.paint(args)
        elif command == "A":
            # Whoever goes up is about to draw anew: this was a whole picture.
            self.snapshots.append([list(line) for line in self.lines])
            self.row = max(0, self.row - number)
        elif command == "B":
            self.row = min(len(self.lines) - 1, self.row + number)
        elif command == "K":
            self.lines[self.row] = [] if args == "2" else self.lines[self.row][: self.column]
        elif command == "J":
            del self.lines[self.row + 1 :]

    def paint(self, args):
        color, bold, faint, inverse, back = self.look
        codes = [int(part or 0) for part in args.split(";")]
        while codes:
            code = codes.pop(0)
            if code in (38, 48) and codes[:1] == [5]:
                # One of 256: of these only the first sixteen, by their own codes.
                number = codes[1]
                codes[:2] = [number + (30 if number < 8 else 82) + (code - 38)] if number < 16 else []
            elif code == 0:
                color, bold, faint, inverse, back = PLAINLY
            elif code in (1, 2, 22):
                bold, faint = code == 1 or (bold and code == 2), code == 2 or (faint and code == 1)
            elif code in (7, 27):
                inverse = code == 7
            elif code == 39:
                color = None
            elif code == 49:
                back = None
            elif code in COLORS:
                color = COLORS[code]
            elif code - 10 in COLORS:
                back = COLORS[code - 10]
        self.look = (color, bold, faint, inverse, back)


def text(line):
    return "".join(char for char, _ in line).rstrip()


def first(lines, words):
    return next(i for i, line in enumerate(lines) if words in text(line))


def section(lines, words, last):
    """From the line that holds `words` to the one before that which starts with `last`."""
    start = first(lines, words)
    end = next(i for i in range(start + 1, len(lines)) if text(lines[i]).startswith(last))
    return lines[start:end]


WIDE, HIGH, EDGE = 8.4, 19, 16
FONT = 'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14" xml:space="preserve"'


def head(width, height, title):
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>',
    ]


def svg(lines, title):
    while lines and not text(lines[-1]):
        lines = lines[:-1]
    out = head(max(len(text(line)) for line in lines) * WIDE + 2 * EDGE, len(lines) * HIGH + 2 * EDGE, title)
    out.append(f"<g {FONT}>")
    for number, line in enumerate(lines):
        out += drawn(line, EDGE + number * HIGH)
    out.append("</g></svg>")
    return "\n".join(out) + "\n"


def drawn(line, y):
    """A line of cells, with its upper edge at y."""
    for start, run, look in runs(line):
        color, bold, faint, inverse, back = look
        fill = color or (FAINT if faint else PLAIN)
        x = EDGE + start * WIDE
        if inverse:
            fill, back = back or BACK, fill
        if back:
            yield f'<rect x="{x:.1f}" y="{y}" width="{len(run) * WIDE:.1f}" height="{HIGH}" fill="{back}"/>'
        weight = ' font-weight="bold"' if bold else ""
        # Not every browser keeps blanks that follow one another, so each piece has a place of its own.
        for piece in re.finditer(r"\S+(?: \S+)*", run):
            yield (
                f'<text x="{x + piece.start() * WIDE:.1f}" y="{y + 14}" fill="{fill}"{weight} textLength="{len(piece[0]) * WIDE:.1f}"'
                f' lengthAdjust="spacingAndGlyphs">{html.escape(piece[0])}</text>'
            )


def film(frames, title):
    """All screens side by side behind a window of the width of one; each line is drawn once, however often it is seen.

    `frames`: seconds and lines of cells. Who wants nothing to move sees the last one.
    """
    columns, rows = max(len(line) for _, lines in frames for line in lines), max(len(lines) for _, lines in frames)
    width, height = columns * WIDE + 2 * EDGE, rows * HIGH + 2 * EDGE
    names, kept, strip, keys, at = {}, [], [], [], 0
    whole = sum(seconds for seconds, _ in frames)
    for number, (seconds, lines) in enumerate(frames):
        keys.append(f"{at / whole:.3%}{{transform:translateX({-number * width:.0f}px)}}")
        at += seconds
        uses = []
        for row, line in enumerate(lines):
            shape = "".join(drawn(line, 0))
            if shape and shape not in names:
                names[shape] = f"l{len(names)}"
                kept.append(f'<g id="{names[shape]}">{shape}</g>')
            if shape:
                uses.append(f'<use href="#{names[shape]}" y="{EDGE + row * HIGH}"/>')
        strip.append(f'<g transform="translate({number * width:.0f})">{"".join(uses)}</g>')
    last = f"transform:translateX({-(len(frames) - 1) * width:.0f}px)"
    out = head(width, height, title)
    out += [
        f"<style>.film{{animation:film {whole:.1f}s step-end infinite}}@keyframes film{{{''.join(keys)}}}",
        f"@media(prefers-reduced-motion:reduce){{.film{{animation:none;{last}}}}}</style>",
        f"<defs>{''.join(kept)}</defs>",
        f'<svg width="{width:.0f}" height="{height}"><g class="film" {FONT}>',
        *strip,
        "</g></svg></svg>",
    ]
    return "\n".join(out) + "\n"


def runs(line):
    """Neighbours that look the same; blanks at the ends are left out."""
    start = 0
    while start < len(line):
        look = line[start][1]
        end = start
        while end < len(line) and line[end][1] == look:
            end += 1
        run = "".join(char for char, _ in line[start:end])
        is_seen = look[3] or look[4]
        kept = run if is_seen else run.strip()
        if kept:
            yield start + (0 if is_seen else len(run) - len(run.lstrip())), kept, look
        start = end


def of_a_screen(capture, picture, title):
    screen = Screen()
    screen.feed(Path(capture).read_text(encoding="utf-8", errors="replace"))
    Path(picture).write_text(svg(screen.lines, title), encoding="utf-8")


def of_a_film(seen, picture, title):
    """Nobody waits longer than this for anything to happen, and what is at the end can be read."""
    longest, end = 1.5, 4
    frames = []
    for line in Path(seen).read_text(encoding="utf-8").splitlines():
        at, capture, cursor = json.loads(line)
        screen = Screen()
        screen.feed(capture)
        lines = [[(char, look) for char, look in line] for line in screen.lines]
        if cursor:
            x, y = cursor
            while len(lines) <= y:
                lines.append([])
            lines[y] += [(" ", PLAINLY)] * (x + 1 - len(lines[y]))
            char, look = lines[y][x]
            lines[y][x] = (char, (*look[:3], True, look[4]))
        if not frames or frames[-1][1] != lines:
            frames.append((at, lines))
    times = [at for at, _ in frames]
    held = [min(longest, after - at) for at, after in zip(times, times[1:])] + [end]
    Path(picture).write_text(film([(seconds, lines) for seconds, (_, lines) in zip(held, frames)], title), encoding="utf-8")


def main():
    if sys.argv[1] == "--screen":
        return of_a_screen(*sys.argv[2:])
    if sys.argv[1] == "--film":
        return of_a_film(*sys.argv[2:])
    recording, directory = sys.argv[1:]
    screen = Screen()
    raw = Path(recording).read_bytes().decode(errors="replace")
    raw = raw.split("\n", 1)[1] if raw.startswith("Script started") else raw
    screen.feed(raw)
    states = (" running ", " waiting ", " ready ", " failed ")
    # The moment that shows most: many different states, then many tasks at work.
    busy = lambda lines: [sum(any(s in text(line) for line in lines) for s in states), sum(states[0] in text(line) for line in lines)]
    board = max(screen.snapshots, key=busy)
    pictures = {
        "board.svg": (board[first(board, "$ pleach ls") :], "the board while tasks run, wait and have ended"),
        "diff.svg": (section(screen.lines, "$ pleach diff slug", "4."), "two changes, with the words marked that differ"),
        "merge.svg": (section(screen.lines, "$ pleach merge slug", "7."), "results folded, and a conflict that touched nothing"),
    }
    for name, (lines, title) in pictures.items():
        Path(directory, name).write_text(svg(lines, title), encoding="utf-8")


main()
