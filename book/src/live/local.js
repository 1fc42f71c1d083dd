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
const GONE = 'The server does not answer. Is it still running in your terminal?';

let own = ''; // the token of this page, for a browser that keeps nothing

/** Takes the token out of the address, so that no bookmark and no picture of the screen has it. */
function given() {
    const token = new URLSearchParams(location.hash.slice(1)).get('t');
    if (token) history.replaceState(null, '', location.pathname + location.search);
    return token;
}

function keep(token) {
    own = token;
    try {
        localStorage.setItem(TOKEN, token);
    } catch {
        // Then each page needs the address with the token.
    }
}

/**
 * Keeps the token of the address. An old bookmark has one too, and any page may link to this one with any: one that the server
 * refuses takes no other's place. True if there is one to go on with.
 */
async function take() {
    const token = given();
    if (!token) return false;
    if (token === secret()) return true;
    const headers = { 'X-Workbook-Token': token };
    const asked = secret() && await fetch(root + 'api/progress', { cache: 'no-store', headers }).catch(() => null);
    if (asked?.status === 401) return false;
    keep(token);
    return true;
}

/** The token that this browser got last. All its tabs have it, so that a link can be opened in a tab of its own. */
function secret() {
    try {
        return localStorage.getItem(TOKEN) ?? own;
    } catch {
        return own;
    }
}

/** An error whose message is a sentence for the reader. */
export class Refused extends Error {}

/** The local server, or null: the page was opened from a file, or another server sent it. */
export async function connect() {
    if (!location.protocol.startsWith('http')) return null;
    // A reader who pastes a new server's address over the same page's changes only the fragment, which loads nothing.
    addEventListener('hashchange', async () => (await take()) && location.reload());
    // A new server's address in another tab is that of this tab's server, too.
    addEventListener('storage', ({ key, newValue }) => key === TOKEN && newValue && location.reload());
    const ask = async (method, path, body, signal) => {
        let response;
        try {
            response = await fetch(root + 'api/' + path, {
                method,
                signal,
                cache: 'no-store',
                headers: { 'X-Workbook-Token': secret(), ...(body && { 'Content-Type': 'application/json' }) },
                body: body && JSON.stringify(body),
            });
        } catch (error) {
            if (error.name === 'AbortError') throw error;
            throw new Refused(GONE);
        }
        if (response.ok) return response;
        if (response.status === 401) {
            throw new Refused(secret()
                ? 'The server was restarted, and has a new token: open the address that it printed when it started.'
                : 'This page has no token: open the address that the server printed when it started.');
        }
        throw new Refused((await response.text()).trim() || `The server answered ${response.status}.`);
    };
    /** The events of an answer. The server may be gone in the middle of it, too. */
    const events = async function* (path, body, signal) {
        const answer = await ask('POST', path, body, signal);
        try {
            yield* jsonLines(answer);
        } catch (error) {
            throw error.name === 'AbortError' ? error : new Refused(GONE);
        }
    };
    const hello = await fetch(root + 'api/hello', { cache: 'no-store' }).then(
        (answer) => (answer.ok && answer.headers.get('content-type')?.includes('json') ? answer.json() : null),
        () => null,
    );
    if (!hello?.workbook) return null;
    await take();
    return {
        kernel: hello.kernel ? `your kernel (${hello.kernel})` : 'your kernel',
        progress: async () => (await ask('GET', 'progress')).json(),
        run: (experiment, prediction, signal) => events('run', { experiment, prediction }, signal),
        check: (exercise, signal) => events('check', { exercise }, signal),
        events: (signal) => events('events', {}, signal),
        block: (ms) => ask('POST', 'block', { ms }),
        slow: () => ask('POST', 'slow', {}),
        click: () => ask('GET', 'progress'),
    };
}

/** A line for a reader whom the server refuses. */
export function refusal(error) {
    return element('p', { class: 'live-refused', role: 'alert' }, error.message);
}
