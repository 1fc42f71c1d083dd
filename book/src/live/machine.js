// A Linux machine on v86, a PC in WebAssembly: resumed from a saved state, it runs programs, and has a terminal.
//
// Its first process reads lines from the second serial port: the name of a program, and arguments without spaces. What the
// program prints comes back on that port, then 0x04 and the exit status, then 0x05: ready for the next line. The line `clock
// SECONDS` sets the time of day, because a machine wakes up at the time when it was saved. The first serial port is the
// console, on which the line `shell` runs a shell until it exits.

const [STATUS, READY] = [0x04, 0x05];
const PAGE = 4096; // bytes

// v86 compiles code of the machine that has run often. An experiment runs most of its code a few times, so that compiling takes
// twice as long as interpreting saves. Only a machine that has much to do compiles.
const INTERPRETED = 1e8; // instructions before that
const LOOK = 100; // ms between two looks at how many there were

/** What v86 is told of the machine. A state belongs to these options, so the state is made with them, too. */
export const machineOptions = (megabytes) => ({
    memory_size: megabytes << 20,
    vga_memory_size: 1 << 20,
    uart1: true,
    autostart: false,
    disable_speaker: true,
    disable_keyboard: true,
    disable_mouse: true,
    net_device: { type: 'none' },
});

/** A running machine. */
export class Machine {
    #running = null; // who waits for a program: { hear, done, status }

    /**
     * @param {object} v86 an emulator, with its state restored
     * @param {(byte: number) => void} console called with each byte that appears on the machine's terminal
     */
    constructor(v86, console = () => {}) {
        this.v86 = v86;
        v86.add_listener('serial0-output-byte', console);
        v86.add_listener('serial1-output-byte', (byte) => this.#take(byte));
    }

    /**
     * Makes a machine go on where its state was saved, at the present time of day.
     * @param {Function} V86 the emulator
     * @param {(imports: object) => Promise<object>} wasm makes an instance of the emulator's WebAssembly
     * @param {ArrayBuffer} state @param {number} megabytes
     */
    static async resume(V86, wasm, state, megabytes, console) {
        const v86 = new V86({ ...machineOptions(megabytes), wasm_fn: wasm, disable_jit: true });
        await new Promise((done) => v86.add_listener('emulator-loaded', done));
        await v86.restore_state(state);
        compileLater(v86);
        const machine = new Machine(v86, console);
        await v86.run();
        await machine.run(`clock ${Math.floor(Date.now() / 1000)}`);
        return machine;
    }

    /**
     * Runs a line, one at a time, and resolves to the program's exit status.
     * @param {string} line @param {(byte: number) => void} hear called with each byte that it prints
     * @returns {Promise<number>}
     */
    run(line, hear = () => {}) {
        return new Promise((done) => {
            this.#running = { hear, done, status: null };
            this.v86.serial_send_bytes(1, new TextEncoder().encode(`${line}\n`));
        });
    }

    /**
     * Puts a program into the machine's memory: the first process makes a file, and says in which pages it is.
     * @param {string} path @param {Uint8Array} bytes
     */
    async put(path, bytes) {
        const said = [];
        const status = await this.run(`put ${path} ${bytes.length}`, (byte) => said.push(byte));
        const frames = new TextDecoder().decode(Uint8Array.from(said)).trim().split('\n');
        if (status !== 0) throw new Error(frames.join(' '));
        frames.forEach((frame, page) => {
            this.v86.write_memory(bytes.subarray(page * PAGE, (page + 1) * PAGE), Number.parseInt(frame, 16) * PAGE);
        });
    }

    /** Types into the machine's terminal. */
    type(text) {
        this.v86.serial_send_bytes(0, new TextEncoder().encode(text));
    }

    #take(byte) {
        const running = this.#running;
        if (!running) return;
        if (byte === READY) {
            // The one before the first line was sent has no status before it.
            if (running.status === null) return;
            this.#running = null;
            running.done(Number.parseInt(running.status, 10));
        } else if (byte === STATUS) running.status = '';
        else if (running.status !== null) running.status += String.fromCharCode(byte);
        else running.hear(byte);
    }
}

/** Lets the emulator compile once the machine has interpreted enough. */
function compileLater(v86) {
    const first = v86.get_instruction_counter();
    const timer = setInterval(() => {
        if (v86.get_instruction_counter() - first >>> 0 < INTERPRETED) return;
        clearInterval(timer);
        v86.v86.cpu.set_jit_config(0, 0); // what `disable_jit` has set to 1
    }, LOOK);
    v86.add_listener('emulator-stopped', () => clearInterval(timer));
}
