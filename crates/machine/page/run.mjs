// node run.mjs V86 STATE LIST: run programs in the machine, each in one of its own, and print a line of JSON for each. LIST is JSON:
// [{ name, line, put }], where `line` is what runs, and `put` is null or { path, file }, a file of ours that is put there before.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { MEMORY, emulator } from './emulator.mjs';
import { Machine } from './machine.mjs';

const [folder, state, list] = process.argv.slice(2);
const LIMIT = 120; // seconds

const { V86, wasm } = await emulator(folder);
const saved = gunzipSync(readFileSync(state));

async function run({ name, line, put }) {
    const began = performance.now();
    const bytes = [];
    // A copy for each machine, which takes parts of it as its memory.
    const copy = saved.buffer.slice(saved.byteOffset, saved.byteOffset + saved.byteLength);
    const machine = await Machine.resume(V86, wasm, copy, MEMORY);
    if (put) await machine.put(put.path, readFileSync(put.file));
    let timer;
    const late = new Promise((done) => {
        timer = setTimeout(() => done(null), LIMIT * 1000);
    });
    const status = await Promise.race([machine.run(line, (byte) => bytes.push(byte)), late]);
    clearTimeout(timer);
    await machine.v86.destroy();
    const text = new TextDecoder().decode(Uint8Array.from(bytes));
    return { name, status, text, seconds: (performance.now() - began) / 1000 };
}

for (const wanted of JSON.parse(list)) process.stdout.write(`${JSON.stringify(await run(wanted))}\n`);
process.exit(0);
