// node pack.mjs MACHINE BOOK: puts the machine into a built book, below `machine/`, in two forms.
//
// A server sends the emulator, its WebAssembly and the state as they are needed. A page that was opened from a file may neither
// fetch nor start a worker from a file, but it may load scripts, and start a worker from a Blob. So for such pages all of it is
// in two scripts: `live.js` has the modules of the pages, and `packed.js`, which is loaded when the reader presses Run, has the
// machine.
//
// What a server sends and a browser keeps has a part of its digest in its name, so that a browser that has an old one fetches
// the new one.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const [machine, book] = process.argv.slice(2);
// The package is below target/, not beside this file.
const { build } = createRequire(pathToFileURL(`${process.env.PACKAGES}/package.json`))('esbuild');
const here = fileURLToPath(new URL('.', import.meta.url));
const into = `${book}/machine`;

rmSync(into, { recursive: true, force: true });
cpSync(machine, into, { recursive: true });

const digestOf = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex').slice(0, 12);

/** Writes a file in place of another one, and gives its name: `state.zst` becomes `state-0123456789ab.zst`. */
function instead(old, name, content) {
    const digest = digestOf(content);
    const named = name.replace('.', `-${digest}.`);
    rmSync(`${into}/${old}`);
    writeFileSync(`${into}/${named}`, content);
    return named;
}

/** The state in fewer bytes than gzip makes of it, where this machine has zstd. The emulator unpacks both. */
function smaller(state) {
    const zstd = spawnSync('zstd', ['--quiet', '--ultra', '-22', '--stdout'], { input: gunzipSync(state), maxBuffer: 1 << 28 });
    return zstd.status === 0 ? ['state.zst', zstd.stdout] : ['state.gz', state];
}

/** WebAssembly without its custom sections, which have names and notes for a debugger, and a tenth of a megabyte. */
function stripped(wasm) {
    const parts = [wasm.subarray(0, 8)];
    for (let at = 8; at < wasm.length; ) {
        let [length, shift, end] = [0, 0, at + 1];
        do length |= (wasm[end] & 127) << shift, shift += 7;
        while (wasm[end++] & 128);
        if (wasm[at] !== 0) parts.push(wasm.subarray(at, end + length));
        at = end + length;
    }
    return Buffer.concat(parts);
}

const read = (name) => readFileSync(`${into}/${name}`);
const zipped = (name, bytes = read(name)) => instead(name, `${name}.gz`, gzipSync(bytes, { level: 9 }));
const described = JSON.parse(read('machine.json'));
Object.assign(described, { library: zipped('libv86.mjs'), wasm: zipped('v86.wasm', stripped(read('v86.wasm'))) });
described.state = instead(described.state, ...smaller(read(described.state)));
for (const exercise of Object.values(described.exercises ?? {})) {
    exercise.program = zipped(`wrong-answers/${exercise.file}`);
    exercise.bytes = read(exercise.program).length;
}
if (described.strace) {
    const program = zipped(described.strace);
    described.strace = { program, bytes: read(program).length };
}
described.bytes = [described.library, described.wasm, described.state].reduce((sum, name) => sum + read(name).length, 0);
writeFileSync(`${into}/machine.json`, JSON.stringify(described));

const options = {
    bundle: true, format: 'iife', charset: 'utf8', legalComments: 'eof', write: false, logLevel: 'error',
    alias: { 'the-book': `${book}/live`, 'the-machine': machine },
};
const bundled = async (entry, more) => (await build({ ...options, entryPoints: [here + entry], ...more })).outputFiles[0].text;
writeFileSync(`${into}/live.js`, await bundled('file-page.js', {
    define: { 'import.meta.url': 'workbookHere' }, banner: { js: 'var workbookHere = document.currentScript.src;' },
}));
// Where there is no module, there is no address of it; that is what its code asks for.
const worker = await bundled('file-worker.js', {
    // A Blob's address cannot have the words that `linux.js` adds to the worker's.
    minify: true, define: { 'import.meta.url': 'undefined', 'location.href': '"use-scheduling-api"' },
    // What the emulator asks for under node, and only there.
    external: ['crypto', 'node:crypto', 'fs', 'node:fs/promises', 'perf_hooks'],
});
const text = (name) => read(name).toString('base64');
const packed = { worker, wasm: text(described.wasm), state: text(described.state) };
writeFileSync(`${into}/packed.js`, `globalThis.workbookPacked = ${JSON.stringify(packed)};\n`);
// The same for strace, which the shell loads.
const packedProgram = (name) => `(globalThis.workbookPrograms ??= {})['${name}'] = ${JSON.stringify(text(name))};\n`;
if (described.strace) writeFileSync(`${into}/strace.js`, packedProgram(described.strace.program));
// The same for the wrong answers of an exercise, and for what is asked about them.
for (const { file, program } of Object.values(described.exercises ?? {})) {
    const asked = readFileSync(`${into}/wrong-answers/${file}.json`, 'utf8');
    const script = `(globalThis.workbookWrongAnswers ??= {})['${file}'] = ${asked};\n${packedProgram(program)}`;
    writeFileSync(`${into}/wrong-answers/${file}.js`, script);
}
// A browser keeps the pages' modules for some minutes, too, and each of them by itself. So that one of an older book never meets one
// of this, their folder has a digest in its name, and so has the script that imports from it.
const modules = readdirSync(`${book}/live`).sort();
const folder = `live-${digestOf(...modules.flatMap((name) => [name, readFileSync(`${book}/live/${name}`)]))}`;
renameSync(`${book}/live`, `${book}/${folder}`);
const script = readdirSync(`${book}/theme`).find((name) => /^live-\w+\.js$/.test(name));
const imports = readFileSync(`${book}/theme/${script}`, 'utf8').replace("'live/page.js'", `'${folder}/page.js'`);
const named = `live-${digestOf(imports)}.js`;
rmSync(`${book}/theme/${script}`);
writeFileSync(`${book}/theme/${named}`, imports);
for (const page of readdirSync(book, { recursive: true }).filter((name) => name.endsWith('.html'))) {
    writeFileSync(`${book}/${page}`, readFileSync(`${book}/${page}`, 'utf8').replaceAll(`theme/${script}`, `theme/${named}`));
}
console.log(`${into}: ${(described.bytes / 1e6).toFixed(2)} MB are fetched for the first run`);
