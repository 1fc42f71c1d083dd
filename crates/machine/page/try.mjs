// node try.mjs V86 STATE TIMES EXPERIMENT...: run each in machines of its own, and print a line of JSON for each run.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { images } from "./images.mjs";
import { Machine } from "./machine.mjs";

const [v86, state, times, ...names] = process.argv.slice(2);
const LIMIT = 120_000;
const parts = await images(v86);
const saved = gunzipSync(readFileSync(state));
// A copy for each machine: v86 takes parts of it as its memory.
const copy = () => saved.buffer.slice(saved.byteOffset, saved.byteOffset + saved.byteLength);

async function run(name) {
    const began = performance.now();
    let limit, text = "";
    const late = new Promise(done => { limit = setTimeout(() => done({ status: null }), LIMIT); });
    const machine = await Machine.resume({ ...parts, state: copy() });
    const end = await Promise.race([machine.run(name + " --plain", more => { text += more; }), late]);
    clearTimeout(limit);
    await machine.end();
    return { name, status: end.status, text, seconds: (performance.now() - began) / 1000 };
}

for (const name of names) {
    for (let i = 0; i < Number(times); i++) process.stdout.write(JSON.stringify(await run(name)) + "\n");
}
process.exit(0);
