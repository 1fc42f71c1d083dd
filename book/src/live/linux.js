// The second of two backends: a Linux of its own in a worker of this page, for a reader without the local server. Its interface
// is that of the first one: see local.js. It has more:
//   offer: string                           what the button says that runs an experiment: nothing is loaded before that
//   offerShell: string                      what the button says that starts a shell
//   shell(hear, signal)                     a terminal: { type(text), ended }; `hear` gets what appears on it, and the promise
//                                           `ended` is kept when its shell exits
//   wrongAnswers: object                    for each exercise, how many wrong answers are `asked` about
//   questions(exercise): Promise<object>    what is asked: see asked.rs in crates/machine
//   offerTests(exercise): string            what the button says that runs the tests of a wrong answer
//   prove(exercise, question, signal)       as `run`: an event for each of the question's tests
//
// The folder `machine/` beside the book has the emulator and the state; machine.json says what is in it. Without it, or where
// the browser lacks something, there is no backend.

import { root } from './dom.js';
import { Refused } from './local.js';

const LIMIT = 120; // seconds that an experiment may take, unless machine.json says how many
const OUTPUT = 1 << 20; // characters that it may print
const NO_WORKER = 'its worker cannot be started';
const LOADED = 'workbook-machine';
const ASK = { cache: 'no-cache' }; // An old answer may name files that are no longer there.

/** The machine that is packed into a script, for pages that are opened from a file; else what machine.json says. */
async function described() {
    if (globalThis.workbookMachine) return globalThis.workbookMachine;
    const answer = await fetch(`${root}machine/machine.json`, ASK).catch(() => null);
    return answer?.ok && answer.headers.get('content-type')?.includes('json') ? answer.json() : null;
}

/** The Linux in this page, or null. */
export async function connect() {
    if (!['Worker', 'WebAssembly', 'DecompressionStream'].every((name) => name in globalThis)) return null;
    const machine = await described().catch(() => null);
    if (!machine) return null;
    const once = (bytes) => (bytes ? ` (${(bytes / 1e6).toFixed(1)} MB, once)` : '');
    const missing = () => (remembered() === named(machine) ? 0 : machine.bytes);
    const wrongAnswers = machine.exercises ?? {};
    const loaded = new Set();
    return {
        kernel: `Linux ${machine.kernel} in this page`,
        offer: `Run on a Linux in this page${once(missing())}`,
        progress: async () => ({ experiments: machine.experiments }),
        run: (experiment, prediction, signal) => run(machine, { line: lineOf(experiment, prediction) }, signal),
        wrongAnswers,
        questions: (exercise) => questions(wrongAnswers[exercise].file),
        offerTests: (exercise) => {
            const { program, bytes } = wrongAnswers[exercise];
            return `Run the tests on a Linux in this page${once(missing() + (loaded.has(program) ? 0 : bytes))}`;
        },
        prove: (exercise, { name, choices }, signal) => {
            const path = `/tmp/${name}`;
            const line = [path, ...choices.map(({ test }) => test)].join(' ');
            const { program } = wrongAnswers[exercise];
            loaded.add(program);
            return run(machine, { line, path, program }, signal);
        },
        offerShell: `Start a Linux in this page${once(missing() + (machine.strace?.bytes ?? 0))}`,
        shell: (hear, signal) => shell(machine, hear, signal),
    };
}

const lineOf = (experiment, prediction) =>
    `${experiment} --json-lines${/^[a-z]$/.test(prediction) ? ` --predict ${prediction}` : ''}`;

/** The names of the machine's files. They change with what is in them. */
const named = ({ library, wasm, state }) => [library, wasm, state].join();

/** Whose files this browser has loaded before. Private windows may refuse to say. */
function remembered(names) {
    try {
        if (names) localStorage.setItem(LOADED, names);
        return localStorage.getItem(LOADED);
    } catch {
        return null;
    }
}

/** What is asked about the wrong answers of an exercise, whose program has this name. */
async function questions(id) {
    const { asked } = globalThis.workbookMachine ?? {};
    if (asked) return asked(id);
    const answer = await fetch(`${root}machine/wrong-answers/${id}.json`, ASK).catch(() => null);
    if (!answer?.ok) throw new Refused('The wrong answers cannot be loaded.');
    return answer.json();
}

