"""A flame graph as one SVG that needs nothing else: width is time, a frame stands on what called it.

Owns the drawing. Which stacks and whose colour is said by the caller.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from zlib import crc32

WIDTH = 1600
ROW = 17
LETTER = 6.6
# Narrower than this nobody sees; it would only make the file large.
LEAST = 0.3
HEAD = 44
STYLE = (
    "text{font:11px monospace;fill:#111;pointer-events:none}rect{stroke:#fff;stroke-width:.4}"
    "g:hover>rect{stroke:#000}"
)
SCRIPT = """
const svg=document.documentElement,all=[...svg.querySelectorAll('g[data-x]')],note=svg.getElementById('note');
function show(x,w){for(const g of all){const gx=+g.dataset.x,gw=+g.dataset.w;
const l=Math.max(gx,x),r=Math.min(gx+gw,x+w),s=WIDTH/w;g.style.display=r-l>w/WIDTH*LEAST?'':'none';
const q=g.children[1];q.setAttribute('x',(l-x)*s);q.setAttribute('width',Math.max(0,(r-l)*s));
const t=g.children[2];if(t){const n=Math.floor((r-l)*s/LETTER)-1;t.setAttribute('x',(l-x)*s+3);
t.textContent=n<3?'':g.dataset.n.length>n?g.dataset.n.slice(0,n-1)+'…':g.dataset.n;}}}
for(const g of all){g.onclick=()=>show(+g.dataset.x,+g.dataset.w);
g.onmouseover=()=>{note.textContent=g.children[0].textContent}}
svg.getElementById('whole').onclick=()=>show(0,WIDTH);
"""


@dataclass
class Box:
    """A frame in its place. Units: samples."""

    count: int = 0
    above: dict[str, "Box"] = field(default_factory=dict)


def tree(stacks: Mapping[tuple[str, ...], int]) -> Box:
    """Stacks laid upon each other."""
    root = Box()
    for stack, count in stacks.items():
        root.count += count
        box = root
        for name in stack:
            box = box.above.setdefault(name, Box())
            box.count += count
    return root


def draw(title: str, stacks: Counter[tuple[str, ...]], part: Callable[[str], str]) -> str:
    """The picture. A click widens a frame, one on the title goes back. Shape: `part` names whose code a frame is."""
    root = tree(stacks)
    rows: list[str] = []
    deepest = 0

    def place(box: Box, left: float, depth: int) -> None:
        nonlocal deepest
        deepest = max(deepest, depth)
        for name, one in sorted(box.above.items()):
            width = one.count / root.count * WIDTH
            if width >= LEAST:
                rows.append(_frame(name, part(name), left, width, depth, one.count / root.count))
                place(one, left, depth + 1)
            left += width

    place(root, 0.0, 0)
    height = HEAD + (deepest + 1) * ROW
    script = SCRIPT.replace("WIDTH", str(WIDTH)).replace("LEAST", str(LEAST)).replace("LETTER", str(LETTER))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f"<style>{STYLE}</style><rect width='100%' height='100%' fill='#fff'/>"
        f'<g id="whole"><rect width="{WIDTH}" height="20" fill="#eee"/><text x="6" y="14">{escape(title)}, '
        f'{root.count} samples</text></g><text id="note" x="6" y="36"></text>{"".join(rows)}'
        f"<script><![CDATA[{script}]]></script></svg>\n"
    )


def _frame(name: str, part: str, left: float, width: float, depth: int, share: float) -> str:
    """One frame, with its name as far as there is room."""
    shown = name.rpartition(" (")[0] or name
    letters = int(width / LETTER) - 1
    label = "" if letters < 3 else shown if len(shown) <= letters else shown[: letters - 1] + "…"
    top = HEAD + depth * ROW
    return (
        f'<g data-x="{left:.2f}" data-w="{width:.2f}" data-n="{escape(shown)}">'
        f"<title>{escape(name)} [{escape(part)}] {share:.2%}</title>"
        f'<rect x="{left:.2f}" y="{top}" width="{width:.2f}" height="{ROW - 1}" fill="{colour(part)}"/>'
        f'<text x="{left + 3:.2f}" y="{top + 12}">{escape(label)}</text></g>'
    )


def colour(part: str) -> str:
    """A part's colour, the same in every picture."""
    if part == "kernel":
        return "#f0a868"
    if part == "interpreter":
        return "#9ec3e6"
    hue = crc32(part.encode()) % 300 + 30
    return f"hsl({hue},{70 if part.startswith('_fast') else 45}%,72%)"
