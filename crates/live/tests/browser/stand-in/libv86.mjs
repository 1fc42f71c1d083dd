// In place of the emulator and its Linux: what the pages see of them, and what a real one seldom does. It answers at once, never
// ends, floods, or dies; which of these, the name of the experiment says.

const encode = (text) => new TextEncoder().encode(text);
const said = (...lines) => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

const AGREES = said(
    { kind: 'note', at_us: 0, who: 'parent', by: 'parent', event: 'note', text: 'it begins' },
    { kind: 'note', at_us: 1, who: 'child', by: 'parent', event: 'born', text: 'fork' },
    { kind: 'note', at_us: 2, who: 'child', by: 'child', event: 'end', text: 'exits with status 0' },
    { kind: 'verdict', agrees: true, answer: 'c', book: 'c', text: 'What it shows.', why_not: { a: 'It is not.' }, facts: [] },
    { kind: 'end', status: 0, cut: false },
);

const FAILED = said(
    { kind: 'verdict', agrees: false, answer: null, text: 'it was killed', reason: 'it was killed', skipped: null },
    { kind: 'end', status: null, cut: false },
);

// Where the stand-in's file is put.
const PROGRAM = ['', 'tmp', 'cloexec-flags-one'].join('/');
// The pages of memory in which the stand-in's file is, in an order of its own.
const FRAMES = [0x1f, 0x7, 0x20];
// What the shell has more, in as many pages.
const STRACE = '/bin/strace';

export class V86 {
    #listeners = new Map();
    #memory = new Map();
    #shell = '';
    #put = '';

    #instructions = 0;

    constructor({ wasm_fn, memory_size, uart1, disable_jit }) {
        if (memory_size !== 64 << 20 || !uart1) throw new Error('these are not the options of the state');
        if (!disable_jit) throw new Error('a machine begins to interpret');
        wasm_fn({}).then(() => this.#emit('emulator-loaded'));
    }

    add_listener(name, listener) {
        this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
    }

    // It is busy as soon as it is asked twice.
    get_instruction_counter() {
        this.#instructions += 2e8;
        return this.#instructions;
    }

    v86 = {
        cpu: {
            set_jit_config: (...config) => {
                if (config.join() !== '0,0') throw new Error(`${config} does not let it compile`);
            },
        },
    };

    async restore_state(state) {
        // The emulator itself unpacks what zstd has packed, which begins with this number.
        const packed = new DataView(state).getUint32(0, true) === 0xfd2fb528;
        if (!packed && new TextDecoder().decode(state) !== 'the state of the stand-in') throw new Error('this is not the state');
    }

    async run() {
        this.#print(1, '\x05\n'); // as the first process does before the first line
    }

    serial_send_bytes(port, bytes) {
        const text = new TextDecoder().decode(bytes);
        setTimeout(() => (port === 0 ? this.#terminal(text) : this.#program(text.trim().split(' '))));
    }

    #program([name, ...args]) {
        const end = (status) => this.#print(1, `\x04${status}\n\x05\n`);
        if (name === 'clock' && Math.abs(args[0] - Date.now() / 1000) > 60) throw new Error('this is not the time of day');
        if (name === 'clock') return end(0);
        if (name === 'shell') {
            // It ends with the shell.
            return this.#print(0, this.#put === STRACE && this.#memory.size === FRAMES.length ? 'with strace # ' : '# ');
        }
        if (name === 'put') {
            this.#put = args[0];
            if (![PROGRAM, STRACE].includes(this.#put) || Math.ceil(args[1] / 4096) !== FRAMES.length) return end(1);
            this.#print(1, FRAMES.map((frame) => `${frame.toString(16)}\n`).join(''));
            return end(0);
        }
        if (name === PROGRAM) {
            const program = FRAMES.map((frame) => this.#memory.get(frame * 4096) ?? 'nothing').join('');
            if (!/^a{4096}b{4096}c{100}$/.test(program)) throw new Error('this is not the program');
            this.#print(1, 'a word of a child\n' + said(...args.map((test) => ({ kind: 'test', test, said: test === 'b_fails' ? 'it is `wrong`' : null }))));
            return end(0);
        }
        if (['fd-vanishes', 'port-stays-taken'].includes(name)) {
            this.#print(1, AGREES);
            return end(0);
        }
        if (name === 'dup-clears') return this.#print(1, AGREES.split('\n', 1)[0] + '\n'); // and no more
        if (name === 'merged-signals') return this.#print(1, 'x'.repeat(1100) + '\n' + ('y'.repeat(1023) + '\n').repeat(1024));
        if (name === 'broken-pipe') return this.#print(1, 'Killed\n') || end(137);
        if (name === 'pipe-buf') return this.#print(1, FAILED) || end(1);
        throw new Error(`no program is called ${name}`);
    }

    write_memory(bytes, address) {
        this.#memory.set(address, new TextDecoder().decode(bytes));
    }

    #terminal(text) {
        for (const key of text) {
            if (key === '\x04') this.#print(1, '\x040\n\x05\n');
            else if (key === '\x03') this.#print(0, '^C\r\n# ');
            else if (key === '\n') {
                this.#print(0, `\r\n\x1b[1mran ${this.#shell}\x1b[0m\r\n# `);
                this.#shell = '';
            } else {
                this.#print(0, key);
                this.#shell += key;
            }
        }
    }

    #print(port, text) {
        for (const byte of encode(text)) this.#emit(`serial${port}-output-byte`, byte);
    }

    #emit(name, value) {
        for (const listener of this.#listeners.get(name) ?? []) listener(value);
    }
}
