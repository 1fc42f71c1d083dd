// A server of a folder's files for the tests: as plain as those on which a book is published, and it counts what it sends.

import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { extname, normalize } from 'node:path';

const TYPES = {
    '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
    '.svg': 'image/svg+xml', '.wasm': 'application/wasm', '.woff2': 'font/woff2',
};

/** Serves a folder on a free port of this machine. `sent` has each request's path, and how many bytes its answer had. */
export async function files(folder) {
    const sent = [];
    const server = createServer((request, response) => {
        const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname)).replace(/\/$/, '/index.html');
        const { size } = statSync(folder + path, { throwIfNoEntry: false }) ?? {};
        sent.push({ path, size: size ?? 0 });
        if (size === undefined) return response.writeHead(404, { 'Content-Type': 'text/html' }).end('404');
        const kept = { 'Cache-Control': 'max-age=600', 'Content-Length': size };
        response.writeHead(200, { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream', ...kept });
        return createReadStream(folder + path).pipe(response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { origin: `http://127.0.0.1:${server.address().port}`, sent, close: () => server.close() };
}
