// The servers of the browser's test: each can be stopped, killed and started again on its port.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** The book of one checkout, served. */
export class Server {
    /** @param {string} program @param {string[]} options `port` is added here */
    constructor(program, options) {
        Object.assign(this, { program, options, port: 0 });
    }

    /** Starts it, on the port that it had before if it had one, and waits until the book is built. */
    async start() {
        const options = ['--as-root', '--no-open', '--port', String(this.port), ...this.options];
        this.child = spawn(this.program, options, { stdio: ['ignore', 'pipe', 'ignore'] });
        running.add(this.child);
        this.ended = once(this.child, 'exit').then(([code]) => code);
        for await (const line of createInterface({ input: this.child.stdout })) {
            const address = line.split(/\s+/).find((word) => word.includes('#t='));
            if (!address) continue;
            const { origin, hash, port } = new URL(address);
            Object.assign(this, { origin, token: hash, port });
            this.child.stdout.resume();
            return this;
        }
        throw new Error(`the server has ended with ${await this.ended} before it printed its address`);
    }

    /** Sends a signal, and returns the exit status, which is null if the signal killed the server. */
    async end(signal) {
        this.child.kill(signal);
        const code = await this.ended;
        running.delete(this.child);
        return code;
    }
}
