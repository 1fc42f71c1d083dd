// A server of a folder's files for the tests: as plain as those on which a book is published, and it counts what it sends.
//
// As on such a server, what is not found is answered with the page 404.html. `faults` has, for a path, what goes wrong with the next
// answers: `missing`, or `cut` in the middle.

import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { extname, normalize } from 'node:path';

const TYPES = {
    '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
    '.svg': 'image/svg+xml', '.wasm': 'application/wasm', '.woff2': 'font/woff2',
};

/** Serves a folder on a free port of this machine, below `base`. `sent` has each request's path there, and how many bytes its answer had. */
export async function files(folder, base = '') {
    const sent = [];
    const faults = new Map();
    const server = createServer((request, response) => {
        const asked = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname)).replace(/\/$/, '/index.html');
        const isOurs = asked.startsWith(`${base}/`);
        const path = isOurs ? asked.slice(base.length) : asked;
        const fault = faults.get(path)?.shift();
        const { size } = isOurs && fault !== 'missing' && statSync(folder + path, { throwIfNoEntry: false }) || {};
        sent.push({ path, size: size ?? 0 });
        const kept = { 'Cache-Control': 'max-age=600' };
        if (size === undefined) {
            response.writeHead(404, { 'Content-Type': 'text/html', ...kept });
            return response.end(existsSync(`${folder}/404.html`) ? readFileSync(`${folder}/404.html`) : '404');
        }
        response.writeHead(200, { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream', 'Content-Length': size, ...kept });
        if (fault === 'cut') return response.write(readFileSync(folder + path).subarray(0, size / 2), () => response.destroy());
        return createReadStream(folder + path).pipe(response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { origin: `http://127.0.0.1:${server.address().port}${base}`, sent, faults, close: () => server.close() };
}
