// node save.mjs V86 BIOS KERNEL EXPERIMENT STATE: boot, run an experiment once, and save the machine, packed by gzip.
import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { MEMORY, emulator, file } from './emulator.mjs';
import { Machine, machineOptions } from './machine.mjs';

const [folder, bios, kernel, experiment, state] = process.argv.slice(2);
const LIMIT = 600; // seconds

// v86's time stamp counter ticks once a nanosecond, so the kernel need not measure it. The kernel clears what is freed, so
// that memory which is not used packs to nothing.
const COMMAND_LINE = 'console=ttyS0 quiet loglevel=4 panic=-1 tsc=reliable tsc_early_khz=1000000 lpj=5000000 '
    + 'random.trust_cpu=on nokaslr init_on_free=1';

const fail = (why) => {
    console.error(why);
    process.exit(1);
};
setTimeout(() => fail(`the machine was not ready within ${LIMIT} s`), LIMIT * 1000);
const { V86, wasm } = await emulator(folder);
const v86 = new V86({
    ...machineOptions(MEMORY), wasm_fn: wasm, cmdline: COMMAND_LINE, fastboot: true,
    bios: file(`${bios}/bios.bin`), vga_bios: file(`${bios}/vgabios-stdvga.bin`), bzimage: file(kernel),
});
// A kernel that does not start says why on its console, and nowhere else.
const machine = new Machine(v86, (byte) => process.stderr.write(String.fromCharCode(byte)));
const ready = new Promise((done) => {
    v86.add_listener('serial1-output-byte', (byte) => byte === 5 && done());
});
await new Promise((done) => v86.add_listener('emulator-loaded', done));
await v86.run();
await ready;
console.log('booted');
// Once, so that the program is in memory.
const printed = [];
const status = await machine.run(`${experiment} --plain`, (byte) => printed.push(byte));
if (status !== 0) fail(`${experiment} exited with ${status}:\n${new TextDecoder().decode(Uint8Array.from(printed))}`);
await v86.stop();
writeFileSync(state, gzipSync(new Uint8Array(await v86.save_state()), { level: 9 }));
process.exit(0);
