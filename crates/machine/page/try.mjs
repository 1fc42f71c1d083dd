// node try.mjs V86 STATE TIMES EXPERIMENT...: run each in machines of its own, and print a line of JSON for each run.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { MEMORY, emulator } from './emulator.mjs';
import { Machine } from './machine.mjs';

const [folder, state, times, ...names] = process.argv.slice(2);
const LIMIT = 120; // seconds

const { V86, wasm } = await emulator(folder);
const saved = gunzipSync(readFileSync(state));

async function run(name) {
    const began = performance.now();
    const bytes = [];
    // A copy for each machine, which takes parts of it as its memory.
    const copy = saved.buffer.slice(saved.byteOffset, saved.byteOffset + saved.byteLength);
    const machine = await Machine.resume(V86, wasm, copy, MEMORY);
    let timer;
    const late = new Promise((done) => {
        timer = setTimeout(() => done(null), LIMIT * 1000);
    });
    const status = await Promise.race([machine.run(`${name} --plain`, (byte) => bytes.push(byte)), late]);
    clearTimeout(timer);
    await machine.v86.destroy();
    const text = new TextDecoder().decode(Uint8Array.from(bytes));
    return { name, status, text, seconds: (performance.now() - began) / 1000 };
}

for (const name of names) {
    for (let i = 0; i < Number(times); i++) process.stdout.write(`${JSON.stringify(await run(name))}\n`);
}
process.exit(0);
