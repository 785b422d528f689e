// Bundles src/ into dist/: index.html and assets/ whose names carry a hash of their content.
import { build } from "esbuild";
import { readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";

await rm("dist", { recursive: true, force: true });
const result = await build({
  entryPoints: ["src/main.js", "src/style.css"],
  bundle: true,
  minify: true,
  format: "esm",
  splitting: true,
  target: "es2022",
  entryNames: "assets/[name]-[hash]",
  chunkNames: "assets/[name]-[hash]",
  outdir: "dist",
  metafile: true,
  legalComments: "linked",
  logLevel: "warning",
});

let page = await readFile("src/index.html", "utf8");
for (const [path, output] of Object.entries(result.metafile.outputs)) {
  if (output.entryPoint) page = page.replace(`/${basename(output.entryPoint)}"`, `/assets/${basename(path)}"`);
  if (output.entryPoint !== "src/main.js") continue;
  // What the page needs at once is fetched at once, not only when the browser has read its first script.
  const needed = output.imports.filter(({ kind }) => kind === "import-statement");
  const links = needed.map((chunk) => `<link rel="modulepreload" href="/assets/${basename(chunk.path)}">\n    `);
  page = page.replace("<script ", `${links.join("")}<script `);
}
await writeFile("dist/index.html", page);
const bytes = Object.values(result.metafile.outputs).reduce((sum, output) => sum + output.bytes, page.length);
console.log(`dist: ${Math.round(bytes / 1024)} kB`);
