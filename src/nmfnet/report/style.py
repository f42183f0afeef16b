"""How a report looks: on narrow and wide screens, light and dark."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #f4f5f7; --line: #d5d8dc;
  --blue: #0072b2; --orange: #c44e00; --green: #00795a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --paper: #15181c; --soft: #20252b; --line: #3b424a;
    --blue: #56b4e9; --orange: #ff9a57; --green: #3fd0a4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { margin: 1.2rem 0 .4rem; font-size: 1rem; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
.network { opacity: .75; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.tile { background: var(--soft); border-radius: .5rem; padding: .6rem 1rem; min-width: 7rem; }
.tile b { display: block; font-size: 1.35rem; font-weight: 600; }
.tile span { font-size: .85rem; opacity: .75; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .88rem; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: break-word;
  vertical-align: top; max-width: 26rem; }
.runs th { white-space: nowrap; }
.matrix th, .matrix td { text-align: center; padding: .25rem .45rem; border: 0; min-width: 2.3rem;
  overflow-wrap: normal; }
.matrix tbody th { text-align: right; }
.matrix td { border-radius: .2rem; }
.matrix .right { background: color-mix(in srgb, var(--blue) calc(var(--share) * 45%), var(--soft)); }
.matrix .wrong { background: color-mix(in srgb, var(--orange) calc(min(1, var(--share) * 4) * 70%), var(--soft)); }
.chart svg { width: 100%; height: auto; max-width: 28rem; display: block; }
.chart.wide { overflow-x: auto; }
.chart.wide svg { max-width: 60rem; min-width: 29rem; }
.chart text { fill: currentColor; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .8rem; }
figure { margin: 0; background: var(--soft); border-radius: .5rem; padding: .6rem; min-width: 0; }
figure img { width: 100%; max-width: 10rem; image-rendering: pixelated; border-radius: .2rem; display: block; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; margin-top: .3rem; }
figure table { font-size: .78rem; margin-top: .4rem; }
figure td { padding: .1rem .3rem; }
details { margin: .5rem 0; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
.run { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; }
"""
