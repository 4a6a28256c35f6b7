#!/usr/bin/env python3
"""Draws docs/scale.svg: CPU time of a packet in fronts and store, by their number, from
docs/measurements/DATE-scale.json (scale.py); without a file, from the newest."""

import json
import pathlib
import sys

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 320, 60, 60, 40

path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else max((DOCS / "measurements").glob("*-scale.json"))
figures = json.loads(path.read_text())
costs, peer = figures["cpu_us"], sum(figures["redis_benchmark_us"].values())
most = 1.15 * max([cost["front"] + cost["store"] for cost in costs.values()] + [4 * peer])
out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
       f'<title>CPU microseconds for a packet, by {path.name}</title>',
       f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']


def y(value):
    return HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP)


def text(x, at, what, anchor="middle"):
    out.append(f'<text x="{x:.0f}" y="{at:.0f}" text-anchor="{anchor}">{what}</text>')


def box(x, value, height, wide, colour):
    out.append(f'<rect x="{x:.1f}" y="{y(value + height):.1f}" width="{wide:.1f}" '
               f'height="{y(value) - y(value + height):.1f}" fill="{colour}"/>')


step = (WIDTH - LEFT - 20) / len(costs)
for at, (name, cost) in enumerate(costs.items()):
    x = LEFT + step * at + step * 0.15
    box(x, 0, cost["store"], step * 0.7, "#b5542c")
    box(x, cost["store"], cost["front"], step * 0.7, "#2c6fb5")
    text(x + step * 0.35, y(cost["store"] + cost["front"]) - 5, f"{cost['store'] + cost['front']:.0f}")
    fronts, shards = name.split("x")
    text(x + step * 0.35, HEIGHT - BOTTOM + 16, f"{fronts} / {shards}")
for value, what in [(peer, "redis-server alone"), (4 * peer, "four times that")]:
    out.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - 20}" stroke="#555" stroke-dasharray="4 3" fill="none"/>')
    text(WIDTH - 20, y(value) - 4, f"{what}: {value:.0f}", "end")
text(WIDTH / 2, HEIGHT - BOTTOM + 36, "fronts / shards")
text(LEFT, 20, "CPU microseconds for a packet of 4 KiB: post, collect, discard", "start")
for x, what, colour in [(LEFT, "store", "#b5542c"), (LEFT + 70, "fronts", "#2c6fb5")]:
    out.append(f'<rect x="{x}" y="{HEIGHT - 16}" width="10" height="10" fill="{colour}"/>')
    text(x + 14, HEIGHT - 7, what, "start")
out.append("</svg>")
(DOCS / "scale.svg").write_text("\n".join(out) + "\n")
print(f"drawn: docs/scale.svg, from {path.name}")
