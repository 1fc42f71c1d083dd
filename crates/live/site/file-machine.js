// Where `linux.js` finds the machine if the page was opened from a file.

import { root } from 'the-book/dom.js';
import machine from 'the-book/../machine/machine.json';

let loaded = null;

/** Loads a script, once. */
const load = (address) => (loaded ??= new Promise((done, fail) => {
    const script = document.createElement('script');
    Object.assign(script, { src: address, onload: done, onerror: () => fail(new Error(`${address} cannot be loaded`)) });
    document.head.append(script);
}));

/** A worker, with the machine's parts on their way to it. */
async function packed() {
    await load(`${root}machine/packed.js`);
    const { worker: source, wasm, state } = globalThis.workbookPacked;
    const address = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    const worker = new Worker(address);
    worker.postMessage({ wasm, state, memory: machine.memory });
    return worker;
}

globalThis.workbookMachine = { ...machine, packed };
