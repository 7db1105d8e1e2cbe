"""The ratios as bars in SVG: what was measured, where 9 of 10 redrawn ratios lie, and the goal. Lengths are in pixels."""

from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 900, 210, 60
LINE, BAR, MARGIN = 24, 12, 24
MOST = 6  # the longest bar, as a ratio: what is beyond is only written

# Each kind of line, area and text with its colour on light and on dark paper. No variables: not every viewer has them.
COLOURS = {
    "text": ("fill", "#1f2328", "#e6edf3"),
    ".faint": ("fill", "#59636e", "#9198a1"),
    ".paper": ("fill", "#ffffff", "#0d1117"),
    ".grid": ("stroke", "#d8dee4", "#30363d"),
    ".met": ("fill", "#2f6fb7", "#6ea8e6"),
    ".missed": ("fill", "#c8641b", "#e8975a"),
    ".open": ("fill", "#59636e", "#9198a1"),
    ".spread": ("stroke", "#1f2328", "#e6edf3"),
    ".goal": ("stroke", "#1f2328", "#e6edf3"),
}
SHAPES = """
text { font: 13px system-ui, sans-serif }
.title { font-size: 16px; font-weight: 600 }
.faint { font-size: 12px }
.spread { stroke-width: 1.5 }
.goal { stroke-width: 2.5 }
"""


def style():
    light, dark = (" ".join(f"{what} {{ {way}: {colours[paper]} }}" for what, (way, *colours) in COLOURS.items()) for paper in (0, 1))
    return f"{SHAPES}{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n"


class Panel:
    """A heading and a bar for each of `bars`: label, ratio, interval, goal or None."""

    def __init__(self, title, note, bars):
        self.title, self.note, self.bars = title, note, bars
        self.height = 56 + LINE * len(bars) + 40

    def draw(self, top):
        most = min(MOST, max(max(high, goal or 0) for _, _, (_, high), goal in self.bars) * 1.05)
        step = 0.25 if most < 2 else 0.5 if most < 4 else 1

        def x(ratio):
            return LEFT + min(max(0, ratio), most) / most * (WIDTH - LEFT - RIGHT)

        first, bottom = top + 56, top + 56 + LINE * len(self.bars)
        yield text(MARGIN, top + 16, self.title, "title")
        yield text(MARGIN, top + 36, self.note, "faint")
        for tick in range(int(most / step) + 1):
            yield line(x(tick * step), first - 4, x(tick * step), bottom, "grid")
            yield text(x(tick * step), bottom + 16, f"{tick * step:g}", "faint", "middle")
        for number, (label, ratio, (low, high), goal) in enumerate(self.bars):
            middle = first + LINE * number + LINE / 2
            kind = "open" if goal is None else "met" if ratio <= goal else "missed"
            yield text(LEFT - 10, middle + 4, label, anchor="end")
            yield f'<rect class="{kind}" x="{LEFT}" y="{middle - BAR / 2:.1f}" width="{x(ratio) - LEFT:.1f}" height="{BAR}" rx="2"/>'
            yield line(x(low), middle, x(high), middle, "spread")
            yield from (line(x(end), middle - 4, x(end), middle + 4, "spread") for end in (low, high))
            if goal is not None:
                yield line(x(goal), middle - LINE / 2 + 2, x(goal), middle + LINE / 2 - 2, "goal")
            yield text(x(max(ratio, high, goal or 0)) + 8, middle + 4, f"{ratio:.2f}")


def svg(results):
    """The whole picture; readable on light and on dark paper."""
    panels = []
    if results["rows"]:
        bars = [(row["row"], row["ratio"], row["ratio_interval"], row["goal"]) for row in results["rows"]]
        panels.append(Panel("CPU that Portcullis adds to a request, to what Envoy's own filters add",
                            f"less is better; public route: to a bare filter; {legend()}", bars))
    if results.get("scaling"):
        bars = [(f"{one['scale']}: {one['largest']} to {one['smallest']}" if one["scale"] != "workers" else "2 workers to 1",
                 one["ratio"], one["ratio_interval"], one["goal"]) for one in results["scaling"]]
        panels.append(Panel("CPU that Portcullis adds with a large policy, to that with a small one", legend(), bars))
    height = MARGIN + sum(panel.height for panel in panels) + 40
    lines, top = [], MARGIN
    for panel in panels:
        lines += panel.draw(top)
        top += panel.height
    about = f"{results['envoy']}, {results['machine']}, {results['date']}, {results['rounds']} rounds of {results['requests']} requests"
    lines.append(text(MARGIN, height - 16, about, "faint"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">\n'
            f"<title>{escape(panels[0].title) if panels else 'Nothing was measured'}</title>\n<style>{style()}</style>\n"
            f'<rect class="paper" width="{WIDTH}" height="{height}"/>\n' + "\n".join(lines) + "\n</svg>\n")


def legend():
    return "mark: the goal (blue: met, orange: missed); thin line: 9 of 10 redrawn ratios"


def text(x, y, words, kind="", anchor="start"):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