/** A worker that loads the machine, and a program that is put into it. */
async function start(machine, program) {
    const at = (name) => new URL(`machine/${name}`, root).href;
    const { packed } = globalThis.workbookMachine ?? {};
    if (packed) return packed(machine, program);
    // The emulator looks at the address of its worker: with these words it yields to other tasks by scheduler.postTask, where the
    // browser has that, and not by a worker of its own, whose messages do not come in Firefox.
    const worker = new Worker(new URL('linux-worker.js?use-scheduling-api', import.meta.url), { type: 'module' });
    worker.postMessage({
        library: at(machine.library), wasm: at(machine.wasm), state: at(machine.state), memory: machine.memory,
        program: program && at(program),
    });
    return worker;
}

/** The events of one program on a machine of its own. A `program` is put there first, at a `path`. */
async function* run(machine, { line, path, program }, signal) {
    yield { kind: 'progress', text: `Loading Linux ${machine.kernel} …` };
    const worker = await start(machine, program);
    const messages = mailbox(worker, signal);
    worker.postMessage({ line, path });
    const { limit = LIMIT } = machine;
    let [rest, printed, late] = ['', 0, null];
    try {
        for (;;) {
            const message = await messages.next();
            if (message.stopped) throw new DOMException('Stopped', 'AbortError');
            if (message.late) throw new Refused(`It was still running after ${limit} s, and was stopped.`);
            if (message.error || message.unloaded) throw refused(message);
            if (message.ready) {
                late = setTimeout(() => messages.put({ late: true }), limit * 1000);
                remembered(named(machine));
                yield { kind: 'progress', text: `Linux ${machine.kernel} runs it …` };
            } else if (message.text !== undefined) {
                printed += message.text.length;
                if (printed > OUTPUT) throw new Refused('It printed more than is shown, and was stopped.');
                const lines = (rest + message.text).split('\n');
                rest = lines.pop();
                yield* events(lines);
            } else if ('status' in message) {
                yield* events(rest ? [rest] : []);
                return;
            }
        }
    } finally {
        // Also when the reader of these events leaves: each run has a machine of its own, and none outlives it.
        clearTimeout(late);
        worker.terminate();
    }
}

/** The events in lines that an experiment printed. What is none is output, and lines of it that follow each other are one event. */
function* events(lines) {
    let output = [];
    for (const line of lines) {
        const event = parsed(line);
        if (!event) {
            output.push(line);
            continue;
        }
        if (output.length) yield { kind: 'output', text: output.join('\n') };
        output = [];
        yield event;
    }
    if (output.length) yield { kind: 'output', text: output.join('\n') };
}

function parsed(line) {
    try {
        const value = JSON.parse(line);
        return value?.kind ? value : null;
    } catch {
        return null; // a message of some program
    }
}

/** What the event of a worker's error says. One whose script has not arrived has no words. */
const trouble = ({ message }) => (message ? { error: message } : { unloaded: NO_WORKER });

/** Why nothing runs, for the reader. */
const refused = ({ error, unloaded }) => new Refused(unloaded
    ? `Linux cannot be loaded (${unloaded}). Are you online? If you are, load this page again: a newer book may have been published.`
    : `Linux does not run in this browser: ${error}`);

/** A worker's messages, one after the other, and the end that the signal makes. */
function mailbox(worker, signal) {
    const messages = [];
    let wake = null;
    const put = (message) => {
        messages.push(message);
        wake?.();
    };
    worker.addEventListener('message', ({ data }) => put(data));
    worker.addEventListener('error', (event) => put(trouble(event)));
    const stop = () => put({ stopped: true });
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
    const next = async () => {
        while (!messages.length) await new Promise((done) => (wake = done));
        return messages.shift();
    };
    return { put, next };
}

/** A shell on a machine of its own, with strace where the site has it, until the signal ends it. */
async function shell(machine, hear, signal) {
    const program = machine.strace?.program;
    const worker = await start(machine, program);
    let exited, fail;
    const ended = new Promise((done, failed) => ([exited, fail] = [done, failed]));
    const stop = () => {
        worker.terminate();
        fail(new DOMException('Stopped', 'AbortError'));
    };
    // From a file the machine's parts take seconds to load, and who listens to a signal that was sent hears nothing.
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    worker.addEventListener('error', (event) => fail(refused(trouble(event))));
    const ready = new Promise((done) => worker.addEventListener('message', ({ data }) => {
        if (data.ready) done();
        else if (data.console !== undefined) hear(data.console);
        else if ('status' in data) exited();
        else if (data.error || data.unloaded) fail(refused(data));
    }));
    await Promise.race([ready, ended]);
    remembered(named(machine));
    worker.postMessage({ line: 'shell', path: program && '/bin/strace' });
    return { type: (text) => worker.postMessage({ type: text }), ended };
}
