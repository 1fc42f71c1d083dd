// v86 under node: the class, an instance of its WebAssembly, and files as it wants them.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** The memory of the machine, in MiB: it can be resumed only with as much as it was saved with. */
export const MEMORY = 64;

/** The emulator of this folder. */
export async function emulator(folder) {
    const { V86 } = await import(pathToFileURL(`${folder}/libv86.mjs`).href);
    const module = await WebAssembly.compile(readFileSync(`${folder}/v86.wasm`));
    return { V86, wasm: async (imports) => (await WebAssembly.instantiate(module, imports)).exports };
}

/** A file that v86 reads from memory. */
export const file = (path) => ({ buffer: new Uint8Array(readFileSync(path)).buffer });
