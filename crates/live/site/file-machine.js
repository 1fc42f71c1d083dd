// Where `linux.js` finds the machine if the page was opened from a file.

import { root } from 'the-book/dom.js';
import machine from 'the-book/../machine/machine.json';

const loaded = new Map();

/** Loads a script, once. */
function load(address) {
    if (!loaded.has(address)) {
        loaded.set(address, new Promise((done, fail) => {
            const script = document.createElement('script');
            Object.assign(script, { src: address, onload: done, onerror: () => fail(new Error(`${address} cannot be loaded`)) });
            document.head.append(script);
        }));
    }
    return loaded.get(address);
}

/** What is asked about the wrong answers of an exercise. Their program is in the same script. */
async function asked(id) {
    await load(`${root}machine/wrong-answers/${id}.js`);
    return globalThis.workbookWrongAnswers[id];
}

/** A worker, with the machine's parts on their way to it, and a program: strace, or one that `asked` has loaded. */
async function packed(machine, program) {
    await load(`${root}machine/packed.js`);
    if (program && program === machine.strace?.program) await load(`${root}machine/strace.js`);
    const { worker: source, wasm, state } = globalThis.workbookPacked;
    const address = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    const worker = new Worker(address);
    worker.postMessage({ wasm, state, memory: machine.memory, program: program && globalThis.workbookPrograms[program] });
    return worker;
}

globalThis.workbookMachine = { ...machine, packed, asked };
