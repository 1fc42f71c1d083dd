// The first of two backends: the server that sent this page runs experiments and checks on the reader's own kernel.
//
// A backend has these functions, which `experiment.js` and `exercise.js` call:
//   kernel: string                          what runs the experiments, in words
//   progress(): Promise<object>             what the reader has done so far
//   run(experiment, prediction, signal)     an async iterator of events, until the experiment has ended
//   check(exercise, signal)                 the same for the tests of an exercise; absent where nothing can be compiled
//   offer: string                           what the button says that runs an experiment, if not Run
// Aborting the signal stops what runs.

import { jsonLines } from './stream.js';
import { root, element } from './dom.js';

const TOKEN = 'workbook-token';

/** Takes the token out of the address, so that no bookmark and no picture of the screen has it. True if there was one. */
function take() {
    const given = new URLSearchParams(location.hash.slice(1)).get('t');
    if (!given) return false;
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, '', location.pathname + location.search);
    return true;
}

/** An error whose message is a sentence for the reader. */
export class Refused extends Error {}

/** The local server, or null: the page was opened from a file, or another server sent it. */
export async function connect() {
    if (!location.protocol.startsWith('http')) return null;
    take();
    // A reader who pastes a new server's address over the same page's changes only the fragment, which loads nothing.
    addEventListener('hashchange', () => take() && location.reload());
    const secret = sessionStorage.getItem(TOKEN) ?? '';
    const ask = async (method, path, body, signal) => {
        let response;
        try {
            response = await fetch(root + 'api/' + path, {
                method,
                signal,
                cache: 'no-store',
                headers: { 'X-Workbook-Token': secret, ...(body && { 'Content-Type': 'application/json' }) },
                body: body && JSON.stringify(body),
            });
        } catch (error) {
            if (error.name === 'AbortError') throw error;
            throw new Refused('The server does not answer. Is it still running in your terminal?');
        }
        if (response.ok) return response;
        if (response.status === 401) {
            throw new Refused(secret
                ? 'The server was restarted, and has a new token: open the address that it printed when it started.'
                : 'This page has no token: open the address that the server printed when it started.');
        }
        throw new Refused((await response.text()).trim() || `The server answered ${response.status}.`);
    };
    const hello = await fetch(root + 'api/hello', { cache: 'no-store' }).then(
        (answer) => (answer.ok && answer.headers.get('content-type')?.includes('json') ? answer.json() : null),
        () => null,
    );
    if (!hello?.workbook) return null;
    return {
        kernel: hello.kernel ? `your kernel (${hello.kernel})` : 'your kernel',
        progress: async () => (await ask('GET', 'progress')).json(),
        run: async function* (experiment, prediction, signal) {
            yield* jsonLines(await ask('POST', 'run', { experiment, prediction }, signal));
        },
        check: async function* (exercise, signal) {
            yield* jsonLines(await ask('POST', 'check', { exercise }, signal));
        },
        events: async function* (signal) {
            yield* jsonLines(await ask('POST', 'events', {}, signal));
        },
        block: (ms) => ask('POST', 'block', { ms }),
        slow: () => ask('POST', 'slow', {}),
        click: () => ask('GET', 'progress'),
    };
}

/** A line for a reader whom the server refuses. */
export function refusal(error) {
    return element('p', { class: 'live-refused', role: 'alert' }, error.message);
}
