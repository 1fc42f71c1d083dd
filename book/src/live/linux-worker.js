// The worker in which the machine runs, so that the page can be used meanwhile. It has one machine, and ends with it.
//
//   in   { library, wasm, state, memory, program }
//                                           addresses of the emulator, of the state, and of a program, packed or not
//        { line, path }                     puts the program there, if there is a path, and runs the line
//        { type }                           types it into the terminal
//   out  { ready }                          true, once the machine runs
//        { text }                           what the program printed
//        { status }                         the program, or the shell, has exited
//        { console }                        what appeared on the terminal
//        { unloaded }                       which file has not arrived, and why
//        { error }                          why nothing runs, if not that

import { Machine } from './machine.js';

const BATCH = 20; // ms for which output is collected
const MOST = 1 << 14; // bytes of it that are passed on together

/** Waits for the page's messages. `unpack` gives the emulator's class, its WebAssembly and the state, and `load` a program. */
export function serve(unpack, load) {
    let [machine, program] = [null, null];
    const say = batches((text) => postMessage({ console: text }));
    const heard = batches((text) => postMessage({ text }));
    const act = async (data) => {
        if (data.type !== undefined) (await machine).type(data.type);
        else if (data.line !== undefined) {
            if (data.path) await (await machine).put(data.path, new Uint8Array(await program));
            const status = await (await machine).run(data.line, heard.add);
            heard.flush();
            postMessage({ status });
        } else {
            program = data.program && load(data.program);
            machine = unpack(data).then(({ V86, wasm, state }) => {
                const instance = async (imports) => (await WebAssembly.instantiate(wasm, imports)).instance.exports;
                return Machine.resume(V86, instance, state, data.memory, say.add);
            });
            await machine;
            postMessage({ ready: true });
        }
    };
    const why = (error) => (error instanceof Unloaded ? { unloaded: error.message } : { error: String(error) });
    onmessage = ({ data }) => act(data).catch((error) => postMessage(why(error)));
}

/** Bytes that gzip has packed, unpacked; others as they are. The emulator unpacks a state of zstd itself. */
export async function unpacked(bytes) {
    const [first, second] = new Uint8Array(bytes, 0, 2);
    if (first !== 0x1f || second !== 0x8b) return bytes;
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}

class Unloaded extends Error {}

/**
 * Fetches an address. The file's name changes with what is in it, so that the browser need not ask again. But the connection can
 * break, and the browser can have kept a part of the file, or the answer that there is none: then the server is asked once more.
 */
async function fetched(address) {
    const get = async (cache) => {
        const response = await fetch(address, { cache });
        if (!response.ok) throw new Error(`the server answers ${response.status}`);
        return unpacked(await response.arrayBuffer());
    };
    try {
        return await get('force-cache').catch(() => get('reload'));
    } catch (error) {
        throw new Unloaded(`${address.split('/').pop()}: ${error.message}`);
    }
}

/** A module from its source. */
const imported = (source) => import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));

/** Collects bytes, and passes them on as text, many together but never so many that the page would be busy with them. */
function batches(pass) {
    const decoder = new TextDecoder();
    const bytes = new Uint8Array(MOST);
    let [length, timer] = [0, null];
    const flush = () => {
        clearTimeout(timer);
        timer = null;
        if (length) pass(decoder.decode(bytes.subarray(0, length), { stream: true }));
        length = 0;
    };
    const add = (byte) => {
        bytes[length++] = byte;
        if (length === MOST) flush();
        else timer ??= setTimeout(flush, BATCH);
    };
    return { add, flush };
}

// Where pages are opened from a file, the script that has all of this in it calls `serve` itself.
if (import.meta.url) {
    serve(async ({ library, wasm, state }) => {
        const parts = await Promise.all([fetched(library).then(imported), fetched(wasm), fetched(state)]);
        return { V86: parts[0].V86, wasm: parts[1], state: parts[2] };
    }, fetched);
}
