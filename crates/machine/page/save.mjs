// node save.mjs V86 BIOS KERNEL EXPERIMENT STATE: boot, run an experiment once, and save the machine, packed by gzip.
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { file, images } from "./images.mjs";
import { COMMAND_LINE, Machine } from "./machine.mjs";

const [v86, bios, kernel, experiment, state] = process.argv.slice(2);
// A kernel that does not start says why on its console, and nothing more.
const log = byte => process.stderr.write(String.fromCharCode(byte));
const limit = setTimeout(() => { console.error("the machine did not start within 10 minutes"); process.exit(1); }, 600_000);
// The kernel clears what is freed, so that memory which is not used packs to nothing.
const machine = await Machine.boot({
    ...await images(v86, bios), bzimage: file(kernel), command_line: COMMAND_LINE + " init_on_free=1", log,
});
console.log("booted");
// Once, so that the program is in memory.
const { status } = await machine.run(experiment + " --plain");
if (status !== 0) { console.error(`${experiment} exited with ${status}`); process.exit(1); }
writeFileSync(state, gzipSync(new Uint8Array(await machine.save()), { level: 9 }));
clearTimeout(limit);
process.exit(0);
