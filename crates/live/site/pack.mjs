// node pack.mjs MACHINE BOOK: puts the machine into a built book, below `machine/`, in two forms.
//
// A server sends the emulator, its WebAssembly and the state as they are needed. A page that was opened from a file may neither
// fetch nor start a worker from a file, but it may load scripts, and start a worker from a Blob. So for such pages all of it is
// in two scripts: `live.js` has the modules of the pages, and `packed.js`, which is loaded when the reader presses Run, has the
// machine.

import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const [machine, book] = process.argv.slice(2);
// The package is below target/, not beside this file.
const { build } = createRequire(pathToFileURL(`${process.env.PACKAGES}/package.json`))('esbuild');
const here = fileURLToPath(new URL('.', import.meta.url));
const into = `${book}/machine`;

rmSync(into, { recursive: true, force: true });
mkdirSync(into);
cpSync(machine, into, { recursive: true });

const described = JSON.parse(readFileSync(`${machine}/machine.json`, 'utf8'));
Object.assign(described, { library: 'libv86.mjs', wasm: 'v86.wasm.gz' });
writeFileSync(`${into}/${described.wasm}`, gzipSync(readFileSync(`${machine}/v86.wasm`), { level: 9 }));
rmSync(`${into}/v86.wasm`);
described.bytes = [described.library, described.wasm, described.state.file].reduce((sum, name) => sum + statSync(`${into}/${name}`).size, 0);
writeFileSync(`${into}/machine.json`, JSON.stringify(described));

const options = {
    bundle: true, format: 'iife', charset: 'utf8', legalComments: 'eof', write: false, logLevel: 'error',
    alias: { 'the-book': `${book}/live`, 'the-machine': into },
};
const bundled = async (entry, more) => (await build({ ...options, entryPoints: [here + entry], ...more })).outputFiles[0].text;
writeFileSync(`${into}/live.js`, await bundled('file-page.js', {
    define: { 'import.meta.url': 'workbookHere' }, banner: { js: 'var workbookHere = document.currentScript.src;' },
}));
// Where there is no module, there is no address of it; that is what its code asks for.
const worker = await bundled('file-worker.js', { minify: true, define: { 'import.meta.url': 'undefined' } });
const text = (name) => readFileSync(`${into}/${name}`).toString('base64');
const packed = { worker, wasm: text(described.wasm), state: text(described.state.file) };
writeFileSync(`${into}/packed.js`, `globalThis.workbookPacked = ${JSON.stringify(packed)};\n`);

// What is packed can be unpacked; a page would say so only to its reader.
for (const name of [described.wasm, described.state.file]) gunzipSync(readFileSync(`${into}/${name}`));
console.log(`${into}: ${(described.bytes / 1e6).toFixed(2)} MB are fetched for the first run`);
