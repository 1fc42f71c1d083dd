// node strace.mjs V86 STATE STRACE: put strace into a machine, as the page's shell does, and print what it says of a program.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { MEMORY, emulator } from './emulator.mjs';
import { Machine } from './machine.mjs';

const [folder, state, strace] = process.argv.slice(2);
const LIMIT = 60; // seconds

setTimeout(() => {
    console.error(`strace did not end within ${LIMIT} s`);
    process.exit(1);
}, LIMIT * 1000);
const { V86, wasm } = await emulator(folder);
const saved = gunzipSync(readFileSync(state));
const copy = saved.buffer.slice(saved.byteOffset, saved.byteOffset + saved.byteLength);
const machine = await Machine.resume(V86, wasm, copy, MEMORY);
const bytes = [];
await machine.put('/bin/strace', readFileSync(strace));
const status = await machine.run('/bin/strace /bin/true', (byte) => bytes.push(byte));
console.log(new TextDecoder().decode(Uint8Array.from(bytes)));
process.exit(status);
