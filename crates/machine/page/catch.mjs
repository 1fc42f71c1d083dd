// node catch.mjs V86 STATE LIST: run the tests that the list names on each wrong answer, in a machine of its own, and print a
// line of JSON for each. The list is a JSON file: [{ name, file, tests }].
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { MEMORY, emulator } from './emulator.mjs';
import { Machine } from './machine.mjs';

const [folder, state, list] = process.argv.slice(2);
const LIMIT = 60; // seconds

const { V86, wasm } = await emulator(folder);
const saved = gunzipSync(readFileSync(state));

async function run({ name, file, tests }) {
    const began = performance.now();
    const bytes = [];
    // A copy for each machine, which takes parts of it as its memory.
    const copy = saved.buffer.slice(saved.byteOffset, saved.byteOffset + saved.byteLength);
    const machine = await Machine.resume(V86, wasm, copy, MEMORY);
    await machine.put(`/tmp/${name}`, readFileSync(file));
    let timer;
    const late = new Promise((done) => {
        timer = setTimeout(() => done(null), LIMIT * 1000);
    });
    const ended = machine.run([`/tmp/${name}`, ...tests].join(' '), (byte) => bytes.push(byte));
    const status = await Promise.race([ended, late]);
    clearTimeout(timer);
    await machine.v86.destroy();
    const text = new TextDecoder().decode(Uint8Array.from(bytes));
    return { name, status, text, seconds: (performance.now() - began) / 1000 };
}

for (const asked of JSON.parse(readFileSync(list))) process.stdout.write(`${JSON.stringify(await run(asked))}\n`);
process.exit(0);
