"""How the gate's page looks: light and dark, wide and on a phone."""

STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b1f24;--muted:#667080;--line:#dfe3e8;--accent:#2f6fde;
--second:#d9822b;--good:#1a7f4b;--bad:#c8372d;--allowed:#2f9e6426}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--card:#1c2026;--ink:#e6e9ed;--muted:#98a2b0;--line:#2e343c;
--accent:#6aa2ff;--second:#f0a35e;--good:#43b581;--bad:#ff6b5e;--allowed:#43b58126}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;margin:10px 0 4px;line-height:1.25}h2{font-size:19px;margin:40px 0 8px}h3{font-size:15px;margin:0}
code{font:13px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.muted,small,.legend{color:var(--muted)}p{margin:4px 0}small{display:block;font-size:13px}
.pill{display:inline-block;padding:3px 14px;border-radius:99px;color:#fff;font-weight:600}
.pill.good{background:var(--good)}.pill.bad{background:var(--bad)}
@media(prefers-color-scheme:dark){.pill{color:#14171b}}
.badtext{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin-top:20px}
.tile,article,.sheet,.causes{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:14px 16px}.tile b{display:block;font-size:21px;line-height:1.3}.tile code{font-size:15px}
.tile span{color:var(--muted);font-size:13px}
.sheet{overflow-x:auto}table{border-collapse:collapse;width:100%}
th{font-size:13px;color:var(--muted);font-weight:600;text-align:left}th,td{padding:8px 12px;vertical-align:middle}
tbody tr{border-top:1px solid var(--line)}.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.nowrap{white-space:nowrap}tr.fails td:first-child{box-shadow:inset 3px 0 var(--bad)}
article{padding:16px 18px;margin:12px 0}.reasons{margin:8px 0;padding-left:18px}.reasons b{color:var(--bad)}
.strip{display:grid;grid-template-columns:repeat(8,1fr);gap:6px;margin:10px 0}.strip img{border-radius:6px;display:block;width:100%;height:auto}.strip p{grid-column:1/-1}
@media(max-width:800px){.strip{grid-template-columns:repeat(4,1fr)}}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(205px,1fr));gap:14px}
.causes{padding:10px 18px}.cause{display:grid;grid-template-columns:240px minmax(60px,180px) 34px 1fr;gap:14px;align-items:center;padding:5px 0}
.track{background:var(--line);border-radius:4px;height:10px}.track i{display:block;height:10px;border-radius:4px;background:var(--bad)}
.cause b{text-align:right;font-variant-numeric:tabular-nums}
tr.section th{padding-top:20px;color:var(--ink);font-size:14px;border-top:1px solid var(--line)}
@media(max-width:800px){main{padding:20px 14px 48px}.cause{grid-template-columns:1fr 90px 28px;gap:4px 10px}.cause small{grid-column:1/-1}
thead{display:none}table,tbody,tr.section th{display:block}tbody tr{display:flex;flex-wrap:wrap;align-items:center;gap:2px 14px;padding:10px 14px}
tr.section{padding-bottom:0}tr.section th{padding:14px 0 0;border:0}td{padding:0}td.name{flex-basis:100%}td.num{text-align:left;font-size:13px}
td.num::before{content:attr(data-label) " ";color:var(--muted)}td[data-label]:empty{display:none}
tr.fails td:first-child{box-shadow:none}tr.fails{box-shadow:inset 3px 0 var(--bad)}}
figure{margin:0;min-width:0}figcaption{font-size:13px;margin-bottom:2px}svg{display:block;max-width:100%}figure svg{width:100%}
svg text{font-size:10px;fill:var(--muted)}.axis{stroke:var(--line)}.bound{stroke:var(--bad);stroke-dasharray:3 3}
.allowed{fill:var(--allowed)}.bar{fill:var(--accent)}rect.bad{fill:var(--bad)}
polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}.curve0{stroke:var(--accent)}.curve1{stroke:var(--second);stroke-dasharray:5 3}
.dot0{fill:var(--accent)}.dot1{fill:var(--second)}
.legend{font-size:12px;margin-left:6px}.legend i{display:inline-block;width:12px;height:3px;margin:0 4px 3px 6px;border-radius:2px}
.key0{background:var(--accent)}.key1{background:var(--second)}
details{margin:12px 0}summary{cursor:pointer}
"""
