// A Linux machine on v86, in a page's worker or under node. It runs one program at a time.
//
//     const machine = await Machine.resume({ V86, state, ...images });
//     const { status, text } = await machine.run("fd-vanishes --plain", text => …);
//
// The second serial port carries the requests. The host writes a line, `NAME ARGUMENTS…`; the guest's first process runs
// /bin/NAME and writes what it prints, then byte 4, the exit status in digits, and byte 5: it is ready.
const END = 4, READY = 5;

/// The memory of a machine, in MiB. A state can only be resumed with as much as it was saved with.
export const MEMORY = 64;

/// What the kernel is told. v86's time stamp counter ticks once a nanosecond: it need not be measured.
export const COMMAND_LINE = "console=ttyS0 quiet loglevel=4 panic=-1 tsc=reliable tsc_early_khz=1000000 lpj=5000000 "
    + "random.trust_cpu=on nokaslr";

const OPTIONS = {
    memory_size: MEMORY << 20, vga_memory_size: 1 << 20, uart1: true, autostart: false, fastboot: true,
    disable_speaker: true, disable_keyboard: true, disable_mouse: true, net_device: { type: "none" },
};

export class Machine {
    #request = null;
    #loaded;
    #ready;

    /// Boot a kernel: `bios`, `vga_bios` and `bzimage` are v86's options. `log` gets the console's bytes.
    static async boot({ V86, log, command_line = COMMAND_LINE, ...images }) {
        const machine = new Machine(V86, { cmdline: command_line, ...images }, log);
        await machine.#loaded;
        machine.v86.run();
        await machine.#ready;
        return machine;
    }

    /// Go on where a machine was saved. `state` is an ArrayBuffer.
    static async resume({ V86, state, log, ...images }) {
        const machine = new Machine(V86, images, log);
        await machine.#loaded;
        await machine.v86.restore_state(state);
        machine.v86.run();
        // Its clock stands where it was saved.
        await machine.run("clock " + Math.floor(Date.now() / 1000));
        return machine;
    }

    constructor(V86, options, log) {
        this.v86 = new V86({ ...OPTIONS, ...options });
        this.#loaded = new Promise(done => this.v86.add_listener("emulator-loaded", done));
        this.#ready = new Promise(done => { this.#request = { ready: done, bytes: [], so_far: "", decoder: new TextDecoder() }; });
        if (log) this.v86.add_listener("serial0-output-byte", log);
        this.v86.add_listener("serial1-output-byte", byte => this.#receive(byte));
    }

    #receive(byte) {
        const request = this.#request;
        if (!request) return;
        if (byte === END && request.text === undefined) {
            this.#hand_on(request);
            request.text = request.so_far;
        } else if (byte === READY) {
            this.#request = null;
            const status = Number.parseInt(new TextDecoder().decode(Uint8Array.from(request.bytes)), 10);
            request.ready({ status, text: request.text });
        } else {
            request.bytes.push(byte);
            if ((byte === 10 || request.at_once) && request.text === undefined) this.#hand_on(request);
        }
    }

    /// Hand on what has come: whole lines, and at the end a last one without its newline.
    #hand_on(request) {
        const text = request.decoder.decode(Uint8Array.from(request.bytes.splice(0)), { stream: true });
        request.so_far += text;
        if (text) request.on_text?.(text);
    }

    /// Run a line. `on_text` gets the output as it comes, a line at a time, or `at_once`, as a terminal wants it; the answer
    /// has all of it.
    run(line, on_text, at_once = false) {
        const done = new Promise(ready => { this.#request = { ready, on_text, at_once, bytes: [], so_far: "", decoder: new TextDecoder() }; });
        this.send(line + "\n");
        return done;
    }

    /// What a program that runs reads: for a shell.
    send(text) {
        this.v86.serial_send_bytes(1, new TextEncoder().encode(text));
    }

    /// The whole machine as an ArrayBuffer. It stands still afterwards.
    async save() {
        await this.v86.stop();
        return this.v86.save_state();
    }

    async end() {
        await this.v86.destroy();
    }
}
